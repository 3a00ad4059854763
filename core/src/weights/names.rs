//! How checkpoints spell the model's tensors. The only file that knows.
//!
//! Module fields are spelled as published checkpoints spell them, so what is left is this table.

/// Parts of a module path and what the checkpoint writes instead.
const PARTS: [(&str, &str); 2] = [
    ("visual.merger.mlp.first.", "visual.merger.mlp.0."),
    ("visual.merger.mlp.last.", "visual.merger.mlp.2."),
];

/// Prefixes that newer versions of transformers write, and the published ones they stand for.
const NEWER_PREFIXES: [(&str, &str); 2] = [("model.language_model.", "model."), ("model.visual.", "visual.")];

/// The head's name where it is stored beside the embedding.
pub const HEAD: &str = "lm_head.weight";

/// The name under which a parameter is stored, from its path in the model.
#[must_use]
pub fn stored_name(path: &str) -> String {
    let found =
        PARTS.iter().find_map(|(part, stored)| path.strip_prefix(part).map(|rest| format!("{stored}{rest}")));
    found.unwrap_or_else(|| path.to_owned())
}

/// A stored name in the published layout, whichever layout it came in.
#[must_use]
pub fn published_name(name: &str) -> String {
    let found = NEWER_PREFIXES
        .iter()
        .find_map(|(newer, published)| name.strip_prefix(newer).map(|rest| format!("{published}{rest}")));
    found.unwrap_or_else(|| name.to_owned())
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
    }
}
