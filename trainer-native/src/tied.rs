//! Whether the head that is stored beside a tied embedding is its copy; where it is another matrix,
//! transformers uses it, and so do we:
//! <https://github.com/huggingface/transformers/blob/v5.0.0/src/transformers/modeling_utils.py>.

use crate::checkpoint::{map, weight_files};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::weights::{
    EMBEDDING, HEAD, LENGTH_FIELD, TensorPlace, header_length, published_name, read_places,
};
use memmap2::Mmap;
use std::path::Path;

/// `config.json` with `tie_word_embeddings` set to what the weights say; unchanged where the folder cannot
/// be read, which loading it will report.
pub fn settle(folder: &Path, config: String) -> String {
    let is_tied = ModelConfig::from_json(&config).is_ok_and(|config| config.text.tie_word_embeddings);
    if !is_tied || has_own_head(folder) != Some(true) {
        return config;
    }
    let Ok(mut fields) = serde_json::from_str::<serde_json::Value>(&config) else { return config };
    fields["tie_word_embeddings"] = false.into();
    fields.to_string()
}

/// Whether head and embedding are both stored and differ; `None` where one is absent.
fn has_own_head(folder: &Path) -> Option<bool> {
    let (mut head, mut embedding) = (None, None);
    for name in weight_files(folder).ok()? {
        let bytes = map(folder, &name).ok()?;
        let places = places(&name, &bytes)?;
        let find = |wanted: &str| places.iter().find(|place| published_name(&place.name) == wanted).cloned();
        let (here, beside) = (find(HEAD), find(EMBEDDING));
        let bytes = std::rc::Rc::new(bytes);
        head = here.map(|place| (place, bytes.clone())).or(head);
        embedding = beside.map(|place| (place, bytes.clone())).or(embedding);
    }
    let ((head, head_bytes), (embedding, embedding_bytes)) = (head?, embedding?);
    let is_copy =
        head.dtype == embedding.dtype && head_bytes.get(head.bytes) == embedding_bytes.get(embedding.bytes);
    Some(!is_copy && head.shape == embedding.shape)
}

fn places(name: &str, bytes: &Mmap) -> Option<Vec<TensorPlace>> {
    let header = usize::try_from(header_length(*bytes.first_chunk::<LENGTH_FIELD>()?)).ok()?;
    read_places(name, bytes.get(..header)?, bytes.len() as u64).ok()
}
