//! `config.json` as a whole: which architecture, both towers, and the ids that join them.

use super::fields::{read_fields, read_object};
use super::{ConfigError, RopeScaling, TextConfig, TokenIdList, VisionConfig};
use serde_json::{Map, Value, json};

const FILE: &str = "config.json";

/// The architectures that this core computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Full attention and LayerNorm in the vision tower.
    Qwen2Vl,
    /// Window attention, RMSNorm and SwiGLU in the vision tower.
    Qwen25Vl,
}

impl Architecture {
    /// As `model_type` spells it.
    #[must_use]
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Qwen2Vl => "qwen2_vl",
            Self::Qwen25Vl => "qwen2_5_vl",
        }
    }

    /// As `architectures` spells it.
    #[must_use]
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Qwen2Vl => "Qwen2VLForConditionalGeneration",
            Self::Qwen25Vl => "Qwen2_5_VLForConditionalGeneration",
        }
    }
}

/// Ids of the tokens that have a meaning to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenIds {
    /// Stands where one merged patch of an image goes.
    pub image: u32,
    /// Stands where one merged patch of a video goes.
    pub video: u32,
    /// Before an image or video.
    pub vision_start: u32,
    /// After an image or video.
    pub vision_end: u32,
}

/// The whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Which network.
    pub architecture: Architecture,
    /// The language model.
    pub text: TextConfig,
    /// The vision tower.
    pub vision: VisionConfig,
    /// Ids that join text and images.
    pub tokens: TokenIds,
    /// First token of a text, where the checkpoint names one.
    pub bos_token_id: Option<u32>,
    /// Last tokens of an answer, where the checkpoint names them.
    pub eos_token_id: TokenIdList,
    /// `float32`, `float16` or `bfloat16`, as the checkpoint says of itself.
    pub dtype: String,
}

impl ModelConfig {
    /// Reads `config.json` in either layout.
    ///
    /// # Errors
    /// No JSON, another architecture, a missing size, or sizes that contradict each other.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let root = read_object(FILE, text)?;
        let architecture = architecture(&root)?;
        let (at, text_fields) = match root.get("text_config") {
            Some(Value::Object(nested)) => {
                let mut fields = nested.clone();
                if let Some(tied) = root.get("tie_word_embeddings") {
                    fields.insert("tie_word_embeddings".into(), tied.clone());
                }
                ("text_config", fields)
            }
            _ => ("", root.clone()),
        };
        let text_config = text_config(at, text_fields)?;
        let vision = vision_config(architecture, &root, text_config.hidden_size)?;
        text_config.check()?;
        vision.check(text_config.hidden_size)?;
        let id = |field: &str, default: Option<u32>| id_field(&root, field, default);
        let tokens = TokenIds {
            image: id("image_token_id", Some(151_655))?.unwrap_or_default(),
            video: id("video_token_id", Some(151_656))?.unwrap_or_default(),
            vision_start: id("vision_start_token_id", Some(151_652))?.unwrap_or_default(),
            vision_end: id("vision_end_token_id", Some(151_653))?.unwrap_or_default(),
        };
        if tokens.image as usize >= text_config.vocab_size {
            let expected = format!("an id below vocab_size ({})", text_config.vocab_size);
            return Err(ConfigError::value(FILE, "image_token_id", tokens.image, expected));
        }
        let dtype = root
            .get("torch_dtype")
            .or_else(|| root.get("dtype"))
            .and_then(Value::as_str)
            .unwrap_or("float32")
            .trim_start_matches("torch.")
            .to_owned();
        Ok(Self {
            architecture,
            bos_token_id: id("bos_token_id", None)?,
            eos_token_id: end_ids(&root)?,
            text: text_config,
            vision,
            tokens,
            dtype,
        })
    }

    /// Writes the flat layout of the published checkpoints, which every version of transformers
    /// that knows the architecture loads.
    ///
    /// # Panics
    /// Never: the fields are plain numbers and strings.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut root = Map::new();
        root.insert("architectures".into(), json!([self.architecture.class_name()]));
        root.insert("model_type".into(), json!(self.architecture.model_type()));
        let Ok(Value::Object(text)) = serde_json::to_value(&self.text) else {
            unreachable!("a plain struct is a JSON object")
        };
        root.extend(text);
        let Ok(Value::Object(mut vision)) = serde_json::to_value(&self.vision) else {
            unreachable!("a plain struct is a JSON object")
        };
        vision.insert("model_type".into(), json!(self.architecture.model_type()));
        vision.insert("spatial_patch_size".into(), json!(self.vision.patch_size));
        vision.insert("in_channels".into(), json!(self.vision.in_chans));
        match self.architecture {
            Architecture::Qwen25Vl => {}
            Architecture::Qwen2Vl => {
                for field in [
                    "intermediate_size",
                    "out_hidden_size",
                    "window_size",
                    "fullatt_block_indexes",
                    "tokens_per_second",
                ] {
                    vision.shift_remove(field);
                }
                let ratio = self.vision.intermediate_size / self.vision.hidden_size;
                vision.insert("embed_dim".into(), json!(self.vision.hidden_size));
                vision.insert("hidden_size".into(), json!(self.vision.out_hidden_size));
                vision.insert("mlp_ratio".into(), json!(ratio));
            }
        }
        root.insert("vision_config".into(), Value::Object(vision));
        root.insert("image_token_id".into(), json!(self.tokens.image));
        root.insert("video_token_id".into(), json!(self.tokens.video));
        root.insert("vision_start_token_id".into(), json!(self.tokens.vision_start));
        root.insert("vision_end_token_id".into(), json!(self.tokens.vision_end));
        if let Some(id) = self.bos_token_id {
            root.insert("bos_token_id".into(), json!(id));
        }
        if self.eos_token_id != TokenIdList::Absent {
            root.insert("eos_token_id".into(), json!(self.eos_token_id));
        }
        root.insert("torch_dtype".into(), json!(self.dtype));
        serde_json::to_string_pretty(&root).unwrap_or_default() + "\n"
    }
}

fn architecture(root: &Map<String, Value>) -> Result<Architecture, ConfigError> {
    let class = root.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let model_type = root.get("model_type").and_then(Value::as_str);
    match (model_type, class) {
        (Some("qwen2_5_vl"), _) | (None, Some("Qwen2_5_VLForConditionalGeneration")) => {
            Ok(Architecture::Qwen25Vl)
        }
        (Some("qwen2_vl"), _) | (None, Some("Qwen2VLForConditionalGeneration")) => Ok(Architecture::Qwen2Vl),
        (model_type, class) => Err(ConfigError::Architecture {
            found: model_type.or(class).unwrap_or("(neither `model_type` nor `architectures`)").to_owned(),
        }),
    }
}

fn text_config(at: &str, mut fields: Map<String, Value>) -> Result<TextConfig, ConfigError> {
    // transformers 5 moves the base frequency and the sections into one object.
    let rope = ["rope_scaling", "rope_parameters"].into_iter().find_map(|name| match fields.get(name) {
        Some(Value::Object(rope)) if !rope.is_empty() => Some(rope.clone()),
        _ => None,
    });
    let Some(mut rope) = rope.filter(|rope| rope.contains_key("mrope_section")) else {
        return Err(ConfigError::Missing { field: "rope_scaling.mrope_section".into() });
    };
    if let Some(theta) = rope.shift_remove("rope_theta") {
        fields.insert("rope_theta".into(), theta);
    }
    fields.shift_remove("rope_scaling");
    // `null` stands for the default in files that transformers writes.
    fields.retain(|_, value| !value.is_null());
    // What transformers assumes; the published files say 1e-6.
    fields.entry("rms_norm_eps").or_insert(json!(1e-5));
    let mut config: TextConfig = read_fields(FILE, at, fields)?;
    config.rope_scaling = RopeScaling::read(at, rope)?;
    if config.num_key_value_heads == 0 {
        config.num_key_value_heads = config.num_attention_heads;
    }
    Ok(config)
}

fn vision_config(
    architecture: Architecture,
    root: &Map<String, Value>,
    text_hidden_size: usize,
) -> Result<VisionConfig, ConfigError> {
    let Some(Value::Object(found)) = root.get("vision_config") else {
        return Err(ConfigError::Missing { field: "vision_config".into() });
    };
    let mut fields = found.clone();
    fields.retain(|_, value| !value.is_null());
    // Either spelling of the channels; transformers writes both.
    if let Some(channels) = fields.shift_remove("in_channels") {
        fields.entry("in_chans").or_insert(channels);
    }
    if architecture == Architecture::Qwen2Vl {
        let mut size = |field: &str, default: usize| match fields.shift_remove(field) {
            Some(value) => read_fields(FILE, &format!("vision_config.{field}"), value),
            None => Ok(default),
        };
        let (width, out) = (size("embed_dim", 1280)?, size("hidden_size", text_hidden_size)?);
        let ratio = size("mlp_ratio", 4)?;
        fields.insert("hidden_size".into(), json!(width));
        fields.insert("out_hidden_size".into(), json!(out));
        fields.insert("intermediate_size".into(), json!(width.saturating_mul(ratio)));
        fields.insert("window_size".into(), json!(0));
        fields.insert("fullatt_block_indexes".into(), json!([]));
        fields.entry("hidden_act").or_insert(json!("quick_gelu"));
    }
    let blocks_are_named = fields.contains_key("fullatt_block_indexes");
    let mut config: VisionConfig = read_fields(FILE, "vision_config", fields)?;
    if !blocks_are_named {
        // The default is that of 32 blocks; transformers passes over what a shallower tower lacks.
        let depth = config.depth;
        config.fullatt_block_indexes.retain(|index| *index < depth);
    }
    let expected = match architecture {
        Architecture::Qwen2Vl => "quick_gelu",
        Architecture::Qwen25Vl => "silu",
    };
    if config.hidden_act != expected {
        return Err(ConfigError::value(FILE, "vision_config.hidden_act", &config.hidden_act, expected));
    }
    Ok(config)
}

fn id_field(
    root: &Map<String, Value>,
    field: &str,
    default: Option<u32>,
) -> Result<Option<u32>, ConfigError> {
    let nested = root.get("text_config").and_then(|text| text.get(field));
    match root.get(field).filter(|value| !value.is_null()).or(nested) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .map(Some)
            .ok_or_else(|| ConfigError::value(FILE, field, value, "a token id")),
    }
}

/// The end tokens, one or several.
fn end_ids(root: &Map<String, Value>) -> Result<TokenIdList, ConfigError> {
    const FIELD: &str = "eos_token_id";
    let nested = root.get("text_config").and_then(|text| text.get(FIELD));
    match root.get(FIELD).filter(|value| !value.is_null()).or(nested) {
        None | Some(Value::Null) => Ok(TokenIdList::Absent),
        Some(value) => read_fields(FILE, FIELD, value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

    /// The nano preset's `config.json` with one value changed, read back.
    fn read_with(architecture: Architecture, place: &str, value: Value) -> Result<ModelConfig, ConfigError> {
        let mut model = preset("nano").expect("a preset").model;
        model.architecture = architecture;
        if architecture == Architecture::Qwen2Vl {
            // This tower's feed-forward layer is a multiple of its width.
            model.vision.intermediate_size = 2 * model.vision.hidden_size;
            model.vision.hidden_act = "quick_gelu".into();
        }
        let mut json: Value = serde_json::from_str(&model.to_json()).expect("our own file");
        *json.pointer_mut(place).expect("a field") = value;
        ModelConfig::from_json(&json.to_string())
    }

    #[test]
    fn a_value_that_cannot_be_names_its_field() {
        for (place, value) in [
            ("/hidden_size", json!("32")),
            ("/hidden_size", json!(-32)),
            ("/num_hidden_layers", json!(1001)),
            ("/rope_scaling/mrope_section", json!([2, 2])),
            ("/rope_scaling/mrope_section", json!([u64::MAX, 2, 2])),
            ("/rope_scaling/mrope_section", json!([1_u64 << 63, 0, 0])),
            ("/rope_theta", json!(0)),
            ("/rms_norm_eps", json!(-1e-6)),
            ("/vision_config/depth", json!(1001)),
            ("/vision_config/patch_size", json!(257)),
            ("/vision_config/spatial_merge_size", json!(8192)),
            ("/vision_config/temporal_patch_size", json!(257)),
        ] {
            for architecture in [Architecture::Qwen25Vl, Architecture::Qwen2Vl] {
                let error = read_with(architecture, place, value.clone()).unwrap_err();
                let field = place[1..].replace('/', ".");
                assert!(error.to_string().starts_with(&format!("config.json: `{field}`")), "{error}");
            }
        }
    }

    #[test]
    fn absent_fields_have_the_defaults_of_transformers() {
        let model = preset("nano").expect("a preset").model;
        let mut json: Value = serde_json::from_str(&model.to_json()).expect("our own file");
        json.as_object_mut().expect("an object").shift_remove("rms_norm_eps");
        json["vision_config"].as_object_mut().expect("an object").shift_remove("fullatt_block_indexes");
        json["vision_config"]["depth"] = json!(8);
        json["eos_token_id"] = json!([5, 7]);
        let read = ModelConfig::from_json(&json.to_string()).expect("a whole config");
        assert!((read.text.rms_norm_eps - 1e-5).abs() < 1e-12, "{}", read.text.rms_norm_eps);
        assert_eq!(read.vision.fullatt_block_indexes, [7]);
        assert_eq!(read.eos_token_id.ids(), [5, 7]);
        assert_eq!(ModelConfig::from_json(&read.to_json()).expect("our own file"), read);
    }

    #[test]
    fn stretched_positions_are_written_as_they_were_read() {
        let yarn = json!({ "type": "yarn", "mrope_section": [4, 6, 6], "factor": 4.0 });
        let read = read_with(Architecture::Qwen25Vl, "/rope_scaling", yarn.clone()).expect("yarn");
        let written: Value = serde_json::from_str(&read.to_json()).expect("our own file");
        assert_eq!(written["rope_scaling"], yarn);
    }

    #[test]
    fn fields_that_only_qwen2_vl_has_are_named_as_it_spells_them() {
        for field in ["embed_dim", "hidden_size", "mlp_ratio"] {
            let place = format!("/vision_config/{field}");
            let error = read_with(Architecture::Qwen2Vl, &place, json!("wide")).unwrap_err();
            assert!(error.to_string().contains(&format!("`vision_config.{field}`")), "{error}");
        }
    }
}
