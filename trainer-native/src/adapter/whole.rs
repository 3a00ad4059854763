//! Modules that are trained as a whole beside the adapter: `additional_target`, PEFT's
//! `modules_to_save`.

use anyhow::{Result, bail};
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::weights::{is_adapter, newer_name, stored_name};

/// Whether a parameter lies in a module that one of the targets names, by the end of its name.
#[must_use]
pub fn is_within(parameter: &str, targets: &[String]) -> bool {
    let name = newer_name(parameter);
    let mut module = name.as_str();
    while let Some((outer, _)) = module.rsplit_once('.') {
        module = outer;
        let ends_with = |target: &String| {
            module.strip_suffix(target.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if targets.iter().any(ends_with) {
            return true;
        }
    }
    false
}

/// Freezes the model but for the modules that are trained as a whole.
///
/// # Errors
/// A target is no module of this model.
pub fn freeze_rest(model: VisionLanguageModel, targets: &[String]) -> Result<VisionLanguageModel> {
    let mut choose = Choose { path: Vec::new(), targets, found: Vec::new() };
    let model = model.map(&mut choose);
    for target in targets {
        let target = std::slice::from_ref(target);
        if !choose.found.iter().any(|name| is_within(name, target)) {
            bail!(
                "`additional_target` names `{}`, which is no module of this model\nhint: for example embed_tokens, \
                 lm_head (where the embedding is not tied) or visual.merger",
                target[0]
            );
        }
    }
    Ok(model)
}

struct Choose<'run> {
    path: Vec<String>,
    targets: &'run [String],
    found: Vec<String>,
}

impl ModuleMapper for Choose<'_> {
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

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = stored_name(&self.path.join("."));
        let is_whole = is_within(&name, self.targets);
        if is_whole {
            self.found.push(name.clone());
        }
        let id: ParamId = param.id;
        let tensor = param.val();
        let is_trained = is_whole || is_adapter(&name);
        Param::initialized(id, tensor.set_require_grad(is_trained))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_end_of_a_modules_name() {
        let is = |parameter: &str, target: &str| is_within(parameter, &[target.to_owned()]);
        assert!(is("lm_head.weight", "lm_head"));
        assert!(is("model.embed_tokens.weight", "embed_tokens"));
        assert!(is("visual.merger.ln_q.weight", "visual.merger"));
        assert!(is("visual.merger.ln_q.weight", "merger"));
        assert!(is("model.norm.weight", "language_model.norm"));
        assert!(!is("visual.merger.ln_q.weight", "erger"));
        assert!(!is("lm_head.weight", "weight"));
        assert!(!is_within("lm_head.weight", &[]));
    }
}
