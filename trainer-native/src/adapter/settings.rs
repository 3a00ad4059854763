//! What a recipe says of its adapter. Keys are LlamaFactory's.

use super::config::AdapterConfig;
use super::quantized::{CodeKind, QuantizationType, Quantizer};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinetuningType {
    /// The weights themselves.
    #[default]
    Full,
    /// An adapter beside frozen weights.
    Lora,
}

/// An adapter and the weights that it stands beside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdapterSettings {
    /// What is trained: `full` the weights themselves, `lora` an adapter beside them.
    pub finetuning_type: FinetuningType,
    /// Folder of the adapter to begin with; a fresh one where empty.
    pub adapter_name_or_path: PathBuf,
    /// Rank of the adapter.
    pub lora_rank: usize,
    /// Numerator of the adapter's scale; twice the rank where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_alpha: Option<f64>,
    /// Share of the adapter's inputs that are set to zero in training.
    pub lora_dropout: f64,
    /// Layers that are adapted, separated by commas, or `all`.
    pub lora_target: String,
    /// Scale by the root of the rank.
    pub use_rslora: bool,
    /// Train lengths of rows, too.
    pub use_dora: bool,
    /// Modules that are trained as a whole beside the adapter, separated by commas.
    pub additional_target: String,
    /// Bits of a frozen weight, 4 or 8; as the checkpoint has it where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization_bit: Option<u8>,
    /// What four bits stand for.
    pub quantization_type: QuantizationType,
    /// Quantise the scales of four-bit weights, too.
    pub double_quantization: bool,
}

impl Default for AdapterSettings {
    fn default() -> Self {
        Self {
            finetuning_type: FinetuningType::Full,
            adapter_name_or_path: PathBuf::new(),
            lora_rank: 8,
            lora_alpha: None,
            lora_dropout: 0.0,
            lora_target: "all".into(),
            use_rslora: false,
            use_dora: false,
            additional_target: String::new(),
            quantization_bit: None,
            quantization_type: QuantizationType::Nf4,
            double_quantization: true,
        }
    }
}

impl AdapterSettings {
    /// Whether an adapter is trained.
    #[must_use]
    pub fn is_lora(&self) -> bool {
        self.finetuning_type == FinetuningType::Lora
    }

    /// Every key with whether its value makes sense and what was expected.
    #[must_use]
    pub fn checks(&self) -> [(&'static str, (bool, &'static str)); 5] {
        let alpha = self.lora_alpha.unwrap_or(1.0);
        let is_plain = self.quantization_bit.is_none() && self.adapter_name_or_path.as_os_str().is_empty();
        [
            ("lora_rank", (self.lora_rank > 0, "at least 1")),
            ("lora_alpha", (alpha > 0.0 && alpha.is_finite(), "a number above 0")),
            ("lora_dropout", ((0.0..1.0).contains(&self.lora_dropout), "at least 0 and below 1")),
            ("quantization_bit", (matches!(self.quantization_bit, None | Some(4 | 8)), "4 or 8")),
            (
                "finetuning_type",
                (self.is_lora() || is_plain, "lora where quantization_bit or adapter_name_or_path is set"),
            ),
        ]
    }

    /// Settings of the adapter of a checkpoint; its layers are not resolved yet.
    #[must_use]
    pub fn config(&self, base: &Path) -> AdapterConfig {
        let whole = self.whole_modules();
        AdapterConfig {
            base_model_name_or_path: Some(base.display().to_string()),
            lora_alpha: self.lora_alpha.unwrap_or(2.0 * self.lora_rank as f64),
            lora_dropout: self.lora_dropout,
            modules_to_save: (!whole.is_empty()).then_some(whole),
            r: self.lora_rank,
            use_dora: self.use_dora,
            use_rslora: self.use_rslora,
            ..AdapterConfig::default()
        }
    }

    /// Modules that are trained as a whole beside the adapter.
    #[must_use]
    pub fn whole_modules(&self) -> Vec<String> {
        let names = self.additional_target.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// How frozen weights are packed; `None` leaves them as they are.
    #[must_use]
    pub fn quantizer(&self) -> Option<Quantizer> {
        self.quantization_bit.map(|bits| match (bits, self.quantization_type) {
            (4, QuantizationType::Nf4) => Quantizer { kind: CodeKind::Nf4, double: self.double_quantization },
            _ => Quantizer { kind: CodeKind::Int8, double: false },
        })
    }
}
