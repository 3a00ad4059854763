//! Which layers are adapted, as LlamaFactory resolves `lora_target`:
//! <https://github.com/hiyouga/LLaMA-Factory/blob/ff6d4d12eeb035d6ce06805a5733dd7b29f2ac30/src/llamafactory/model/model_utils/visual.py#L196-L211>
//! and, for `all`,
//! <https://github.com/hiyouga/LLaMA-Factory/blob/ff6d4d12eeb035d6ce06805a5733dd7b29f2ac30/src/llamafactory/model/model_utils/misc.py#L28-L52>.

use crate::trainee::Frozen;
use anyhow::{Result, bail};
use fine_r1_core::weights::newer_name;
use std::collections::BTreeSet;

#[derive(PartialEq)]
enum Part {
    VisionTower,
    Projector,
    LanguageModel,
}

fn part_of(name: &str) -> Part {
    match name.strip_prefix("visual.") {
        Some(rest) if rest.starts_with("merger.") => Part::Projector,
        Some(_) => Part::VisionTower,
        None => Part::LanguageModel,
    }
}

fn is_frozen(frozen: Frozen, name: &str) -> bool {
    match part_of(name) {
        Part::VisionTower => frozen.vision_tower,
        Part::Projector => frozen.merger,
        Part::LanguageModel => frozen.language_model,
    }
}

/// The stored names of the layers to adapt, among `names` of all layers.
///
/// # Errors
/// A target has no layer, or all of its layers are frozen.
pub fn resolve(lora_target: &str, frozen: Frozen, names: &[String]) -> Result<Vec<String>> {
    let targets: BTreeSet<&str> = match lora_target.trim() {
        // Every kind of layer but the head's and the merger's.
        "all" => names
            .iter()
            .filter(|name| *name != "lm_head" && part_of(name) != Part::Projector)
            .filter(|name| part_of(name) != Part::VisionTower || !frozen.vision_tower)
            .filter_map(|name| name.rsplit('.').next())
            .collect(),
        listed => listed.split(',').map(str::trim).collect(),
    };
    let matches = |name: &str, target: &str| !target.is_empty() && newer_name(name).contains(target);
    for target in &targets {
        if !names.iter().any(|name| matches(name, target)) {
            let kinds: BTreeSet<&str> = names
                .iter()
                .filter_map(|name| name.rsplit('.').next())
                .filter(|kind| kind.len() > 1)
                .collect();
            bail!(
                "`lora_target` names `{target}`, which is no layer of this model\nhint: use `all`, or some of {}",
                kinds.into_iter().collect::<Vec<_>>().join(", ")
            );
        }
    }
    let chosen: Vec<String> = names
        .iter()
        .filter(|name| !is_frozen(frozen, name) && targets.iter().any(|target| matches(name, target)))
        .cloned()
        .collect();
    if chosen.is_empty() {
        bail!(
            "`lora_target` `{lora_target}` leaves nothing to adapt\nhint: leave out one of freeze_vision_tower, \
             freeze_multi_modal_projector and freeze_language_model"
        );
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        let decoder = ["self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj"];
        let vision = ["attn.qkv", "attn.proj", "mlp.up_proj"];
        let mut names: Vec<String> =
            vision.iter().map(|layer| format!("visual.{}.0.{layer}", "blocks")).collect();
        names.push(format!("visual.merger.mlp.{}", 0));
        names.extend(decoder.iter().map(|layer| format!("model.{}.0.{layer}", "layers")));
        names.push("lm_head".into());
        names
    }

    const NOTHING: Frozen = Frozen { vision_tower: false, merger: false, language_model: false };
    const SIGHT: Frozen = Frozen { vision_tower: true, merger: true, ..NOTHING };

    fn chosen(target: &str, frozen: Frozen) -> Vec<String> {
        let kind = |name: String| {
            let (first, last) = (name.split('.').next(), name.rsplit('.').next());
            format!("{} {}", first.unwrap_or_default(), last.unwrap_or_default())
        };
        resolve(target, frozen, &names()).expect("layers").into_iter().map(kind).collect()
    }

    #[test]
    fn all_is_every_kind_of_layer_but_head_and_merger() {
        assert_eq!(chosen("all", SIGHT), ["model q_proj", "model o_proj", "model up_proj"]);
        assert_eq!(
            chosen("all", NOTHING),
            ["visual qkv", "visual proj", "visual up_proj", "model q_proj", "model o_proj", "model up_proj"]
        );
    }

    #[test]
    fn listed_names_are_looked_for_anywhere_in_a_layers_name() {
        assert_eq!(chosen("q_proj, lm_head", SIGHT), ["model q_proj", "lm_head lm_head"]);
        // As in LlamaFactory, `proj` is part of many names.
        assert_eq!(chosen("proj", SIGHT), ["model q_proj", "model o_proj", "model up_proj"]);
        assert_eq!(chosen("language_model.layers.0.mlp", NOTHING), ["model up_proj"]);
        assert_eq!(chosen("merger", NOTHING), ["visual 0"]);
    }

    #[test]
    fn targets_without_layers_are_refused() {
        for (target, frozen, named) in
            [("q_porj", NOTHING, "q_porj"), ("", NOTHING, "``"), ("qkv", SIGHT, "nothing to adapt")]
        {
            let error = resolve(target, frozen, &names()).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("hint: "), "{error}");
        }
    }
}
