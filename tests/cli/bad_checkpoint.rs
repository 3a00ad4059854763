//! Checkpoints that are incomplete, damaged or contradictory are refused by the file at fault.

use crate::program::Refusals;
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

/// A copy of a golden checkpoint, spoilt, that `recognize` must refuse.
fn refuse(
    refusals: &mut Refusals,
    why: &str,
    checkpoint: &str,
    spoil: impl FnOnce(&Scratch),
    named: &[&str],
) {
    let copy = Scratch::checkpoint(checkpoint);
    spoil(&copy);
    let folder = copy.dir();
    let named: Vec<&str> = named.iter().copied().chain([folder.as_str()]).collect();
    let arguments = ["recognize", &golden_image("tiny.png"), "--model", &folder, "--max-new-tokens", "1"];
    refusals.expect(why, arguments, &named);
}

const UNTIED: &str = "qwen2_5_vl-untied";
const TIED: &str = "qwen2_5_vl-tied-bf16";
const INDEX: &str = "model.safetensors.index.json";
const FIRST: &str = "model-00001-of-00002.safetensors";
const SECOND: &str = "model-00002-of-00002.safetensors";

#[test]
fn a_missing_file_is_named() {
    let mut refusals = Refusals::default();
    let photo = golden_image("tiny.png");
    let scratch = Scratch::new();
    let missing = scratch.arg("missing");
    refusals.expect("no folder", ["recognize", &photo, "--model", &missing], &[&missing]);
    let file = scratch.write("file", "");
    refusals.expect("a file as folder", ["recognize", &photo, "--model", &file], &[&file]);
    refusals.expect("an empty folder", ["recognize", &photo, "--model", &scratch.dir()], &["config.json"]);
    for file in ["config.json", "preprocessor_config.json", "tokenizer.json", FIRST, SECOND] {
        refuse(&mut refusals, &format!("no {file}"), UNTIED, |copy| copy.remove(file), &[file]);
    }
    refuse(&mut refusals, "no index", UNTIED, |copy| copy.remove(INDEX), &["model.safetensors"]);
    refuse(
        &mut refusals,
        "no weights",
        TIED,
        |copy| copy.remove("model.safetensors"),
        &["model.safetensors"],
    );
    refuse(
        &mut refusals,
        "no template",
        UNTIED,
        |copy| copy.remove("chat_template.json"),
        &["chat template"],
    );
    refuse(&mut refusals, "no template", TIED, |copy| copy.remove("chat_template.jinja"), &["chat template"]);
    refusals.check();
}

#[test]
fn a_damaged_json_file_is_named() {
    let mut refusals = Refusals::default();
    for file in [
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "chat_template.json",
        INDEX,
    ] {
        let cut = |copy: &Scratch| copy.cut(file, copy.read(file).len() / 2);
        refuse(&mut refusals, &format!("{file} is cut short"), UNTIED, cut, &[file]);
        refuse(
            &mut refusals,
            &format!("{file} is empty"),
            UNTIED,
            |copy| drop(copy.write(file, "")),
            &[file],
        );
        let named = if file == "chat_template.json" { "chat template" } else { file };
        refuse(
            &mut refusals,
            &format!("{file} is a list"),
            UNTIED,
            |copy| drop(copy.write(file, "[]")),
            &[named],
        );
        let latin = |copy: &Scratch| drop(copy.write(file, b"{\"\xe9\": 1}"));
        refuse(&mut refusals, &format!("{file} is no UTF-8"), UNTIED, latin, &[file]);
    }
    let cut_decoder = |copy: &Scratch| {
        let text = String::from_utf8(copy.read("tokenizer.json")).expect("UTF-8");
        copy.cut("tokenizer.json", text.find("\"decoder\"").expect("a decoder") + 14);
    };
    refuse(&mut refusals, "tokenizer.json is cut in its decoder", UNTIED, cut_decoder, &["tokenizer.json"]);
    let cut_template = |copy: &Scratch| {
        copy.remove("chat_template.json");
        copy.write("tokenizer_config.json", "{");
    };
    refuse(&mut refusals, "tokenizer_config.json", UNTIED, cut_template, &["tokenizer_config.json"]);
    let syntax = |copy: &Scratch| drop(copy.write("chat_template.jinja", "{% for x in %}"));
    refuse(&mut refusals, "template syntax", TIED, syntax, &["template", "line 1"]);
    let refusing =
        |copy: &Scratch| drop(copy.write("chat_template.jinja", "{{ raise_exception('not you') }}"));
    let copy = Scratch::checkpoint(TIED);
    refusing(&copy);
    let arguments = ["recognize", &golden_image("tiny.png"), "--model", &copy.dir()];
    refusals.expect("a template that refuses", arguments, &["not you"]);
    refusals.check();
}

#[test]
fn damaged_weights_are_named() {
    let mut refusals = Refusals::default();
    for length in [0, 4, 8, 1000, 200_000] {
        let cut = |copy: &Scratch| copy.cut(SECOND, length);
        refuse(&mut refusals, &format!("a shard of {length} bytes"), UNTIED, cut, &[SECOND]);
    }
    let cut_last = |copy: &Scratch| copy.cut("model.safetensors", copy.read("model.safetensors").len() - 1);
    refuse(&mut refusals, "one byte short", TIED, cut_last, &["model.safetensors"]);
    let huge_header = |copy: &Scratch| {
        let mut bytes = copy.read("model.safetensors");
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        copy.write("model.safetensors", bytes);
    };
    refuse(&mut refusals, "an endless header", TIED, huge_header, &["model.safetensors"]);
    let page = |copy: &Scratch| drop(copy.write("model.safetensors", "<html>not found</html>"));
    refuse(&mut refusals, "a web page", TIED, page, &["model.safetensors"]);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let lfs = |copy: &Scratch| drop(copy.write("model.safetensors", pointer));
    refuse(&mut refusals, "a pointer of git-lfs", TIED, lfs, &["model.safetensors"]);

    let lost = "model.norm.weight";
    let drop_tensor = |copy: &Scratch| {
        for file in [FIRST, SECOND] {
            let bytes = copy.read(file);
            let tensors = SafeTensors::deserialize(&bytes).expect("a sound file").tensors();
            let kept = tensors.into_iter().filter(|(name, _)| name != lost);
            copy.write(file, safetensors::serialize(kept, None).expect("a file"));
        }
    };
    refuse(&mut refusals, "a missing tensor", UNTIED, drop_tensor, &[lost, "missing"]);
    let integers = |copy: &Scratch| {
        let bytes = vec![0_u8; 48 * 8];
        let view = TensorView::new(Dtype::I64, vec![48], &bytes).expect("a tensor");
        copy.write("model.safetensors", safetensors::serialize([(lost, view)], None).expect("a file"));
    };
    refuse(&mut refusals, "a tensor of integers", TIED, integers, &[lost, "I64"]);
    let set = |field: &'static str, value: Value| {
        move |copy: &Scratch| {
            copy.edit("config.json", |config| config[field] = value);
        }
    };
    refuse(
        &mut refusals,
        "a wrong shape",
        UNTIED,
        set("intermediate_size", json!(64)),
        &["mlp.down_proj", "[32, 56]", "[32, 64]"],
    );
    refuse(
        &mut refusals,
        "more layers",
        UNTIED,
        set("num_hidden_layers", json!(3)),
        &["model.layers.2.", "missing"],
    );
    refuse(
        &mut refusals,
        "a vast vocabulary",
        UNTIED,
        set("vocab_size", json!(16_000_000)),
        &["embed_tokens", "[448, 32]"],
    );
    refuse(
        &mut refusals,
        "a head that is not there",
        TIED,
        set("tie_word_embeddings", json!(false)),
        &["lm_head.weight"],
    );
    refusals.check();
}

#[test]
fn an_index_must_name_plain_files() {
    let mut refusals = Refusals::default();
    for place in
        ["../model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", "..\\model.safetensors"]
    {
        let spoil = |copy: &Scratch| {
            copy.edit(INDEX, |index| index["weight_map"]["lm_head.weight"] = json!(place));
        };
        refuse(&mut refusals, &format!("the index names {place}"), UNTIED, spoil, &[INDEX, place]);
    }
    let absent = |copy: &Scratch| {
        copy.edit(INDEX, |index| index["weight_map"]["lm_head.weight"] = json!("model-9.safetensors"))
    };
    refuse(&mut refusals, "the index names a file that is absent", UNTIED, absent, &["model-9.safetensors"]);
    let number = |copy: &Scratch| copy.edit(INDEX, |index| index["weight_map"]["lm_head.weight"] = json!(3));
    refuse(&mut refusals, "the index names a number", UNTIED, number, &[INDEX]);
    let no_map = |copy: &Scratch| drop(copy.write(INDEX, "{}"));
    refuse(&mut refusals, "the index has no map", UNTIED, no_map, &[INDEX, "weight_map"]);
    refusals.check();
}

#[test]
fn a_config_that_cannot_be_honoured_names_its_field() {
    let mut refusals = Refusals::default();
    let mut config = |field: &str, value: Value, named: &[&str]| {
        let why = format!("config.json: {field} = {value}");
        let spoil = |copy: &Scratch| {
            copy.edit("config.json", |config| {
                let place = format!("/{}", field.replace('.', "/"));
                *config.pointer_mut(&place).expect("a field") = value;
            });
        };
        let last = field.rsplit('.').next().expect("a name");
        let named: Vec<&str> = named.iter().copied().chain(["config.json", last]).collect();
        refuse(&mut refusals, &why, UNTIED, spoil, &named);
    };
    config("hidden_size", json!(0), &[]);
    config("hidden_size", json!(33), &[]);
    config("hidden_size", json!("32"), &["string"]);
    config("hidden_size", json!(-32), &[]);
    config("hidden_size", json!(1_u64 << 40), &[]);
    config("num_attention_heads", json!(0), &[]);
    config("num_key_value_heads", json!(3), &[]);
    config("num_hidden_layers", json!(0), &[]);
    config("vocab_size", json!(100), &["image_token_id"]);
    config("hidden_act", json!("gelu"), &["silu"]);
    config("use_sliding_window", json!(true), &[]);
    config("rope_scaling.mrope_section", json!([1, 1, 1]), &[]);
    config("rope_scaling.mrope_section", json!([2, 2]), &[]);
    config("vision_config", json!(3), &[]);
    config("vision_config.num_heads", json!(0), &[]);
    config("vision_config.patch_size", json!(0), &[]);
    config("vision_config.out_hidden_size", json!(48), &[]);
    config("vision_config.window_size", json!(7), &[]);
    config("vision_config.fullatt_block_indexes", json!([9]), &[]);
    config("vision_config.in_chans", json!(4), &[]);
    for (why, architecture, named) in [
        ("another architecture", json!("llama"), "llama"),
        ("a text model", json!("qwen2"), "qwen2"),
        ("a newer family", json!("qwen3_vl"), "qwen3_vl"),
    ] {
        let spoil = |copy: &Scratch| copy.edit("config.json", |config| config["model_type"] = architecture);
        refuse(&mut refusals, why, UNTIED, spoil, &["config.json", named]);
    }
    let nameless = |copy: &Scratch| {
        copy.edit("config.json", |config| {
            let config = config.as_object_mut().expect("an object");
            config.remove("model_type");
            config.remove("architectures");
        });
    };
    refuse(&mut refusals, "no architecture", UNTIED, nameless, &["config.json", "model_type"]);
    refusals.check();
}

#[test]
fn files_that_contradict_each_other_are_named() {
    let mut refusals = Refusals::default();
    let edit = |file: &'static str, field: &'static str, value: Value| {
        move |copy: &Scratch| {
            copy.edit(file, |json| json[field] = value);
        }
    };
    const PREPROCESSOR: &str = "preprocessor_config.json";
    const GENERATION: &str = "generation_config.json";
    for (field, value) in [
        ("patch_size", json!(16)),
        ("merge_size", json!(4)),
        ("temporal_patch_size", json!(1)),
        ("patch_size", json!(0)),
        ("max_pixels", json!(10)),
        ("max_pixels", json!(-1)),
        ("resample", json!(2)),
        ("do_resize", json!(false)),
        ("image_std", json!([0.5, 0.0, 0.5])),
        ("image_mean", json!([0.5])),
    ] {
        let why = format!("{PREPROCESSOR}: {field} = {value}");
        let field_word = if value.is_array() && field == "image_mean" { PREPROCESSOR } else { field };
        refuse(&mut refusals, &why, UNTIED, edit(PREPROCESSOR, field, value), &[PREPROCESSOR, field_word]);
    }
    for (field, value) in [
        ("temperature", json!(-1)),
        ("top_p", json!(2)),
        ("min_p", json!(-0.5)),
        ("repetition_penalty", json!(0)),
        ("eos_token_id", json!("end")),
    ] {
        let why = format!("{GENERATION}: {field} = {value}");
        refuse(&mut refusals, &why, UNTIED, edit(GENERATION, field, value), &[GENERATION]);
    }
    refuse(
        &mut refusals,
        "no such image token",
        UNTIED,
        edit("config.json", "image_token_id", json!(440)),
        &["tokenizer.json", "440"],
    );
    refusals.check();
}

/// The model has rows for the tokens up to `<|im_end|>` and one more, the tokenizer for many more.
#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_named() {
    const VOCAB: usize = 414;
    let copy = Scratch::checkpoint(UNTIED);
    copy.edit("config.json", |config| {
        config["vocab_size"] = json!(VOCAB);
        config["image_token_id"] = json!(VOCAB - 1);
    });
    for file in [FIRST, SECOND] {
        let bytes = copy.read(file);
        let tensors = SafeTensors::deserialize(&bytes).expect("a sound file").tensors();
        let cut = tensors.into_iter().map(|(name, view)| {
            let mut shape = view.shape().to_vec();
            shape[0] = if shape == [448, 32] { VOCAB } else { shape[0] };
            let count: usize = shape.iter().product();
            (name, TensorView::new(view.dtype(), shape, &view.data()[..count * 4]).expect("a tensor"))
        });
        let written = safetensors::serialize(cut.collect::<Vec<_>>(), None).expect("a file");
        copy.write(file, written);
    }
    let mut refusals = Refusals::default();
    let text = r#"[{"role": "user", "content": "<|quad_end|>"}]"#;
    let messages = copy.write("messages.json", text);
    let arguments = ["recognize", "--messages", &messages, "--model", &copy.dir()];
    refusals.expect("a token without an embedding", arguments, &["tokenizer.json", "414"]);
    refusals.check();
}

/// Enlarging every photo to this area would take terabytes.
#[test]
fn pixels_beyond_reason_are_refused_before_memory_is_taken() {
    let mut refusals = Refusals::default();
    let spoil = |copy: &Scratch| {
        copy.edit("preprocessor_config.json", |config| {
            config["min_pixels"] = json!(1_000_000_000_000_u64);
            config["max_pixels"] = json!(2_000_000_000_000_u64);
        });
    };
    refuse(&mut refusals, "min_pixels of 10^12", UNTIED, spoil, &["min_pixels"]);
    refusals.check();
}

#[test]
fn a_prompt_longer_than_the_context_names_both_numbers() {
    let mut refusals = Refusals::default();
    let copy = Scratch::checkpoint(UNTIED);
    copy.edit("config.json", |config| config["max_position_embeddings"] = json!(20));
    let photo = golden_image("square.png");
    refusals.expect("a photo", ["recognize", &photo, "--model", &copy.dir()], &[&photo, "20", "tokens"]);
    let messages = copy.write("m.json", r#"[{"role": "user", "content": "Why is the sky blue?"}]"#);
    refusals.expect(
        "messages",
        ["recognize", "--messages", &messages, "--model", &copy.dir()],
        &[&messages, "20"],
    );
    let fixed =
        ["score", "--messages", &messages, "--model", &copy.dir(), "--continuation"].map(str::to_owned);
    refusals.expect("score", fixed.iter().map(String::as_str).chain(["x"]), &[&messages, "20"]);
    refusals.check();
}

#[test]
fn the_other_verbs_refuse_the_same() {
    let mut refusals = Refusals::default();
    let scratch = Scratch::new();
    let (missing, out) = (scratch.arg("missing"), scratch.arg("out"));
    refusals.expect("inspect: no folder", ["inspect", &missing], &[&missing]);
    refusals.expect("inspect: empty folder", ["inspect", &scratch.dir()], &["config.json"]);
    refusals.expect("export: no folder", ["export", &missing, &out, "--dtype", "f32"], &[&missing]);
    let model = golden_checkpoint("qwen2_vl");
    let filled = Scratch::new();
    filled.write("something", "here");
    refusals.expect(
        "export: filled folder",
        ["export", &model, &filled.dir(), "--dtype", "f32"],
        &[&filled.dir()],
    );
    let file = filled.arg("something");
    refusals.expect("export: into a file", ["export", &model, &file, "--dtype", "f32"], &[&file]);
    let corpus = scratch.write("corpus.txt", "a text");
    let init = |corpus: &str, out: &str| {
        ["init", "--preset", "nano", "--corpus", corpus, "--out", out].map(str::to_owned)
    };
    refusals.expect("init: filled folder", init(&corpus, &filled.dir()), &[&filled.dir()]);
    let missing_corpus = scratch.arg("missing.txt");
    refusals.expect("init: no corpus", init(&missing_corpus, &out), &[&missing_corpus]);
    let latin = scratch.write("latin.txt", b"caf\xe9");
    refusals.expect("init: corpus is no UTF-8", init(&latin, &out), &[&latin]);
    let copy = Scratch::checkpoint(UNTIED);
    copy.cut(SECOND, 1000);
    refusals.expect("export: a cut shard", ["export", &copy.dir(), &out, "--dtype", "f32"], &[SECOND]);
    copy.write("config.json", "{");
    refusals.expect("inspect: a cut config", ["inspect", &copy.dir()], &["config.json"]);
    refusals.check();
    assert!(!scratch.at("out").exists(), "a refused export leaves nothing behind");
}
