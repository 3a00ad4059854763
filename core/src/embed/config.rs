//! The JSON files of an embedder's folder, field for field.
//!
//! `config.json`: <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/bert/configuration_bert.py>,
//! `1_Pooling/config.json`: <https://github.com/UKPLab/sentence-transformers/blob/v3.4.1/sentence_transformers/models/Pooling.py>.

use serde::Deserialize;

/// Sizes of a BERT.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BertConfig {
    /// The family's name, `bert`.
    pub model_type: String,
    /// Tokens that have an embedding.
    pub vocab_size: usize,
    /// Width of states.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of attention.
    pub num_attention_heads: usize,
    /// Width between the two products of a layer's second half.
    pub intermediate_size: usize,
    /// Positions that have an embedding.
    pub max_position_embeddings: usize,
    /// Kinds of segments that have an embedding.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// ε of the norms.
    #[serde(default = "tiny")]
    pub layer_norm_eps: f64,
    /// The activation between the two products.
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// How positions enter.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
    /// Standard deviation of fresh weights.
    #[serde(default = "fresh")]
    pub initializer_range: f64,
}

impl BertConfig {
    /// Whether a `config.json` is of the family, going by its `model_type`.
    #[must_use]
    pub fn is_bert(text: &str) -> bool {
        serde_json::from_str::<serde_json::Value>(text).is_ok_and(|fields| fields["model_type"] == "bert")
    }
}

/// How the states of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// The mean over all tokens.
    #[default]
    Mean,
    /// The state of the first token.
    FirstToken,
}

/// `1_Pooling/config.json`
#[derive(Debug, Deserialize)]
struct PoolingFile {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

impl Pooling {
    /// Reads `1_Pooling/config.json`; `None` is a way of pooling that is not known here.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn from_json(text: &str) -> Result<Option<Self>, serde_json::Error> {
        // serde would take a list for the fields in their order.
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        let file: PoolingFile = serde_json::from_value(fields.into())?;
        Ok(match (file.pooling_mode_mean_tokens, file.pooling_mode_cls_token) {
            (true, false) => Some(Self::Mean),
            (false, true) => Some(Self::FirstToken),
            _ => None,
        })
    }
}

fn two() -> usize {
    2
}

fn tiny() -> f64 {
    1e-12
}

fn gelu() -> String {
    "gelu".into()
}

fn absolute() -> String {
    "absolute".into()
}

fn fresh() -> f64 {
    0.02
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_told_by_its_name() {
        assert!(BertConfig::is_bert(r#"{"model_type": "bert"}"#));
        for other in [r#"{"model_type": "qwen2_5_vl"}"#, "{}", "[]", "{"] {
            assert!(!BertConfig::is_bert(other), "{other}");
        }
    }

    #[test]
    fn pooling_is_the_mean_or_the_first_token() {
        for (text, expected) in [
            (r#"{"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true}"#, Some(Pooling::Mean)),
            (
                r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#,
                Some(Pooling::FirstToken),
            ),
            (r#"{"pooling_mode_max_tokens": true}"#, None),
        ] {
            assert_eq!(Pooling::from_json(text).unwrap(), expected);
        }
        assert!(Pooling::from_json("[]").is_err());
    }
}
