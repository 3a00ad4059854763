//! `rope_scaling` of `config.json`: how positions turn queries and keys.
//!
//! Kinds and defaults: <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/modeling_rope_utils.py>.
//! YaRN: Peng et al. 2023, <https://arxiv.org/abs/2309.00071>.

use super::ConfigError;
use super::fields::read_fields;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const FILE: &str = "config.json";

/// How the rotary frequencies are changed for contexts longer than those of the training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RopeKind {
    /// Not at all; `default` is another spelling.
    #[default]
    #[serde(alias = "default")]
    Mrope,
    /// All are divided by `factor`.
    Linear,
    /// Slow ones are divided by `factor`, fast ones are kept.
    Yarn,
}

/// `rope_scaling` of the flat layout.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RopeScaling {
    /// What is done to the frequencies.
    #[serde(rename = "type", default)]
    pub kind: RopeKind,
    /// Frequencies of the time, height and width axis; they sum to `head_dim / 2`.
    pub mrope_section: [usize; 3],
    /// How many times longer contexts become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// YaRN: context of the training in tokens; `max_position_embeddings` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_max_position_embeddings: Option<u64>,
    /// YaRN: multiplies cosines and sines; follows from `factor` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_factor: Option<f64>,
    /// YaRN: turns within the context above which a frequency is kept; 32 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_fast: Option<f64>,
    /// YaRN: turns within the context below which a frequency is divided; 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_slow: Option<f64>,
    /// YaRN: numerator of the inferred `attention_factor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mscale: Option<f64>,
    /// YaRN: denominator of the inferred `attention_factor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mscale_all_dim: Option<f64>,
    /// YaRN: whether the bounds are rounded to whole frequencies; they are where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<bool>,
}

impl RopeScaling {
    /// The published kind, with this many frequencies for time, height and width.
    #[must_use]
    pub fn mrope(mrope_section: [usize; 3]) -> Self {
        Self { mrope_section, ..Self::default() }
    }

    /// Reads the object; `rope_type` of newer files goes before `type`.
    pub(super) fn read(at: &str, mut fields: Map<String, Value>) -> Result<Self, ConfigError> {
        let at = if at.is_empty() { "rope_scaling".to_owned() } else { format!("{at}.rope_scaling") };
        fields.retain(|_, value| !value.is_null());
        if let Some(kind) = fields.shift_remove("rope_type") {
            fields.insert("type".into(), kind);
        }
        let kind = fields.get("type").and_then(Value::as_str);
        if let Some(kind) = kind.filter(|kind| !["mrope", "default", "linear", "yarn"].contains(kind)) {
            return Err(ConfigError::value(
                FILE,
                format!("{at}.type"),
                kind,
                "mrope, default, linear or yarn",
            ));
        }
        let scaling: Self = read_fields(FILE, &at, fields)?;
        scaling.check(&at)?;
        Ok(scaling)
    }

    fn check(&self, at: &str) -> Result<(), ConfigError> {
        let expected = "a number of at least 1";
        match self.factor {
            _ if self.kind == RopeKind::Mrope => {}
            None => return Err(ConfigError::Missing { field: format!("{at}.factor") }),
            Some(factor) if factor < 1.0 => {
                return Err(ConfigError::value(FILE, format!("{at}.factor"), factor, expected));
            }
            Some(_) => {}
        }
        for (field, value) in [
            ("attention_factor", self.attention_factor),
            ("beta_fast", self.beta_fast),
            ("beta_slow", self.beta_slow),
        ] {
            if let Some(value) = value.filter(|value| *value <= 0.0) {
                return Err(ConfigError::value(FILE, format!("{at}.{field}"), value, "above 0"));
            }
        }
        if self.original_max_position_embeddings == Some(0) {
            let field = format!("{at}.original_max_position_embeddings");
            return Err(ConfigError::value(FILE, field, 0, expected));
        }
        Ok(())
    }

    /// The rotary frequencies of heads of `dim` numbers, in radians per position, and what cosines and
    /// sines are multiplied by.
    ///
    /// Computed in f32 where the reference does.
    #[must_use]
    pub fn frequencies(&self, dim: usize, theta: f64, context: usize) -> (Vec<f32>, f32) {
        let factor = self.factor.unwrap_or(1.0);
        let powers: Vec<f32> =
            (0..dim / 2).map(|index| (theta as f32).powf((2 * index) as f32 / dim as f32)).collect();
        match self.kind {
            RopeKind::Mrope => (powers.iter().map(|power| 1.0 / power).collect(), 1.0),
            RopeKind::Linear => (powers.iter().map(|power| 1.0 / power / factor as f32).collect(), 1.0),
            RopeKind::Yarn => {
                let (low, high) = self.yarn_range(dim, theta, context);
                let high = if low == high { high + 0.001 } else { high };
                let blend = |(index, power): (usize, &f32)| {
                    let ramp = ((index as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
                    let kept = 1.0 - ramp;
                    1.0 / (factor as f32 * power) * (1.0 - kept) + 1.0 / power * kept
                };
                (powers.iter().enumerate().map(blend).collect(), self.yarn_scale(factor) as f32)
            }
        }
    }

    /// Between which frequencies YaRN passes from keeping to dividing.
    fn yarn_range(&self, dim: usize, theta: f64, context: usize) -> (f64, f64) {
        let length = self.original_max_position_embeddings.unwrap_or(context as u64) as f64;
        let at = |turns: f64| {
            dim as f64 * (length / (turns * 2.0 * std::f64::consts::PI)).ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (at(self.beta_fast.unwrap_or(32.0)), at(self.beta_slow.unwrap_or(1.0)));
        if self.truncate.unwrap_or(true) {
            (low, high) = (low.floor(), high.ceil());
        }
        (low.max(0.0), high.min(dim as f64 - 1.0))
    }

    fn yarn_scale(&self, factor: f64) -> f64 {
        let scale = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 };
        let given = |number: Option<f64>| number.filter(|number| *number != 0.0);
        self.attention_factor.unwrap_or_else(|| match (given(self.mscale), given(self.mscale_all_dim)) {
            (Some(above), Some(below)) => scale(above) / scale(below),
            _ => scale(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<RopeScaling, ConfigError> {
        let Value::Object(fields) = value else { panic!("an object") };
        RopeScaling::read("", fields)
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            // One unit in the last place: `powf` of another library.
            assert!((found - expected).abs() <= expected * 2.4e-7, "{found} {expected}");
        }
    }

    #[test]
    fn kinds_that_are_not_computed_are_refused_by_name() {
        for kind in ["dynamic", "longrope", "llama3", "su"] {
            for field in ["type", "rope_type"] {
                let error =
                    read(json!({ field: kind, "mrope_section": [2, 1, 1], "factor": 2.0 })).unwrap_err();
                assert!(error.to_string().contains(&format!("`rope_scaling.type` is {kind}")), "{error}");
            }
        }
        assert!(read(json!({ "type": "yarn", "mrope_section": [2, 1, 1] })).is_err());
        assert!(read(json!({ "type": "linear", "mrope_section": [2, 1, 1], "factor": 0 })).is_err());
    }

    #[test]
    fn both_spellings_of_the_kind_are_read_and_one_is_written() {
        for kind in ["mrope", "default"] {
            let scaling = read(json!({ "type": kind, "mrope_section": [2, 1, 1] })).expect("a known kind");
            assert_eq!(scaling, RopeScaling::mrope([2, 1, 1]));
            let written = serde_json::to_value(&scaling).expect("JSON");
            assert_eq!(written, json!({ "type": "mrope", "mrope_section": [2, 1, 1] }));
        }
        let yarn = json!({ "type": "yarn", "mrope_section": [2, 1, 1], "factor": 4.0,
            "original_max_position_embeddings": 1024 });
        assert_eq!(serde_json::to_value(read(yarn.clone()).expect("yarn")).expect("JSON"), yarn);
    }

    /// What `ROPE_INIT_FUNCTIONS` of transformers 5.23 gives for heads of 16 numbers, `rope_theta` 10000 and
    /// a context of 2048.
    #[test]
    fn frequencies_are_those_of_transformers() {
        let cases: [(Value, [f32; 8], f32); 3] = [
            (
                json!({ "type": "linear", "factor": 4.0 }),
                [0.25, 0.079_056_94, 0.025, 0.007_905_695, 0.002_5, 0.000_790_569_47, 0.000_25, 7.905_695e-5],
                1.0,
            ),
            (
                json!({ "type": "yarn", "factor": 4.0 }),
                [1.0, 0.316_227_76, 0.1, 0.025_693_506, 0.006_25, 0.001_383_496_6, 0.000_25, 7.905_695e-5],
                1.138_629_4,
            ),
            (
                json!({ "type": "yarn", "factor": 8.0, "original_max_position_embeddings": 512, "beta_fast": 16.0,
                    "beta_slow": 2.0, "truncate": false, "mscale": 0.7, "mscale_all_dim": 1.3 }),
                [
                    1.0,
                    0.316_227_76,
                    0.071_608_46,
                    0.007_324_998_3,
                    0.001_25,
                    0.000_395_284_73,
                    0.000_125,
                    3.952_847_3e-5,
                ],
                0.901_784,
            ),
        ];
        for (mut value, expected, scale) in cases {
            value["mrope_section"] = json!([4, 2, 2]);
            let (found, found_scale) = read(value).expect("a known kind").frequencies(16, 10_000.0, 2048);
            assert_close(&found, &expected);
            assert_close(&[found_scale], &[scale]);
        }
    }
}
