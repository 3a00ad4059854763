//! How checkpoints spell the model's tensors. The only file that knows.
//!
//! Module fields are spelled as published checkpoints spell them, so what is left is this table.

/// Parts of a module path and what the checkpoint writes instead.
const PARTS: [(&str, &str); 2] = [
    ("visual.merger.mlp.first.", "visual.merger.mlp.0."),
    ("visual.merger.mlp.last.", "visual.merger.mlp.2."),
];

/// Words of a module path that Rust cannot spell as BERT's checkpoints do.
const WORDS: [(&str, &str); 2] = [("self_attention", "self"), ("layer_norm", "LayerNorm")];

/// What a BERT's names begin with where it was saved as part of a larger model.
const BERT_PREFIX: &str = "bert.";

/// Prefixes that newer versions of transformers write, and the published ones they stand for.
const NEWER_PREFIXES: [(&str, &str); 2] = [("model.language_model.", "model."), ("model.visual.", "visual.")];

/// The head's name where it is stored beside the embedding.
pub const HEAD: &str = "lm_head.weight";

/// The embedding's name, whose copy the head is where both are tied.
pub const EMBEDDING: &str = "model.embed_tokens.weight";

/// The name under which a parameter is stored, from its path in the model.
#[must_use]
pub fn stored_name(path: &str) -> String {
    let found =
        PARTS.iter().find_map(|(part, stored)| path.strip_prefix(part).map(|rest| format!("{stored}{rest}")));
    found.unwrap_or_else(|| {
        let word = |part| WORDS.iter().find(|(word, _)| *word == part).map_or(part, |(_, stored)| *stored);
        path.split('.').map(word).collect::<Vec<_>>().join(".")
    })
}

/// The name of a module under which its parameters are stored, from its path in the model.
#[must_use]
pub fn stored_module(path: &str) -> String {
    let mut stored = stored_name(&format!("{path}."));
    stored.pop();
    stored
}

/// Part of the path of every parameter of an adapter, which is no part of a checkpoint.
const ADAPTER: &str = ".adapter.";

/// Ends of the paths of an adapter's parameters, and what PEFT writes instead.
const ADAPTER_PARTS: [(&str, &str); 3] = [
    (".adapter.lora_a", ".lora_A.weight"),
    (".adapter.lora_b", ".lora_B.weight"),
    (".adapter.magnitude.weight", ".lora_magnitude_vector"),
];

/// What PEFT puts before every name.
const ADAPTER_PREFIX: &str = "base_model.model.";

/// Whether a parameter belongs to an adapter, by its stored name or path.
#[must_use]
pub fn is_adapter(name: &str) -> bool {
    name.contains(ADAPTER)
}

/// The name under which PEFT stores a trained parameter, from its stored name.
#[must_use]
pub fn peft_name(stored: &str) -> String {
    let found = ADAPTER_PARTS
        .iter()
        .find_map(|(part, peft)| stored.strip_suffix(part).map(|module| format!("{module}{peft}")));
    format!("{ADAPTER_PREFIX}{}", newer_name(found.as_deref().unwrap_or(stored)))
}

/// The stored name of a parameter, in the published layout, from PEFT's name; `None` where PEFT
/// would not write such a name.
#[must_use]
pub fn name_of_peft(name: &str) -> Option<String> {
    let published = published_name(name.strip_prefix(ADAPTER_PREFIX)?);
    let found = ADAPTER_PARTS
        .iter()
        .find_map(|(part, peft)| published.strip_suffix(peft).map(|module| format!("{module}{part}")));
    Some(found.unwrap_or(published))
}

/// A published name as newer versions of transformers spell it, in memory and in new files.
#[must_use]
pub fn newer_name(published: &str) -> String {
    let found = NEWER_PREFIXES
        .iter()
        .find_map(|(newer, prefix)| published.strip_prefix(prefix).map(|rest| format!("{newer}{rest}")));
    found.unwrap_or_else(|| published.to_owned())
}

/// A stored name in the published layout, whichever layout it came in.
#[must_use]
pub fn published_name(name: &str) -> String {
    let found = NEWER_PREFIXES
        .iter()
        .find_map(|(newer, published)| name.strip_prefix(newer).map(|rest| format!("{published}{rest}")));
    found.unwrap_or_else(|| name.strip_prefix(BERT_PREFIX).unwrap_or(name).to_owned())
}

/// Whether a tensor that the model has no place for may be passed over in silence: tables that old
/// files store and everyone recomputes, and the head's copy of a tied embedding.
#[must_use]
pub fn is_redundant(published: &str, tied: bool) -> bool {
    published.ends_with("rotary_emb.inv_freq")
        || published.ends_with("embeddings.position_ids")
        || (tied && published == HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_meet() {
        assert_eq!(published_name("model.language_model.norm.weight"), "model.norm.weight");
        assert_eq!(published_name("model.visual.merger.ln_q.weight"), "visual.merger.ln_q.weight");
        assert_eq!(published_name("model.layers.0.mlp.up_proj.weight"), "model.layers.0.mlp.up_proj.weight");
        assert_eq!(stored_name("visual.merger.mlp.last.bias"), "visual.merger.mlp.2.bias");
        assert_eq!(stored_name("lm_head.weight"), "lm_head.weight");
        assert_eq!(
            stored_name("encoder.layer.0.attention.self_attention.query.bias"),
            "encoder.layer.0.attention.self.query.bias"
        );
        assert_eq!(stored_name("embeddings.layer_norm.weight"), "embeddings.LayerNorm.weight");
        assert_eq!(published_name("bert.embeddings.LayerNorm.weight"), "embeddings.LayerNorm.weight");
    }

    #[test]
    fn an_adapter_has_the_names_that_peft_gives_it() {
        let layer = "model.layers.0.mlp.up_proj";
        for (stored, peft) in [
            (".adapter.lora_a", ".lora_A.weight"),
            (".adapter.lora_b", ".lora_B.weight"),
            (".adapter.magnitude.weight", ".lora_magnitude_vector"),
            // Trained as a whole.
            (".weight", ".weight"),
        ] {
            let (stored, rest) = (format!("{layer}{stored}"), format!("layers.0.mlp.up_proj{peft}"));
            assert_eq!(peft_name(&stored), format!("base_model.model.model.language_model.{rest}"));
            for prefix in ["model.language_model.", "model."] {
                let name = format!("base_model.model.{prefix}{rest}");
                assert_eq!(name_of_peft(&name).as_deref(), Some(stored.as_str()));
            }
        }
        assert_eq!(peft_name("visual.merger.mlp.2.bias"), "base_model.model.model.visual.merger.mlp.2.bias");
        assert_eq!(name_of_peft("base_model.model.lm_head.weight").as_deref(), Some("lm_head.weight"));
        assert_eq!(name_of_peft("lm_head.weight"), None);
        assert_eq!(stored_module("visual.merger.mlp.first"), "visual.merger.mlp.0");
        assert!(is_adapter("lm_head.adapter.lora_a") && !is_adapter("lm_head.weight"));
    }
}
