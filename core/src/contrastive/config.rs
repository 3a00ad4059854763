//! `config.json` of CLIP and SigLIP, whose published files leave out whatever is a default.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/siglip/configuration_siglip.py>,
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/clip/configuration_clip.py>

use super::ContrastiveError;
use crate::config::ConfigError;
use crate::config::fields::{read_fields, read_object};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const FILE: &str = "config.json";

/// Which of the two models a checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Class and end tokens, projections without bias, causal text.
    Clip,
    /// Attention pooling over patches, the text's last place, no causal mask.
    Siglip,
}

/// The activation between the two layers of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · σ(1.702 x)`
    QuickGelu,
    /// With the error function.
    Gelu,
    /// With the hyperbolic tangent.
    GeluTanh,
}

/// Sizes of one tower.
#[derive(Debug, Clone, PartialEq)]
pub struct TowerConfig {
    /// Width of a state.
    pub hidden_size: usize,
    /// Width between the two layers of a feed-forward part.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Added to variances.
    pub layer_norm_eps: f64,
    /// Of the feed-forward parts.
    pub activation: Activation,
}

/// Sizes of both towers.
#[derive(Debug, Clone, PartialEq)]
pub struct ContrastiveConfig {
    /// CLIP or SigLIP.
    pub family: Family,
    /// The tower that reads.
    pub text: TowerConfig,
    /// The tower that looks.
    pub vision: TowerConfig,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Most tokens of a text; SigLIP fills every text up to it.
    pub max_tokens: usize,
    /// The token that CLIP pools at; `None` where the largest id is meant (files before 2023).
    pub end_id: Option<u32>,
    /// Side of a photo in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Width of the common space.
    pub width: usize,
}

/// A tower's part of the file.
#[derive(Debug, Default, Deserialize)]
struct Fields {
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    layer_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    projection_size: Option<usize>,
    eos_token_id: Option<u32>,
    image_size: Option<usize>,
    patch_size: Option<usize>,
}

impl ContrastiveConfig {
    /// Whether a `config.json` is of one of the two families, going by its `model_type`.
    #[must_use]
    pub fn is_contrastive(text: &str) -> bool {
        read_object(FILE, text).is_ok_and(|fields| family(&fields).is_ok())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// No JSON, another family, a field of the wrong type, or sizes that do not fit each other.
    pub fn from_json(text: &str) -> Result<Self, ContrastiveError> {
        let fields = read_object(FILE, text)?;
        let family = family(&fields)?;
        let text = tower(&fields, "text_config", "text_config_dict")?;
        let vision = tower(&fields, "vision_config", "vision_config_dict")?;
        let projection: Option<usize> = match fields.get("projection_dim") {
            Some(value) => Some(read_fields(FILE, "projection_dim", value.clone())?),
            None => None,
        };
        // Defaults of transformers' classes: (CLIP's, SigLIP's).
        let by_family = |clip, siglip| if family == Family::Clip { clip } else { siglip };
        let text_width = text.hidden_size.unwrap_or(by_family(512, 768));
        let config = Self {
            family,
            vocab_size: text.vocab_size.unwrap_or(by_family(49_408, 32_000)),
            max_tokens: text.max_position_embeddings.unwrap_or(by_family(77, 64)),
            end_id: Some(text.eos_token_id.unwrap_or(49_407)).filter(|id| *id != 2),
            image_size: vision.image_size.unwrap_or(224),
            patch_size: vision.patch_size.unwrap_or(by_family(32, 16)),
            width: match family {
                Family::Clip => projection.unwrap_or(512),
                Family::Siglip => text.projection_size.unwrap_or(text_width),
            },
            text: sizes(
                "text_config",
                &text,
                family,
                by_family(512, 768),
                by_family(2048, 3072),
                by_family(8, 12),
            )?,
            vision: sizes("vision_config", &vision, family, 768, 3072, 12)?,
        };
        config.check()?;
        Ok(config)
    }

    /// Patches along one side; pixels that fill no patch are passed over.
    #[must_use]
    pub fn side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Numbers in one patch.
    #[must_use]
    pub fn patch_dim(&self) -> usize {
        3 * self.patch_size * self.patch_size
    }

    fn check(&self) -> Result<(), ContrastiveError> {
        // Far above any published model, and low enough that no product of sizes overflows.
        const LARGEST: usize = 1 << 20;
        const MOST_LAYERS: usize = 512;
        const LARGEST_IMAGE: usize = 4096;
        for (field, value, largest) in [
            ("text_config.hidden_size", self.text.hidden_size, LARGEST),
            ("text_config.intermediate_size", self.text.intermediate_size, LARGEST),
            ("text_config.num_hidden_layers", self.text.layers, MOST_LAYERS),
            ("text_config.num_attention_heads", self.text.heads, LARGEST),
            ("text_config.vocab_size", self.vocab_size, 1 << 24),
            ("text_config.max_position_embeddings", self.max_tokens, LARGEST),
            ("vision_config.hidden_size", self.vision.hidden_size, LARGEST),
            ("vision_config.intermediate_size", self.vision.intermediate_size, LARGEST),
            ("vision_config.num_hidden_layers", self.vision.layers, MOST_LAYERS),
            ("vision_config.num_attention_heads", self.vision.heads, LARGEST),
            ("vision_config.image_size", self.image_size, LARGEST_IMAGE),
            ("vision_config.patch_size", self.patch_size, self.image_size),
            ("projection_dim", self.width, LARGEST),
        ] {
            if value == 0 || value > largest {
                return Err(wrong(field, value, format!("1 to {largest}")));
            }
        }
        for (field, tower) in [("text_config", &self.text), ("vision_config", &self.vision)] {
            if !tower.hidden_size.is_multiple_of(tower.heads) {
                let expected = format!("a multiple of num_attention_heads ({})", tower.heads);
                return Err(wrong(&format!("{field}.hidden_size"), tower.hidden_size, expected));
            }
        }
        if self.family == Family::Siglip && self.vision.hidden_size != self.width {
            let expected = format!("the text's projection_size ({})", self.width);
            return Err(wrong("vision_config.hidden_size", self.vision.hidden_size, expected));
        }
        if self.max_tokens < 2 {
            return Err(wrong("text_config.max_position_embeddings", self.max_tokens, "at least 2".into()));
        }
        Ok(())
    }
}

fn family(fields: &Map<String, Value>) -> Result<Family, ContrastiveError> {
    match fields.get("model_type").and_then(Value::as_str).unwrap_or_default() {
        "clip" => Ok(Family::Clip),
        "siglip" => Ok(Family::Siglip),
        found => Err(ContrastiveError::Family { found: found.to_owned() }),
    }
}

/// A tower's fields; files of 2022 repeat them in a second object, which wins.
fn tower(fields: &Map<String, Value>, name: &'static str, older: &str) -> Result<Fields, ConfigError> {
    let mut found = Map::new();
    for part in [name, older] {
        if let Some(Value::Object(more)) = fields.get(part) {
            found.extend(more.clone());
        }
    }
    found.retain(|_, value| !value.is_null());
    read_fields(FILE, name, found)
}

fn sizes(
    name: &str,
    fields: &Fields,
    family: Family,
    hidden: usize,
    intermediate: usize,
    heads: usize,
) -> Result<TowerConfig, ContrastiveError> {
    let (epsilon, named) = match family {
        Family::Clip => (1e-5, "quick_gelu"),
        Family::Siglip => (1e-6, "gelu_pytorch_tanh"),
    };
    let activation = match fields.hidden_act.as_deref().unwrap_or(named) {
        "quick_gelu" => Activation::QuickGelu,
        "gelu" => Activation::Gelu,
        "gelu_pytorch_tanh" | "gelu_new" => Activation::GeluTanh,
        other => {
            let expected = "quick_gelu, gelu or gelu_pytorch_tanh".to_owned();
            return Err(wrong(&format!("{name}.hidden_act"), other, expected));
        }
    };
    Ok(TowerConfig {
        hidden_size: fields.hidden_size.unwrap_or(hidden),
        intermediate_size: fields.intermediate_size.unwrap_or(intermediate),
        layers: fields.num_hidden_layers.unwrap_or(12),
        heads: fields.num_attention_heads.unwrap_or(heads),
        layer_norm_eps: fields.layer_norm_eps.unwrap_or(epsilon),
        activation,
    })
}

fn wrong(field: &str, found: impl ToString, expected: String) -> ContrastiveError {
    let (field, found) = (field.to_owned(), found.to_string());
    ContrastiveError::Config(ConfigError::Value { file: FILE, field, found, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What `google/siglip-base-patch16-256` and `openai/clip-vit-large-patch14` publish.
    #[test]
    fn published_files_are_completed_with_the_defaults_of_their_family() {
        let siglip = json!({ "model_type": "siglip", "text_config": { "model_type": "siglip_text_model" },
            "vision_config": { "image_size": 256, "model_type": "siglip_vision_model" } });
        let siglip = ContrastiveConfig::from_json(&siglip.to_string()).unwrap();
        assert_eq!(
            (siglip.vocab_size, siglip.max_tokens, siglip.width, siglip.side()),
            (32_000, 64, 768, 16)
        );
        assert_eq!(siglip.vision.activation, Activation::GeluTanh);
        let clip = json!({ "model_type": "clip", "projection_dim": 768,
            "text_config": { "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "eos_token_id": 2 },
            "vision_config_dict": { "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
                "num_attention_heads": 16, "patch_size": 14 }, "vision_config": { "hidden_size": 7 } });
        let clip = ContrastiveConfig::from_json(&clip.to_string()).unwrap();
        assert_eq!((clip.vision.hidden_size, clip.vision.layers, clip.width), (1024, 24, 768));
        assert_eq!((clip.end_id, clip.vision.activation), (None, Activation::QuickGelu));
    }

    #[test]
    fn other_families_and_sizes_that_do_not_fit_are_refused_by_name() {
        for (file, named) in [
            (json!({ "model_type": "qwen2_vl" }), "qwen2_vl"),
            (json!({}), "neither"),
            (json!([]), "config.json"),
            (
                json!({ "model_type": "clip", "text_config": { "hidden_size": "x" } }),
                "text_config.hidden_size",
            ),
            (
                json!({ "model_type": "clip", "text_config": { "hidden_act": "relu" } }),
                "text_config.hidden_act",
            ),
            (
                json!({ "model_type": "clip", "vision_config": { "patch_size": 0 } }),
                "vision_config.patch_size",
            ),
            (
                json!({ "model_type": "clip", "vision_config": { "num_attention_heads": 7 } }),
                "num_attention_heads",
            ),
            (json!({ "model_type": "siglip", "text_config": { "projection_size": 9 } }), "projection_size"),
            (json!({ "model_type": "clip", "projection_dim": -1 }), "projection_dim"),
        ] {
            let error = ContrastiveConfig::from_json(&file.to_string()).unwrap_err();
            assert!(error.to_string().contains(named), "{file}: {error}");
        }
    }
}
