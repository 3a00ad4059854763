//! The tower that reads: token ids to one state a text.

use super::{ContrastiveConfig, Encoder, Family};
use crate::model::language::Embedding;
use crate::model::{LayerNorm, Linear, LinearConfig, mask};
use burn::module::Module;
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Embeddings, layers, the last norm, and SigLIP's head.
#[derive(Module, Debug)]
pub struct TextTower {
    /// Vectors of tokens and places.
    pub embeddings: TextEmbeddings,
    /// The layers.
    pub encoder: Encoder,
    /// After them.
    pub final_layer_norm: LayerNorm,
    /// `[width, hidden]` with bias, in SigLIP alone
    pub head: Option<Linear>,
}

/// A vector for every token and for every place.
#[derive(Module, Debug)]
pub struct TextEmbeddings {
    /// `[vocab, hidden]`
    pub token_embedding: Embedding,
    /// `[max_tokens, hidden]`
    pub position_embedding: Embedding,
}

impl TextTower {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &ContrastiveConfig, device: &Device) -> Self {
        let hidden = config.text.hidden_size;
        let head = LinearConfig { input: hidden, output: config.width, bias: true, std: 0.02 };
        Self {
            embeddings: TextEmbeddings {
                token_embedding: table(config.vocab_size, hidden, device),
                position_embedding: table(config.max_tokens, hidden, device),
            },
            encoder: Encoder::new(&config.text, device),
            final_layer_norm: LayerNorm::new(hidden, config.text.layer_norm_eps, device),
            head: (config.family == Family::Siglip).then(|| head.init(device)),
        }
    }

    /// The state of every text: SigLIP's at the last place, padding or not; CLIP's at the end token.
    ///
    /// # Shapes
    /// - `texts`: `batch` lists of ids, none empty and none longer than `max_tokens`
    /// - output: `[batch, width]` in SigLIP, `[batch, hidden]` in CLIP
    #[must_use]
    pub fn forward(&self, texts: &[Vec<u32>], config: &ContrastiveConfig) -> Tensor<2> {
        let device = self.embeddings.token_embedding.weight.val().device();
        let batch = texts.len();
        let seq = texts.iter().map(Vec::len).max().unwrap_or(0);
        // What fills up stands behind everything that CLIP's causal texts see; SigLIP's come filled up.
        let ids: Vec<i32> = texts
            .iter()
            .flat_map(|text| text.iter().map(|id| *id as i32).chain(std::iter::repeat_n(0, seq - text.len())))
            .collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [batch, seq]), &device);
        let places = self.embeddings.position_embedding.weight.val().narrow(0, 0, seq).unsqueeze::<3>();
        let states = self.embeddings.token_embedding.forward(ids) + places;
        let mask = match config.family {
            Family::Clip => mask::causal(seq, seq, &vec![0; batch], &device),
            Family::Siglip => None,
        };
        let states = self.encoder.forward(states, mask.as_ref(), config.text.activation);
        let [_, _, hidden] = states.dims();
        let pooled: Vec<i32> = texts
            .iter()
            .enumerate()
            .map(|(row, text)| (row * seq + pooled_place(text, config)) as i32)
            .collect();
        let pooled = Tensor::<1, Int>::from_ints(pooled.as_slice(), &device);
        let states = states.reshape([batch * seq, hidden]).select(0, pooled);
        let states = self.final_layer_norm.forward(states);
        match &self.head {
            Some(head) => head.forward(states),
            None => states,
        }
    }
}

/// The place whose state stands for the text.
fn pooled_place(text: &[u32], config: &ContrastiveConfig) -> usize {
    let last = text.len() - 1;
    match (config.family, config.end_id) {
        (Family::Siglip, _) => last,
        (Family::Clip, Some(end)) => text.iter().position(|id| *id == end).unwrap_or(0),
        // Files before 2023 name no usable end token; it has the largest id.
        (Family::Clip, None) => {
            let largest = text.iter().max().copied();
            text.iter().position(|id| Some(*id) == largest).unwrap_or(last)
        }
    }
}

/// A table of vectors.
pub(super) fn table(rows: usize, hidden: usize, device: &Device) -> Embedding {
    Embedding { weight: Initializer::Normal { mean: 0.0, std: 0.02 }.init([rows, hidden], device) }
}
