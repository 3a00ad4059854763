//! LlamaFactory's spellings: what its configurations say in other words than ours, or cannot say here.
//!
//! Most keys of a recipe are LlamaFactory's own (those of its `hparams` and of transformers'
//! `TrainingArguments`). Here are the rest, so that a configuration of its `sft` stage runs once it is
//! written as TOML: <https://github.com/hiyouga/LLaMA-Factory/tree/v0.9.3/src/llamafactory/hparams>.

use anyhow::{Result, bail};
use toml::{Table, Value};

/// Keys that may have one value only, because it is what this program does.
const FIXED: [(&str, &[&str]); 10] = [
    ("do_train", &["true"]),
    ("template", &["qwen2_vl"]),
    ("fp16", &["false"]),
    ("quantization_method", &["bnb", "bitsandbytes"]),
    ("resume_from_checkpoint", &["false", "null", "None"]),
    ("streaming", &["false"]),
    ("save_only_model", &["false"]),
    ("save_strategy", &["steps"]),
    ("logging_strategy", &["steps"]),
    ("predict_with_generate", &["false"]),
];

/// Keys about how other programs compute; nothing here depends on them.
const WITHOUT_MEANING: [&str; 30] = [
    "auto_find_batch_size",
    "buffer_size",
    "dataloader_num_workers",
    "dataloader_pin_memory",
    "ddp_find_unused_parameters",
    "ddp_timeout",
    "deepspeed",
    "enable_liger_kernel",
    "flash_attn",
    "include_num_input_tokens_seen",
    "local_rank",
    "logging_first_step",
    "low_cpu_mem_usage",
    "overwrite_cache",
    // Nothing is overwritten: a folder that holds a run is refused, or gone on with by --resume.
    "overwrite_output_dir",
    "preprocessing_batch_size",
    "preprocessing_num_workers",
    "report_to",
    "run_name",
    "save_safetensors",
    "tf32",
    "tokenized_path",
    "torch_compile",
    "trust_remote_code",
    "use_fast_tokenizer",
    "use_unsloth",
    "video_fps",
    "video_max_pixels",
    "video_maxlen",
    "video_min_pixels",
];

/// Brings a table to the recipe's own keys; returns the keys that were left out because they have no
/// meaning here.
///
/// # Errors
/// A key asks for something that is not done here, or is said twice.
pub fn translate(table: &mut Table) -> Result<Vec<String>> {
    for (key, accepted) in FIXED {
        let Some(value) = table.remove(key) else { continue };
        let said = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !accepted.contains(&said.as_str()) {
            bail!("`{key}` is {said}; this is for {}\nhint: leave the entry out", accepted.join(" or "));
        }
    }
    rename(table, "pure_bf16", "bf16", Ok)?;
    rename(table, "disable_gradient_checkpointing", "gradient_checkpointing", |value| match value {
        Value::Boolean(disabled) => Ok(Value::Boolean(!disabled)),
        other => {
            bail!("`disable_gradient_checkpointing` is {other}, expected true or false\nhint: correct it")
        }
    })?;
    if let Some(strategy) = table.remove("eval_strategy").or_else(|| table.remove("evaluation_strategy")) {
        match strategy.as_str() {
            Some("steps") => {}
            Some("no") => drop(table.remove("eval_dataset")),
            _ => bail!("`eval_strategy` is {strategy}, expected \"steps\" or \"no\"\nhint: set eval_steps"),
        }
    }
    let present: Vec<String> = WITHOUT_MEANING
        .iter()
        .filter(|key| table.remove(**key).is_some())
        .map(|key| (*key).to_owned())
        .collect();
    Ok(present)
}

fn rename(
    table: &mut Table,
    theirs: &str,
    ours: &str,
    convert: impl FnOnce(Value) -> Result<Value>,
) -> Result<()> {
    let Some(value) = table.remove(theirs) else { return Ok(()) };
    if table.contains_key(ours) {
        bail!("`{theirs}` and `{ours}` say the same\nhint: leave one of them out");
    }
    table.insert(ours.to_owned(), convert(value)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> Result<(Table, Vec<String>)> {
        let mut table: Table = text.parse().expect("TOML");
        let left_out = translate(&mut table)?;
        Ok((table, left_out))
    }

    #[test]
    fn their_words_become_ours() {
        let (table, left_out) = translated(
            "do_train = true\nddp_timeout = 1\ndisable_gradient_checkpointing = true\npure_bf16 = true",
        )
        .expect("a usable table");
        assert_eq!(table, "gradient_checkpointing = false\nbf16 = true".parse().expect("TOML"));
        assert_eq!(left_out, ["ddp_timeout"]);
    }

    #[test]
    fn what_is_not_done_here_is_refused() {
        for (text, named) in [
            ("fp16 = true", "fp16"),
            ("bf16 = true\npure_bf16 = false", "pure_bf16"),
            ("disable_gradient_checkpointing = 1", "disable_gradient_checkpointing"),
            ("eval_strategy = \"epoch\"", "eval_strategy"),
        ] {
            let error = translated(text).expect_err(text).to_string();
            assert!(error.contains(named) && error.contains("\nhint: "), "{error}");
        }
    }
}
