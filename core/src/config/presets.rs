//! The sizes that `init` knows by name.

use super::{
    Architecture, ModelConfig, PreprocessorConfig, RopeScaling, TextConfig, TokenIdList, TokenIds,
    VisionConfig,
};

/// A model to start from: both towers' sizes and the picture sizes they are made for.
#[derive(Debug, Clone)]
pub struct Preset {
    /// What the command line calls it.
    pub name: &'static str,
    /// The network. Token ids are set once the tokenizer exists.
    pub model: ModelConfig,
    /// The preprocessor that goes with it.
    pub preprocessor: PreprocessorConfig,
    /// Tokens that a byte-level BPE learns for it, special tokens included.
    pub tokenizer_vocab: usize,
}

/// Names of all presets.
pub const PRESETS: [&str; 4] = ["nano", "bench-110m", "qwen2.5-vl-3b", "qwen2.5-vl-7b"];

/// The preset of a name, or `None`.
#[must_use]
pub fn preset(name: &str) -> Option<Preset> {
    match name {
        "nano" => Some(nano()),
        "bench-110m" => Some(bench_110m()),
        "qwen2.5-vl-3b" => Some(published("qwen2.5-vl-3b", 2048, 11008, 36, 16, 2, 151_936, true)),
        "qwen2.5-vl-7b" => Some(published("qwen2.5-vl-7b", 3584, 18944, 28, 28, 4, 152_064, false)),
        _ => None,
    }
}

fn nano() -> Preset {
    let pixels = 224 * 112;
    Preset {
        name: "nano",
        model: model(
            TextConfig {
                hidden_size: 128,
                intermediate_size: 384,
                num_hidden_layers: 4,
                num_attention_heads: 4,
                num_key_value_heads: 2,
                vocab_size: 1024,
                max_position_embeddings: 1024,
                rope_theta: 10_000.0,
                rope_scaling: RopeScaling::mrope([4, 6, 6]),
                tie_word_embeddings: true,
                initializer_range: 0.04,
                ..TextConfig::default()
            },
            VisionConfig {
                depth: 6,
                hidden_size: 64,
                intermediate_size: 160,
                num_heads: 4,
                fullatt_block_indexes: vec![2, 5],
                initializer_range: 0.04,
                ..VisionConfig::default()
            },
        ),
        preprocessor: PreprocessorConfig {
            min_pixels: pixels,
            max_pixels: pixels + 28 * 28,
            ..PreprocessorConfig::default()
        },
        tokenizer_vocab: 1024,
    }
}

fn bench_110m() -> Preset {
    Preset {
        name: "bench-110m",
        model: model(
            TextConfig {
                hidden_size: 640,
                intermediate_size: 2560,
                num_hidden_layers: 14,
                num_attention_heads: 10,
                num_key_value_heads: 2,
                vocab_size: 8192,
                max_position_embeddings: 4096,
                rope_scaling: RopeScaling::mrope([8, 12, 12]),
                tie_word_embeddings: true,
                ..TextConfig::default()
            },
            VisionConfig {
                depth: 8,
                hidden_size: 384,
                intermediate_size: 1024,
                num_heads: 6,
                fullatt_block_indexes: vec![3, 7],
                ..VisionConfig::default()
            },
        ),
        preprocessor: PreprocessorConfig::default(),
        tokenizer_vocab: 8192,
    }
}

#[expect(clippy::too_many_arguments, reason = "one row of a table of published sizes")]
fn published(
    name: &'static str,
    hidden_size: usize,
    intermediate_size: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    vocab_size: usize,
    tied: bool,
) -> Preset {
    Preset {
        name,
        model: model(
            TextConfig {
                hidden_size,
                intermediate_size,
                num_hidden_layers: layers,
                num_attention_heads: heads,
                num_key_value_heads: kv_heads,
                vocab_size,
                max_position_embeddings: 128_000,
                rope_scaling: RopeScaling::mrope([16, 24, 24]),
                tie_word_embeddings: tied,
                ..TextConfig::default()
            },
            VisionConfig::default(),
        ),
        preprocessor: PreprocessorConfig::default(),
        tokenizer_vocab: vocab_size,
    }
}

fn model(text: TextConfig, vision: VisionConfig) -> ModelConfig {
    let vision = VisionConfig { out_hidden_size: text.hidden_size, ..vision };
    ModelConfig {
        architecture: Architecture::Qwen25Vl,
        text,
        vision,
        tokens: TokenIds { image: 0, video: 0, vision_start: 0, vision_end: 0 },
        bos_token_id: None,
        eos_token_id: TokenIdList::Absent,
        dtype: "float32".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_reads_back_what_it_writes() {
        for name in PRESETS {
            let preset = preset(name).expect("a listed preset");
            let read = ModelConfig::from_json(&preset.model.to_json()).expect("our own file");
            assert_eq!(read, preset.model, "{name}");
        }
    }

    #[test]
    fn an_unknown_architecture_is_named() {
        let error = ModelConfig::from_json(r#"{"model_type":"llava"}"#).unwrap_err();
        assert!(error.to_string().contains("`llava`"), "{error}");
    }
}
