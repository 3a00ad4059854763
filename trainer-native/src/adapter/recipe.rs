//! What a recipe says of its adapter.

use super::config::AdapterConfig;
use super::quantized::{CodeKind, QuantizationType, Quantizer};
use crate::sft::SftRecipe;

impl SftRecipe {
    /// Settings of the adapter; its layers are not resolved yet.
    #[must_use]
    pub fn adapter_config(&self) -> AdapterConfig {
        let whole = self.whole_modules();
        AdapterConfig {
            base_model_name_or_path: Some(self.model_name_or_path.display().to_string()),
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
