//! Both towers together: prompts with images in, states and logits out.

use super::language::{Context, Decoder, rotary};
use super::linear::product;
use super::positions::Positions;
use super::vision::VisionTower;
use super::{Cache, Gallery, Linear, LinearConfig, cache::CacheShape, mask};
use crate::config::ModelConfig;
use crate::image::{Grid, Patches};
use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData, assert_shape};
use std::sync::Arc;

/// One sequence as the model takes it: ids with expanded placeholders, positions, and the images.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Three-axis positions of the ids.
    pub positions: Positions,
    /// The images in the order of their places. Prompts that show the same image share it, and it is looked
    /// at once for all of them ([`Gallery`]).
    pub images: Vec<Arc<Patches>>,
    /// Tokens of each of the samples that are packed into it, none of which sees another; empty where
    /// it is one sample.
    pub blocks: Vec<usize>,
}

impl Prompt {
    /// Several prompts one after another in one sequence, each with the positions that it has alone and
    /// blind to the others.
    #[must_use]
    pub fn pack(prompts: impl IntoIterator<Item = Self>) -> Self {
        let mut packed = Self::default();
        for prompt in prompts {
            if prompt.blocks.is_empty() {
                packed.blocks.push(prompt.ids.len());
            } else {
                packed.blocks.extend(prompt.blocks);
            }
            packed.ids.extend(prompt.ids);
            packed.images.extend(prompt.images);
            for (axis, more) in packed.positions.axes.iter_mut().zip(prompt.positions.axes) {
                axis.extend(more);
            }
            packed.positions.next = prompt.positions.next;
        }
        packed
    }
}

/// On which side shorter sequences of a batch are filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaddingSide {
    /// For generation: all sequences end together.
    Left,
    /// For training: padding comes after everything that counts, so one causal mask serves all.
    Right,
}

/// Embedded prompts, ready for the decoder.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// `[batch, seq, hidden]`
    pub states: Tensor<3>,
    /// Positions of every sequence, padding included.
    pub positions: Vec<Positions>,
    /// Padding on the left of every sequence.
    pub starts: Vec<usize>,
    /// Tokens of the samples that are packed into every sequence; empty where none is packed.
    pub blocks: Vec<Vec<usize>>,
}

impl Embedded {
    /// Angles and mask of these tokens, for every block of the decoder.
    #[must_use]
    pub fn context(&self, config: &ModelConfig) -> Context {
        let [_, seq, _] = self.states.dims();
        let device = self.states.device();
        let mask = match self.blocks.as_slice() {
            [] => mask::causal(seq, seq, &self.starts, &device),
            blocks => Some(mask::block_causal(seq, blocks, &device)),
        };
        Context { rotary: rotary(&config.text, &self.positions, &device), mask }
    }
}

/// The model of a checkpoint.
#[derive(Module, Debug)]
pub struct VisionLanguageModel {
    /// Looks.
    pub visual: VisionTower,
    /// Reads and writes.
    pub model: Decoder,
    /// `[vocab, hidden]`; `None` where the embedding serves as head.
    pub lm_head: Option<Linear>,
}

impl VisionLanguageModel {
    /// Fresh weights, drawn when first used.
    #[must_use]
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let text = &config.text;
        let head = LinearConfig {
            input: text.hidden_size,
            output: text.vocab_size,
            bias: false,
            std: text.initializer_range,
        };
        Self {
            visual: VisionTower::new(config.architecture, &config.vision, device),
            model: Decoder::new(text, device),
            lm_head: (!text.tie_word_embeddings).then(|| head.init(device)),
        }
    }

    /// Precision of the weights.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.model.embed_tokens.weight.val().dtype()
    }

    /// The device that holds the weights.
    #[must_use]
    pub fn device(&self) -> Device {
        self.model.embed_tokens.weight.val().device()
    }

    /// Looks at images, in their order.
    ///
    /// # Shapes
    /// - output: `[merged, hidden]`, or `None` without images
    #[must_use]
    pub fn look(&self, images: &[&Patches], config: &ModelConfig) -> Option<Tensor<2>> {
        let (patches, grids) = self.patches(images, config)?;
        Some(self.visual.forward(patches, &grids, &config.vision))
    }

    /// The patches of some images on the model's device, and the images' grids.
    ///
    /// # Shapes
    /// - output: `[patches, patch_dim]`, or `None` without images
    #[must_use]
    pub fn patches(&self, images: &[&Patches], config: &ModelConfig) -> Option<(Tensor<2>, Vec<Grid>)> {
        if images.is_empty() {
            return None;
        }
        let values: Vec<f32> = images.iter().flat_map(|image| image.values.iter().copied()).collect();
        let grids: Vec<Grid> = images.iter().map(|image| image.grid).collect();
        let total: usize = grids.iter().map(Grid::patches).sum();
        let data = TensorData::new(values, [total, config.vision.patch_dim()]);
        Some((Tensor::from_data(data, (&self.device(), DType::F32)), grids))
    }

    /// Embeds prompts and puts the images' features in their places. An image that several of them show
    /// is looked at once.
    ///
    /// # Panics
    /// A prompt's places and images do not match; [`Positions::of_prompt`] has checked that. Packed
    /// prompts are padded on the left.
    #[must_use]
    pub fn embed(&self, prompts: &[&Prompt], side: PaddingSide, config: &ModelConfig) -> Embedded {
        let gallery = Gallery::new(prompts, &config.vision);
        let images: Vec<&Patches> = gallery.images().iter().map(|image| image.as_ref()).collect();
        self.place(prompts, self.look(&images, config), side, config)
    }

    /// Embeds prompts and puts features that [`Self::look`] gave for the images of their [`Gallery`] in
    /// their places.
    ///
    /// # Shapes
    /// - `features`: `[merged, hidden]`, or `None` without images
    ///
    /// # Panics
    /// As [`Self::embed`].
    #[must_use]
    pub fn place(
        &self,
        prompts: &[&Prompt],
        features: Option<Tensor<2>>,
        side: PaddingSide,
        config: &ModelConfig,
    ) -> Embedded {
        let device = self.device();
        let batch = prompts.len();
        let seq = prompts.iter().map(|prompt| prompt.ids.len()).max().unwrap_or(0);
        let gallery = Gallery::new(prompts, &config.vision);
        let feature_count = features.as_ref().map_or(0, |features| features.dims()[0]);
        assert_eq!(feature_count, gallery.merged(), "features are those of the prompts' images");
        let mut features_in_order = gallery.rows();

        let mut ids = Vec::with_capacity(batch * seq);
        let mut rows = Vec::with_capacity(batch * seq);
        let mut positions = Vec::with_capacity(batch);
        let mut starts = Vec::with_capacity(batch);
        for prompt in prompts {
            let padding = seq - prompt.ids.len();
            let (before, after) = match side {
                PaddingSide::Left => (padding, 0),
                PaddingSide::Right => (0, padding),
            };
            let padded = |row: &[u32]| {
                let mut ids = vec![0_i32; before];
                ids.extend(row.iter().map(|id| *id as i32));
                ids.resize(before + row.len() + after, 0);
                ids
            };
            for (offset, id) in padded(&prompt.ids).into_iter().enumerate() {
                let inside = offset >= before && offset < before + prompt.ids.len();
                if inside && id == config.tokens.image as i32 {
                    let feature = features_in_order.next().expect("every image token has a feature");
                    rows.push((batch * seq + feature) as i32);
                } else {
                    rows.push(ids.len() as i32);
                }
                ids.push(id);
            }
            let axes = prompt.positions.axes.clone().map(|axis| {
                let mut padded = vec![0; before];
                padded.extend(axis);
                padded.resize(seq, 0);
                padded
            });
            positions.push(Positions { axes, next: prompt.positions.next });
            starts.push(before);
        }
        assert!(features_in_order.next().is_none(), "every feature has an image token");
        let is_packed = prompts.iter().any(|prompt| prompt.blocks.len() > 1);
        assert!(!is_packed || side == PaddingSide::Right, "packed prompts are padded on the right");
        let blocks =
            if is_packed { prompts.iter().map(|prompt| blocks_of(prompt)).collect() } else { vec![] };

        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [batch, seq]), &device);
        let mut states = self.model.embed_tokens.forward(ids);
        if let Some(features) = features {
            let hidden = config.text.hidden_size;
            let rows = Tensor::<1, Int>::from_ints(rows.as_slice(), &device);
            let words = states.reshape([batch * seq, hidden]);
            states = Tensor::cat(vec![words, features], 0).select(0, rows).reshape([batch, seq, hidden]);
        }
        Embedded { states, positions, starts, blocks }
    }

    /// Reads embedded prompts, with or without keeping a cache.
    ///
    /// # Shapes
    /// - output: `[batch, seq, hidden]`, after the last norm
    #[must_use]
    pub fn read(&self, embedded: Embedded, cache: Option<&mut Cache>, config: &ModelConfig) -> Tensor<3> {
        let context = embedded.context(config);
        self.model.forward(embedded.states, &context, cache)
    }

    /// Reads one more token of every row.
    ///
    /// `ids` and `positions` have one entry a row; a text token has the same position on all axes.
    ///
    /// # Shapes
    /// - output: `[batch, 1, hidden]`
    #[must_use]
    pub fn step(&self, ids: &[u32], positions: &[i32], cache: &mut Cache, config: &ModelConfig) -> Tensor<3> {
        let device = self.device();
        let batch = ids.len();
        let values: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(values, [batch, 1]), &device);
        let rows: Vec<Positions> = positions
            .iter()
            .map(|position| Positions { axes: [(); 3].map(|()| vec![*position]), next: position + 1 })
            .collect();
        let context = Context {
            rotary: rotary(&config.text, &rows, &device),
            mask: match cache.hides_padding() {
                true => None,
                false => mask::causal(1, cache.len() + 1, cache.starts(), &device),
            },
        };
        self.model.forward(self.model.embed_tokens.forward(ids), &context, Some(cache))
    }

    /// Scores every token of the vocabulary.
    ///
    /// # Shapes
    /// - input: `[rows, hidden]`
    /// - output: `[rows, vocab]`, f32
    #[must_use]
    pub fn logits(&self, states: Tensor<2>) -> Tensor<2> {
        let [rows, hidden] = states.dims();
        assert_shape!(states, [rows, hidden]);
        let logits = match &self.lm_head {
            Some(head) => head.forward(states),
            None => product(states, self.model.embed_tokens.weight.val()),
        };
        logits.cast(DType::F32)
    }

    /// A cache for this model.
    #[must_use]
    pub fn cache(&self, capacity: usize, starts: Vec<usize>, config: &ModelConfig) -> Cache {
        let shape = CacheShape {
            layers: config.text.num_hidden_layers,
            kv_heads: config.text.num_key_value_heads,
            head_dim: config.text.head_dim(),
            capacity,
        };
        Cache::new(shape, starts, self.dtype(), &self.device())
    }
}

fn blocks_of(prompt: &Prompt) -> Vec<usize> {
    if prompt.blocks.is_empty() { vec![prompt.ids.len()] } else { prompt.blocks.clone() }
}
