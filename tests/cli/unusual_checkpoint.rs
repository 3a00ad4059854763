//! Checkpoints as other versions of transformers save them, and those that ask for what is not done.

use crate::program::{Refusals, Run, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

const UNTIED: &str = "qwen2_5_vl-untied";
const TIED: &str = "qwen2_5_vl-tied-bf16";
const WEIGHTS: &str = "model.safetensors";
const EMBEDDING: &str = "model.embed_tokens.weight";
const NEWER_EMBEDDING: &str = "model.language_model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// A question about a picture, scored.
fn score(model: &str, continuation: &str) -> Run {
    let scratch = Scratch::new();
    let image = golden_image("rgb.png");
    let content = json!([{ "type": "image", "image": image }, { "type": "text", "text": "What is it?" }]);
    let messages =
        scratch.write("messages.json", json!([{ "role": "user", "content": content }]).to_string());
    trainer(["score", "--model", model, "--messages", &messages, "--continuation", continuation, "--json"])
}

fn log_probs(copy: &Scratch) -> Value {
    score(&copy.dir(), "An airliner.").json()["log_probs"].clone()
}

/// A stored tensor: name, type, shape and bytes.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// Changes the tensors of a checkpoint of one file.
fn change_weights(copy: &Scratch, change: impl FnOnce(&mut Vec<Stored>)) {
    let bytes = copy.read(WEIGHTS);
    let mut tensors: Vec<Stored> = SafeTensors::deserialize(&bytes)
        .expect("a sound file")
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"))
    });
    copy.write(WEIGHTS, safetensors::serialize(views, None).expect("a file"));
}

/// The embedding, by either of its names.
fn embedding(tensors: &mut [Stored]) -> &mut Stored {
    let found = tensors.iter_mut().find(|(name, ..)| name == EMBEDDING || name == NEWER_EMBEDDING);
    found.expect("an embedding")
}

#[test]
fn image_settings_are_read_from_either_file_and_the_newer_goes_first() {
    let expected = log_probs(&Scratch::checkpoint(UNTIED));
    let newer = Scratch::checkpoint(UNTIED);
    let settings: Value = serde_json::from_slice(&newer.read("preprocessor_config.json")).expect("JSON");
    newer.write("processor_config.json", json!({ "image_processor": settings }).to_string());
    newer.remove("preprocessor_config.json");
    assert_eq!(log_probs(&newer), expected, "processor_config.json alone");
    newer.write("preprocessor_config.json", json!({ "resample": 2 }).to_string());
    assert_eq!(log_probs(&newer), expected, "processor_config.json goes first");
    let out = Scratch::new();
    let run = trainer(["export", &newer.dir(), &out.dir(), "--dtype", "f32"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(out.read("processor_config.json"), newer.read("processor_config.json"));
    let run = trainer(["manifest", &newer.dir()]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let manifest: Value = serde_json::from_slice(&newer.read("manifest.json")).expect("JSON");
    let paths: Vec<&Value> =
        manifest["files"].as_array().expect("a list").iter().map(|file| &file["path"]).collect();
    assert!(paths.contains(&&json!("processor_config.json")), "{paths:?}");
}

#[test]
fn templates_see_special_tokens_and_the_older_file_goes_first() {
    let copy = Scratch::checkpoint(UNTIED);
    copy.remove("chat_template.json");
    copy.write("chat_template.jinja", "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ ['it'] }}");
    copy.edit("tokenizer_config.json", |config| {
        config["bos_token"] = json!({ "__type": "AddedToken", "content": "<s>" });
        config["eos_token"] = json!("<|im_end|>");
        config["unk_token"] = json!(null);
    });
    let scratch = Scratch::new();
    let messages = scratch.write("messages.json", r#"[{"role": "user", "content": "x"}]"#);
    let prompt = || {
        let run = trainer([
            "score",
            "--model",
            &copy.dir(),
            "--messages",
            &messages,
            "--continuation",
            "x",
            "--json",
        ]);
        run.json()["prompt"].clone()
    };
    assert_eq!(prompt(), "<s>|<|im_end|>||['it']");
    copy.write("chat_template.json", json!({ "chat_template": "older" }).to_string());
    assert_eq!(prompt(), "older");
}

#[test]
fn a_head_beside_a_tied_embedding_is_used_where_it_differs() {
    let expected = log_probs(&Scratch::checkpoint(TIED));

    let alone = Scratch::checkpoint(TIED);
    change_weights(&alone, |tensors| embedding(tensors).0 = HEAD.into());
    assert_eq!(log_probs(&alone), expected, "the head stands for the embedding");
    let found = trainer(["inspect", &alone.dir(), "--json"]).json();
    assert_eq!(found["missing"], json!([]));

    let copied = Scratch::checkpoint(TIED);
    change_weights(&copied, |tensors| {
        let (_, dtype, shape, bytes) = embedding(tensors).clone();
        tensors.push((HEAD.into(), dtype, shape, bytes));
    });
    assert_eq!(log_probs(&copied), expected, "a copy changes nothing");

    let other = Scratch::checkpoint(TIED);
    let untied = Scratch::checkpoint(TIED);
    untied.edit("config.json", |config| config["tie_word_embeddings"] = json!(false));
    for copy in [&other, &untied] {
        change_weights(copy, |tensors| {
            let (_, dtype, shape, mut bytes) = embedding(tensors).clone();
            bytes.rotate_left(64);
            tensors.push((HEAD.into(), dtype, shape, bytes));
        });
    }
    assert_ne!(log_probs(&other), expected, "the head is another matrix");
    assert_eq!(log_probs(&other), log_probs(&untied));
    let out = Scratch::new();
    let run = trainer(["export", &other.dir(), &out.dir(), "--dtype", "bf16"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(log_probs(&out), log_probs(&untied), "the head is exported too");
}

#[test]
fn weights_that_mean_nothing_are_refused() {
    let mut refusals = Refusals::default();
    let twice = Scratch::checkpoint(TIED);
    change_weights(&twice, |tensors| {
        let (name, dtype, shape, bytes) = embedding(tensors).clone();
        let other = if name == EMBEDDING { NEWER_EMBEDDING } else { EMBEDDING };
        tensors.push((other.into(), dtype, shape, bytes));
    });
    let photo = golden_image("tiny.png");
    let ask = |copy: &Scratch| {
        ["recognize", &photo, "--model", &copy.dir(), "--max-new-tokens", "1"].map(str::to_owned)
    };
    refusals.expect("both spellings", ask(&twice), &[EMBEDDING, NEWER_EMBEDDING, "twice"]);
    refusals.expect("both spellings", ["manifest", &twice.dir()], &[EMBEDDING, "twice", &twice.dir()]);
    let found = trainer(["inspect", &twice.dir(), "--json"]).json();
    let listed = found["duplicates"][0].as_str().expect("both names");
    assert!(listed.contains(EMBEDDING) && listed.contains(NEWER_EMBEDDING), "{listed}");

    for (why, pattern) in [("NaN", 0x7fc0_u16), ("infinity", 0xff80)] {
        let copy = Scratch::checkpoint(TIED);
        change_weights(&copy, |tensors| {
            embedding(tensors).3[100..102].copy_from_slice(&pattern.to_le_bytes())
        });
        refusals.expect(why, ask(&copy), &["embed_tokens.weight", "NaN", &copy.dir()]);
    }
    refusals.check();
}

#[test]
fn scores_that_are_no_numbers_end_in_an_error() {
    let copy = Scratch::checkpoint(TIED);
    // The largest finite numbers of bf16 overflow in the first sum.
    change_weights(&copy, |tensors| {
        for (.., bytes) in tensors.iter_mut().filter(|(name, ..)| name.contains("down_proj")) {
            for (index, number) in bytes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                *number = if index % 2 == 0 { 0x7f7f_u16 } else { 0xff7f }.to_le_bytes();
            }
        }
    });
    let run = score(&copy.dir(), "An airliner.");
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
    assert!(run.stderr.contains("NaN") && run.stderr.contains("hint: "), "{}", run.stderr);
    let mut refusals = Refusals::default();
    for temperature in ["0", "1"] {
        let photo = golden_image("tiny.png");
        let folder = copy.dir();
        let typed = ["recognize", &photo, "--model", &folder, "--temperature", temperature, "--json"];
        refusals.expect("an answer", typed, &["NaN"]);
    }
    refusals.check();
}

#[test]
fn placeholders_are_refused_wherever_no_picture_belongs() {
    for token in ["<|image_pad|>", "<|video_pad|>"] {
        let run = score(&golden_checkpoint(UNTIED), &format!("a{token}"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
        assert!(run.stderr.contains(token) && run.stderr.contains("hint: "), "{}", run.stderr);
    }
    let mut refusals = Refusals::default();
    let scratch = Scratch::new();
    let messages = scratch.write("messages.json", r#"[{"role": "user", "content": "a <|video_pad|> b"}]"#);
    let model = golden_checkpoint(UNTIED);
    let typed = ["recognize", "--messages", &messages, "--model", &model];
    refusals.expect("a video in the text", typed, &["<|video_pad|>", "video", &messages]);
    refusals.check();
}

#[test]
fn the_context_counts_prompt_and_continuation() {
    let copy = Scratch::checkpoint(UNTIED);
    copy.edit("config.json", |config| config["max_position_embeddings"] = json!(30));
    let run = score(&copy.dir(), "An airliner.");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    for word in ["the prompt has", "the continuation", "together", "holds 30"] {
        assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
    }
}

#[test]
fn what_generation_config_asks_for_is_done_or_said() {
    let copy = Scratch::checkpoint(UNTIED);
    let answer = |flags: &[&str]| {
        let (photo, folder) = (golden_image("tiny.png"), copy.dir());
        let typed = ["recognize", &photo, "--model", &folder, "--json"];
        trainer(typed.iter().chain(flags))
    };
    copy.write(
        "generation_config.json",
        r#"{"max_new_tokens": 5, "no_repeat_ngram_size": 3, "num_beams": 1}"#,
    );
    let run = answer(&[]);
    assert_eq!(run.json()["new_tokens"], 5);
    assert!(
        run.stderr.contains("warning: ") && run.stderr.contains("no_repeat_ngram_size"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("num_beams"), "{}", run.stderr);
    assert_eq!(answer(&["--max-new-tokens", "3"]).json()["new_tokens"], 3);
    let run = answer(&["--seed", "4", "--max-new-tokens", "1"]);
    assert!(run.stderr.contains("note: ") && run.stderr.contains("--seed"), "{}", run.stderr);

    copy.remove("generation_config.json");
    let run = answer(&["--max-new-tokens", "5"]);
    assert_eq!(run.stderr, "");
    let ids: Vec<u32> = serde_json::from_value(run.json()["token_ids"].clone()).expect("ids");
    copy.edit("config.json", |config| config["eos_token_id"] = json!([447, ids[2]]));
    let run = answer(&["--max-new-tokens", "5"]);
    assert_eq!(run.json()["stop_reason"], "end_token", "the second of config.json's end tokens");
}

#[test]
fn positions_that_are_stretched_otherwise_are_refused_by_name() {
    let mut refusals = Refusals::default();
    let plain = log_probs(&Scratch::checkpoint(UNTIED));
    for (kind, is_known) in [("yarn", true), ("linear", true), ("dynamic", false), ("longrope", false)] {
        let copy = Scratch::checkpoint(UNTIED);
        copy.edit("config.json", |config| {
            let section = config["rope_scaling"]["mrope_section"].clone();
            config["rope_scaling"] = json!({ "rope_type": kind, "mrope_section": section, "factor": 4.0 });
        });
        if is_known {
            assert_ne!(log_probs(&copy), plain, "{kind}");
        } else {
            let typed = ["recognize", &golden_image("tiny.png"), "--model", &copy.dir()];
            refusals.expect(kind, typed, &["config.json", "rope_scaling", kind]);
        }
    }
    refusals.check();
}

#[test]
fn what_cannot_be_loaded_gets_no_manifest() {
    let mut refusals = Refusals::default();
    type Spoilt = (&'static str, &'static str, fn(&Scratch));
    let spoilt: [Spoilt; 5] = [
        ("a cut shard", "model-00002-of-00002.safetensors", |copy| {
            copy.cut("model-00002-of-00002.safetensors", 2000);
        }),
        ("a broken index", "model.safetensors.index.json", |copy| {
            copy.cut("model.safetensors.index.json", 40);
        }),
        ("other shapes", "mlp.down_proj", |copy| {
            copy.edit("config.json", |config| config["intermediate_size"] = json!(64));
        }),
        ("another architecture", "llama", |copy| {
            copy.edit("config.json", |config| config["model_type"] = json!("llama"));
        }),
        ("a broken template", "template", |copy| {
            copy.write("chat_template.json", r#"{"chat_template": "{% for x in %}"}"#);
        }),
    ];
    for (why, named, spoil) in spoilt {
        let copy = Scratch::checkpoint(UNTIED);
        spoil(&copy);
        refusals.expect(why, ["manifest", &copy.dir()], &[named, &copy.dir()]);
        assert!(!copy.at("manifest.json").exists(), "{why}");
    }
    refusals.check();
}

/// A device that never ends.
#[cfg(unix)]
#[test]
fn what_never_ends_is_not_read_to_its_end() {
    let mut refusals = Refusals::default();
    let model = golden_checkpoint(UNTIED);
    let endless = "/dev/zero";
    refusals.expect("a photo", ["recognize", endless, "--model", &model], &[endless, "bytes"]);
    let typed = ["recognize", "--messages", endless, "--model", &model];
    refusals.expect("messages", typed, &[endless, "bytes"]);
    refusals.expect("a recipe", ["sft", "--recipe", endless], &[endless, "bytes"]);
    refusals.check();
}
