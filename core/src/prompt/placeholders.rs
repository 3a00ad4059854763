//! One image token per image becomes one image token per merged patch of that image.
//!
//! Follows `Qwen2_5_VLProcessor.__call__`:
//! <https://github.com/huggingface/transformers/blob/e68dd27a9fee2b856472c856be0a828f72678c27/src/transformers/models/qwen2_5_vl/processing_qwen2_5_vl.py>.

use super::PromptError;

/// Repeats the k-th `image_token` of `text` `merged_counts[k]` times.
///
/// The text must hold exactly as many image tokens as there are counts: a text that spells the
/// image token in its own words is refused like a missing image.
pub fn expand_placeholders(
    text: &str,
    image_token: &str,
    merged_counts: &[usize],
) -> Result<String, PromptError> {
    if image_token.is_empty() {
        return Err(PromptError::EmptyImageToken);
    }
    let placeholders = text.matches(image_token).count();
    if placeholders != merged_counts.len() {
        return Err(PromptError::PlaceholderCount { placeholders, images: merged_counts.len() });
    }
    let merged: usize = merged_counts.iter().sum();
    let mut expanded = String::with_capacity(text.len() + merged * image_token.len());
    let mut pieces = text.split(image_token);
    expanded.extend(pieces.next());
    for (piece, count) in pieces.zip(merged_counts) {
        expanded.extend(std::iter::repeat_n(image_token, *count));
        expanded.push_str(piece);
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "<|image_pad|>";

    #[test]
    fn repeats_each_placeholder_as_often_as_its_image_has_merged_patches() {
        let text = "a<|image_pad|>b<|image_pad|>";
        assert_eq!(
            expand_placeholders(text, IMAGE, &[2, 3]).unwrap(),
            "a<|image_pad|><|image_pad|>b<|image_pad|><|image_pad|><|image_pad|>"
        );
        assert_eq!(expand_placeholders(text, IMAGE, &[1, 1]).unwrap(), text);
        assert_eq!(expand_placeholders("é", IMAGE, &[]).unwrap(), "é");
        assert_eq!(expand_placeholders("", IMAGE, &[]).unwrap(), "");
    }

    #[test]
    fn refuses_more_placeholders_than_images_and_fewer() {
        let more = expand_placeholders("<|image_pad|><|image_pad|>", IMAGE, &[4]).unwrap_err();
        assert_eq!(more.to_string(), "the text has 2 image placeholders, but 1 images were given");
        assert!(more.hint().contains("more image placeholders than images"));
        let fewer = expand_placeholders("none", IMAGE, &[4, 4]).unwrap_err();
        assert_eq!(fewer.to_string(), "the text has 0 image placeholders, but 2 images were given");
        assert!(fewer.hint().contains("fewer image placeholders than images"));
        assert_eq!(expand_placeholders("a", "", &[]).unwrap_err(), PromptError::EmptyImageToken);
    }
}
