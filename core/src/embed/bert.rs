//! BERT, <https://arxiv.org/abs/1810.04805>: every token looks at every other, norms after the sums.
//!
//! Order of operations of
//! <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/bert/modeling_bert.py>; the
//! pooler, which sentence embeddings do not use, is left out.

use super::BertConfig;
use crate::model::attend::attend;
use crate::model::{LayerNorm, Linear, LinearConfig};
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Int, Tensor, assert_shape};

/// What is added to the scores of padding.
const MASKED: f64 = -1e9;

/// All layers of a BERT.
#[derive(Module, Debug)]
pub struct Bert {
    /// Words, places, segments.
    pub embeddings: Embeddings,
    /// The layers.
    pub encoder: BertEncoder,
}

/// The sum of three embeddings, normed.
#[derive(Module, Debug)]
pub struct Embeddings {
    /// `[vocab, hidden]`
    pub word_embeddings: Table,
    /// `[positions, hidden]`
    pub position_embeddings: Table,
    /// `[segments, hidden]`
    pub token_type_embeddings: Table,
    /// Over `hidden`.
    pub layer_norm: LayerNorm,
}

/// One vector for every number.
#[derive(Module, Debug)]
pub struct Table {
    /// `[rows, hidden]`
    pub weight: Param<Tensor<2>>,
}

/// The layers in their order.
#[derive(Module, Debug)]
pub struct BertEncoder {
    /// One after the other.
    pub layer: Vec<BertLayer>,
}

/// Attention, then two products; a norm after each sum.
#[derive(Module, Debug)]
pub struct BertLayer {
    /// Every token looks at every other.
    pub attention: BertAttention,
    /// `[intermediate, hidden]`
    pub intermediate: Widen,
    /// `[hidden, intermediate]`
    pub output: AddNorm,
    heads: usize,
}

/// The first half of a layer.
#[derive(Module, Debug)]
pub struct BertAttention {
    /// Three products.
    pub self_attention: QueryKeyValue,
    /// `[hidden, hidden]`
    pub output: AddNorm,
}

/// What is asked, what is found, what is taken: `[hidden, hidden]` each.
#[derive(Module, Debug)]
pub struct QueryKeyValue {
    /// What is asked.
    pub query: Linear,
    /// What is found.
    pub key: Linear,
    /// What is taken.
    pub value: Linear,
}

/// A product.
#[derive(Module, Debug)]
pub struct Widen {
    /// `[intermediate, hidden]`
    pub dense: Linear,
}

/// A product, the sum with what went in, a norm.
#[derive(Module, Debug)]
pub struct AddNorm {
    /// The product.
    pub dense: Linear,
    /// Over `hidden`.
    pub layer_norm: LayerNorm,
}

impl Bert {
    /// Fresh weights, drawn when first used.
    #[must_use]
    pub fn new(config: &BertConfig, device: &Device) -> Self {
        let normal = Initializer::Normal { mean: 0.0, std: config.initializer_range };
        let table = |rows| Table { weight: normal.init([rows, config.hidden_size], device) };
        Self {
            embeddings: Embeddings {
                word_embeddings: table(config.vocab_size),
                position_embeddings: table(config.max_position_embeddings),
                token_type_embeddings: table(config.type_vocab_size),
                layer_norm: LayerNorm::new(config.hidden_size, config.layer_norm_eps, device),
            },
            encoder: BertEncoder {
                layer: (0..config.num_hidden_layers).map(|_| BertLayer::new(config, device)).collect(),
            },
        }
    }

    /// The last layer's states.
    ///
    /// # Shapes
    /// - `ids`: `[batch, seq]`
    /// - `mask`: `[batch, seq]`, 1 for a token and 0 for padding
    /// - output: `[batch, seq, hidden]`
    #[must_use]
    pub fn forward(&self, ids: Tensor<2, Int>, mask: Tensor<2>) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        assert_shape!(mask, [batch, seq]);
        let bias = ((mask - 1.0) * -MASKED).reshape([batch, 1, 1, seq]);
        let states = self.embeddings.forward(ids);
        self.encoder.layer.iter().fold(states, |states, layer| layer.forward(states, bias.clone()))
    }
}

impl Embeddings {
    /// # Shapes
    /// - `ids`: `[batch, seq]`
    /// - output: `[batch, seq, hidden]`
    #[must_use]
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        let words = self.word_embeddings.weight.val();
        let [_, hidden] = words.dims();
        let words = words.select(0, ids.reshape([batch * seq])).reshape([batch, seq, hidden]);
        let places = self.position_embeddings.weight.val().narrow(0, 0, seq);
        // Every text is a first segment.
        let segment = self.token_type_embeddings.weight.val().narrow(0, 0, 1);
        self.layer_norm.forward(words + (places + segment).unsqueeze())
    }
}

impl BertLayer {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &BertConfig, device: &Device) -> Self {
        let (hidden, wide, std) = (config.hidden_size, config.intermediate_size, config.initializer_range);
        let linear = |input, output| LinearConfig { input, output, bias: true, std }.init(device);
        let add_norm = |input| AddNorm {
            dense: linear(input, hidden),
            layer_norm: LayerNorm::new(hidden, config.layer_norm_eps, device),
        };
        Self {
            attention: BertAttention {
                self_attention: QueryKeyValue {
                    query: linear(hidden, hidden),
                    key: linear(hidden, hidden),
                    value: linear(hidden, hidden),
                },
                output: add_norm(hidden),
            },
            intermediate: Widen { dense: linear(hidden, wide) },
            output: add_norm(wide),
            heads: config.num_attention_heads,
        }
    }

    /// # Shapes
    /// - input and output: `[batch, seq, hidden]`
    /// - `bias`, added to the scores: `[batch, 1, 1, seq]`
    #[must_use]
    pub fn forward(&self, input: Tensor<3>, bias: Tensor<4>) -> Tensor<3> {
        let [batch, seq, hidden] = input.dims();
        assert_shape!(bias, [batch, 1, 1, seq]);
        let split = |linear: &Linear| {
            let states = linear.forward(input.clone());
            states.reshape([batch, seq, self.heads, hidden / self.heads]).swap_dims(1, 2)
        };
        let QueryKeyValue { query, key, value } = &self.attention.self_attention;
        let attended = attend(split(query), split(key), split(value), Some(bias));
        let attended = self.attention.output.forward(attended, input.clone());
        let wide = gelu(self.intermediate.dense.forward(attended.clone()));
        self.output.forward(wide, attended)
    }
}

impl AddNorm {
    /// # Shapes
    /// - `input`: `[batch, seq, in]`
    /// - `residual` and output: `[batch, seq, hidden]`
    #[must_use]
    pub fn forward(&self, input: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let [batch, seq, hidden] = residual.dims();
        assert_shape!(input, [batch, seq, _]);
        assert_shape!(residual, [batch, seq, hidden]);
        self.layer_norm.forward(self.dense.forward(input) + residual)
    }
}
