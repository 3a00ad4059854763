//! Everything below the head, forwards and then backwards from the gradient of its output.
//!
//! Either all that the blocks compute is kept for the way back, or only what goes into each block,
//! which is then computed a second time: activation recomputation, <https://arxiv.org/abs/1604.06174>.
//! burn's own strategy (`BalancedCheckpointing`) recomputes element-wise operations alone and keeps the
//! output of every product, which is most of the memory.

use crate::optimizer::{NamedGradients, accumulate, collect};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use fine_r1_core::config::ModelConfig;
use fine_r1_core::image::Patches;
use fine_r1_core::model::language::Context;
use fine_r1_core::model::vision::Layout;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::model::{Gallery, Prompt, VisionLanguageModel};

/// What a pass keeps for the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All that the blocks compute.
    Activations,
    /// What goes into each block; the rest is computed a second time.
    BlockInputs,
}

/// A pass of some prompts through the model up to its last norm.
#[derive(Debug)]
pub struct Trunk<'pass> {
    model: &'pass VisionLanguageModel,
    config: &'pass ModelConfig,
    prompts: Vec<Prompt>,
    output: Tensor<2>,
    record: Record,
}

#[derive(Debug)]
enum Record {
    /// `[tokens, hidden]`, with the graph that made it.
    Graph(Box<Tensor<2>>),
    Segments(Box<Segments>),
}

/// What goes into every segment of the network.
#[derive(Debug)]
struct Segments {
    /// `[merged, hidden]`, where there are images.
    features: Option<Tensor<2>>,
    /// Where the tower or its merger is trained.
    vision: Option<VisionSegments>,
    context: Context,
    /// `[batch, seq, hidden]`: of the decoder's blocks and, at the end, of its norm.
    inputs: Vec<Tensor<3>>,
}

#[derive(Debug)]
struct VisionSegments {
    layout: Layout,
    /// `[patches, patch_dim]`
    patches: Tensor<2>,
    /// `[patches, hidden]`: of the tower's blocks and, at the end, of its merger.
    inputs: Vec<Tensor<2>>,
}

impl<'pass> Trunk<'pass> {
    /// Reads prompts, padded on the right. `features` are those of the images of the prompts' [`Gallery`]
    /// where they are known already; no gradient flows into what made them.
    ///
    /// # Shapes
    /// - `features`: `[merged, hidden]`, outside of any graph
    #[must_use]
    pub fn forward(
        model: &'pass VisionLanguageModel,
        config: &'pass ModelConfig,
        prompts: &[&Prompt],
        features: Option<Tensor<2>>,
        keep: Keep,
    ) -> Self {
        let (output, record) = match keep {
            Keep::Activations => {
                let embedded = match features {
                    None => model.embed(prompts, PaddingSide::Right, config),
                    Some(features) => {
                        let is_recording = model.device().is_autodiff();
                        let features = if is_recording { Tensor::from_inner(features) } else { features };
                        model.place(prompts, Some(features), PaddingSide::Right, config)
                    }
                };
                let states = model.read(embedded, None, config);
                let [batch, seq, hidden] = states.dims();
                let states = states.reshape([batch * seq, hidden]);
                (states.clone().inner(), Record::Graph(Box::new(states)))
            }
            Keep::BlockInputs => {
                let (output, segments) = segments(model, config, prompts, features);
                (output, Record::Segments(Box::new(segments)))
            }
        };
        let prompts = prompts.iter().map(|prompt| (*prompt).clone()).collect();
        Self { model, config, prompts, output, record }
    }

    /// What the head reads, outside of any graph.
    ///
    /// # Shapes
    /// - output: `[tokens, hidden]`, `tokens` being the prompts' number times the longest's length
    #[must_use]
    pub fn output(&self) -> Tensor<2> {
        self.output.clone()
    }

    /// Gradients of all weights that are trained, from the gradient of [`Self::output`].
    ///
    /// # Shapes
    /// - `gradient`: `[tokens, hidden]`, outside of any graph
    #[must_use]
    pub fn backward(self, gradient: Tensor<2>) -> NamedGradients {
        let mut found = Found { model: self.model, gradients: NamedGradients::new() };
        match self.record {
            Record::Graph(states) => found.backward(*states, gradient),
            Record::Segments(segments) => {
                let prompts: Vec<&Prompt> = self.prompts.iter().collect();
                through_segments(&mut found, self.config, &prompts, *segments, gradient);
            }
        }
        found.gradients
    }
}

fn segments(
    model: &VisionLanguageModel,
    config: &ModelConfig,
    prompts: &[&Prompt],
    known: Option<Tensor<2>>,
) -> (Tensor<2>, Segments) {
    let looks = known.is_none() && is_trained(&model.visual);
    let model = model.valid();
    let gallery = Gallery::new(prompts, &config.vision);
    let images: Vec<&Patches> = gallery.images().iter().map(|image| image.as_ref()).collect();
    let (features, vision) = match known {
        None if looks => vision_segments(&model, config, &images).unzip(),
        None => (model.look(&images, config), None),
        known => (known, None),
    };
    let embedded = model.place(prompts, features.clone(), PaddingSide::Right, config);
    let context = embedded.context(config);
    let mut states = embedded.states;
    let mut inputs = Vec::with_capacity(model.model.layers.len() + 1);
    for layer in &model.model.layers {
        inputs.push(states.clone());
        states = layer.forward(states, &context, None);
    }
    inputs.push(states.clone());
    let [batch, seq, hidden] = states.dims();
    let output = model.model.norm.forward(states).reshape([batch * seq, hidden]);
    (output, Segments { features, vision, context, inputs })
}

/// The features of images, and what goes into every block that makes them.
fn vision_segments(
    model: &VisionLanguageModel,
    config: &ModelConfig,
    images: &[&Patches],
) -> Option<(Tensor<2>, VisionSegments)> {
    let (patches, grids) = model.patches(images, config)?;
    let layout = Layout::new(&config.vision, &grids, &patches.device());
    let mut states = model.visual.enter(patches.clone(), &layout, &config.vision);
    let mut inputs = Vec::with_capacity(model.visual.blocks.len() + 1);
    for index in 0..model.visual.blocks.len() {
        inputs.push(states.clone());
        states = model.visual.pass(index, states, &layout, &config.vision);
    }
    inputs.push(states.clone());
    let features = model.visual.leave(states, &layout);
    Some((features, VisionSegments { layout, patches, inputs }))
}

fn through_segments(
    found: &mut Found,
    config: &ModelConfig,
    prompts: &[&Prompt],
    segments: Segments,
    gradient: Tensor<2>,
) {
    let model = found.model;
    let Segments { features, vision, context, mut inputs } = segments;
    let looks = vision.is_some();
    // From the first segment that is trained on, gradients have to be handed down.
    let mut is_needed = looks || is_trained(&model.model.embed_tokens);
    let needs: Vec<bool> = model
        .model
        .layers
        .iter()
        .map(|layer| {
            let before = is_needed;
            is_needed |= is_trained(layer);
            before
        })
        .collect();
    let input = inputs.pop().expect("the norm's input is the last");
    let shape = input.dims();
    let mut gradient =
        found.segment(input, is_needed, gradient.reshape(shape), |states| model.model.norm.forward(states));
    for (index, needs) in needs.into_iter().enumerate().rev() {
        let (Some(above), Some(input)) = (gradient.take(), inputs.pop()) else { return };
        let layer = &model.model.layers[index];
        gradient = found.segment(input, needs, above, |states| layer.forward(states, &context, None));
    }
    let Some(above) = gradient else { return };
    let Some(features) = features else {
        let states = model.place(prompts, None, PaddingSide::Right, config).states;
        found.backward(states, above);
        return;
    };
    let below = found.segment(features, looks, above, |features| {
        model.place(prompts, Some(features), PaddingSide::Right, config).states
    });
    let (Some(mut gradient), Some(vision)) = (below, vision) else { return };
    let mut inputs = vision.inputs;
    let (tower, layout) = (&model.visual, &vision.layout);
    let mut is_needed = is_trained(&tower.patch_embed);
    let needs: Vec<bool> = tower
        .blocks
        .iter()
        .map(|block| {
            let before = is_needed;
            is_needed |= is_trained(block);
            before
        })
        .collect();
    let Some(input) = inputs.pop() else { return };
    let Some(below) = found.segment(input, is_needed, gradient, |states| tower.leave(states, layout)) else {
        return;
    };
    gradient = below;
    for (index, needs) in needs.into_iter().enumerate().rev() {
        let Some(input) = inputs.pop() else { return };
        let below =
            found.segment(input, needs, gradient, |states| tower.pass(index, states, layout, &config.vision));
        match below {
            Some(below) => gradient = below,
            None => return,
        }
    }
    found.backward(tower.enter(vision.patches, layout, &config.vision), gradient);
}

/// The gradients of a pass so far.
struct Found<'pass> {
    model: &'pass VisionLanguageModel,
    gradients: NamedGradients,
}

impl Found<'_> {
    /// Computes a segment again and goes back through it; gives the gradient of its input where that is
    /// needed.
    fn segment<const IN: usize, const OUT: usize>(
        &mut self,
        input: Tensor<IN>,
        needs_input: bool,
        gradient: Tensor<OUT>,
        forward: impl FnOnce(Tensor<IN>) -> Tensor<OUT>,
    ) -> Option<Tensor<IN>> {
        let input = Tensor::from_inner(input);
        let input = if needs_input { input.require_grad() } else { input };
        let output = forward(input.clone());
        if !output.is_tracked() {
            return None;
        }
        let mut gradients = (output * gradient).sum().backward();
        accumulate(&mut self.gradients, collect(self.model, &mut gradients));
        input.grad_remove(&mut gradients)
    }

    fn backward<const D: usize>(&mut self, output: Tensor<D>, gradient: Tensor<D>) {
        if output.is_tracked() {
            let mut gradients = (output * gradient).sum().backward();
            accumulate(&mut self.gradients, collect(self.model, &mut gradients));
        }
    }
}

/// Whether any weight of a module is to be trained.
#[must_use]
pub fn is_trained<M: Module>(module: &M) -> bool {
    #[derive(Default)]
    struct Search(bool);
    impl ModuleVisitor for Search {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 |= param.val().is_require_grad();
        }
    }
    let mut search = Search::default();
    module.visit(&mut search);
    search.0
}
