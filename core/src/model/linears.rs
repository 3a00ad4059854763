//! Every [`Linear`] of a model, by the name under which checkpoints store its weight.

use super::language::{Attention, DecoderBlock, Mlp};
use super::vision::{FeedForward, VisionBlock};
use super::{Linear, VisionLanguageModel};
use crate::weights::stored_module;

type Named<'model> = Vec<(String, &'model mut Linear)>;

impl VisionLanguageModel {
    /// The layers and their names, such as `lm_head`, in the order of the data.
    pub fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        let merger = &mut self.visual.merger.mlp;
        let merger = named([("first", &mut merger.first), ("last", &mut merger.last)]);
        let mut found = under(
            "visual",
            [
                under("blocks", numbered(&mut self.visual.blocks, vision_block)),
                under("merger", under("mlp", merger)),
            ]
            .into_iter()
            .flatten(),
        );
        found.extend(under("model", under("layers", numbered(&mut self.model.layers, decoder_block))));
        found.extend(self.lm_head.as_mut().map(|head| ("lm_head".to_owned(), head)));
        found.into_iter().map(|(path, linear)| (stored_module(&path), linear)).collect()
    }

    /// The frozen model alone, as it is without its adapters: what trained answers are held against.
    /// The weights are shared, not copied. Modules that are trained as a whole stay as they are; where
    /// there are some, keep the model from before the training.
    #[must_use]
    pub fn without_adapters(&self) -> Self {
        let mut model = self.clone();
        for (_, linear) in model.linears_mut() {
            linear.adapter = None;
        }
        model
    }
}

fn decoder_block(block: &mut DecoderBlock) -> Named<'_> {
    let Attention { q_proj, k_proj, v_proj, o_proj, .. } = &mut block.self_attn;
    let attention = named([("q_proj", q_proj), ("k_proj", k_proj), ("v_proj", v_proj), ("o_proj", o_proj)]);
    under("self_attn", attention).into_iter().chain(under("mlp", mlp(&mut block.mlp))).collect()
}

fn vision_block(block: &mut VisionBlock) -> Named<'_> {
    let attention = named([("qkv", &mut block.attn.qkv), ("proj", &mut block.attn.proj)]);
    let feed_forward = match &mut block.mlp {
        FeedForward::Swiglu(layers) => mlp(layers),
        FeedForward::QuickGelu(layers) => named([("fc1", &mut layers.fc1), ("fc2", &mut layers.fc2)]),
    };
    under("attn", attention).into_iter().chain(under("mlp", feed_forward)).collect()
}

fn mlp(layers: &mut Mlp) -> Named<'_> {
    let Mlp { gate_proj, up_proj, down_proj } = layers;
    named([("gate_proj", gate_proj), ("up_proj", up_proj), ("down_proj", down_proj)])
}

fn named<'model, const N: usize>(layers: [(&str, &'model mut Linear); N]) -> Named<'model> {
    layers.into_iter().map(|(name, linear)| (name.to_owned(), linear)).collect()
}

fn numbered<'model, Block>(
    blocks: &'model mut [Block],
    layers: impl Fn(&'model mut Block) -> Named<'model>,
) -> Named<'model> {
    blocks
        .iter_mut()
        .enumerate()
        .flat_map(|(index, block)| under(&index.to_string(), layers(block)))
        .collect()
}

fn under<'model>(
    name: &str,
    layers: impl IntoIterator<Item = (String, &'model mut Linear)>,
) -> Named<'model> {
    layers.into_iter().map(|(rest, linear)| (format!("{name}.{rest}"), linear)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::{Device, Tensor};
    use std::collections::BTreeSet;

    /// Paths of all matrices but the embedding, as a walk over the module finds them.
    #[derive(Default)]
    struct Matrices {
        path: Vec<String>,
        found: BTreeSet<String>,
    }

    impl ModuleVisitor for Matrices {
        fn enter_module(&mut self, name: &str, container: &str) {
            if !container.starts_with("Enum:") {
                self.path.push(name.to_owned());
            }
        }
        fn exit_module(&mut self, _name: &str, container: &str) {
            if !container.starts_with("Enum:") {
                self.path.pop();
            }
        }
        fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
            let module = self.path[..self.path.len() - 1].join(".");
            if D == 2 && !module.ends_with("embed_tokens") {
                self.found.insert(stored_module(&module));
            }
        }
    }

    #[test]
    fn no_layer_is_left_out() {
        let config = preset("nano").expect("a preset").model;
        let mut model = VisionLanguageModel::new(&config, &Device::flex());
        let mut matrices = Matrices::default();
        model.visit(&mut matrices);
        let names: Vec<String> = model.linears_mut().into_iter().map(|(name, _)| name).collect();
        let unique: BTreeSet<String> = names.iter().cloned().collect();
        assert_eq!(unique.len(), names.len(), "{names:?}");
        assert_eq!(unique, matrices.found);
    }
}
