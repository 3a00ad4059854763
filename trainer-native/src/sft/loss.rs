//! Cross-entropy of the tokens that the model is trained to write.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::model::{Prompt, VisionLanguageModel};

/// Most rows of logits at a time, so that `[tokens, vocab]` never stands in memory as a whole.
const CHUNK_ROWS: usize = 4096;

/// Sum of the negative log-probabilities of all labels; divide by the number of labels for the mean.
///
/// `is_label[i][t]` says whether token `t` of prompt `i` is to be predicted from the tokens before it.
///
/// # Shapes
/// - output: `[1]`
#[must_use]
pub fn token_loss(
    model: &VisionLanguageModel,
    config: &ModelConfig,
    prompts: &[&Prompt],
    is_label: &[&[bool]],
) -> Tensor<1> {
    let embedded = model.embed(prompts, PaddingSide::Right, config);
    let [batch, seq, hidden] = embedded.states.dims();
    let states = model.read(embedded, None, config).reshape([batch * seq, hidden]);
    let mut rows = Vec::new();
    let mut targets = Vec::new();
    for (index, (prompt, is_label)) in prompts.iter().zip(is_label).enumerate() {
        for token in 1..prompt.ids.len() {
            if is_label[token] {
                rows.push((index * seq + token - 1) as i32);
                targets.push(prompt.ids[token] as i32);
            }
        }
    }
    let device = states.device();
    let parts = rows.chunks(CHUNK_ROWS).zip(targets.chunks(CHUNK_ROWS)).map(|(rows, targets)| {
        let count = rows.len();
        let rows = Tensor::<1, Int>::from_ints(rows, &device);
        let targets = Tensor::<2, Int>::from_data(TensorData::new(targets.to_vec(), [count, 1]), &device);
        let logits = model.logits(states.clone().select(0, rows));
        log_softmax(logits, 1).gather(1, targets).sum().neg()
    });
    parts.reduce(|sum, part| sum + part).unwrap_or_else(|| states.clone().sum() * 0.0)
}
