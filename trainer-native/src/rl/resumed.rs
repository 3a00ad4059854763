//! What a run that is gone on with does otherwise than it did.

use super::recipe::RlRecipe;
use crate::checkpoint::read_text;
use crate::entries::{self, RECIPE};
use anyhow::{Result, bail};
use std::path::Path;

const OBJECTIVE: &str = "objective";

/// Holds a recipe against the one that the run was begun with; gives what differs, an entry a line.
///
/// # Errors
/// The run has another objective, or its recipe cannot be read.
pub fn differences(folder: &Path, recipe: &RlRecipe) -> Result<Vec<String>> {
    let path = folder.join(RECIPE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = read_text(&path)?;
    // Runs of earlier versions do not say.
    let says_objective = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key(OBJECTIVE));
    if let Ok(before) = toml::from_str::<RlRecipe>(&text)
        && says_objective
        && before.objective != recipe.objective
    {
        bail!(
            "{} holds a run of `{}`, which cannot be gone on with as `{}`\nhint: go on with `{} --resume`, or choose \
             another output_dir",
            folder.display(),
            before.objective.name(),
            recipe.objective.name(),
            before.objective.name()
        );
    }
    entries::differences(folder, recipe, &[OBJECTIVE])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::Objective;
    use std::fs;

    #[test]
    fn another_objective_is_refused_and_other_settings_are_told() {
        let folder = std::env::temp_dir().join(format!("resumed-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut begun = Objective::Tapo.defaults();
        begun.update.learning_rate = 0.25;
        assert!(differences(&folder, &begun).expect("no recipe").is_empty());
        fs::write(folder.join(RECIPE), toml::to_string_pretty(&begun).expect("TOML")).expect("room");
        assert!(differences(&folder, &begun).expect("the same").is_empty());

        let mut other = begun.clone();
        (other.seed, other.update.learning_rate) = (7, 0.5);
        other.update.vision_tower_lr = Some(0.25);
        other.output_dir = "elsewhere".into();
        assert_eq!(
            differences(&folder, &other).expect("differences"),
            [
                "seed is 7, was 1",
                "update.learning_rate is 0.5, was 0.25",
                "update.vision_tower_lr is 0.25, was absent"
            ]
        );
        let error = differences(&folder, &Objective::Grpo.defaults()).expect_err("another objective");
        assert!(error.to_string().contains("a run of `tapo`") && error.to_string().contains("\nhint: "));

        // As earlier versions have written it.
        let unnamed: String = toml::to_string_pretty(&begun)
            .expect("TOML")
            .lines()
            .filter(|line| !line.starts_with(OBJECTIVE))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(folder.join(RECIPE), unnamed).expect("room");
        assert!(differences(&folder, &begun).expect("nothing is said").is_empty());
        fs::remove_dir_all(folder).expect("our folder");
    }
}
