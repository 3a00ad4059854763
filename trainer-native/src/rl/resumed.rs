//! What a run that is gone on with does otherwise than it did.

use super::overlay::leaves;
use super::recipe::RlRecipe;
use crate::checkpoint::read_text;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a run's folder has of its settings.
pub const RECIPE: &str = "recipe.toml";

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
    let Ok(before) = toml::from_str::<RlRecipe>(&text) else {
        return Ok(vec![format!("{} is no recipe any more: nothing can be compared", path.display())]);
    };
    // Runs of earlier versions do not say.
    let says_objective = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key(OBJECTIVE));
    if says_objective && before.objective != recipe.objective {
        bail!(
            "{} holds a run of `{}`, which cannot be gone on with as `{}`\nhint: go on with `{} --resume`, or choose \
             another output_dir",
            folder.display(),
            before.objective.name(),
            recipe.objective.name(),
            before.objective.name()
        );
    }
    let (before, now) = (entries(&before)?, entries(recipe)?);
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let value = |entries: &BTreeMap<String, String>, key: &String| {
        entries.get(key).map_or("absent".to_owned(), String::clone)
    };
    Ok(keys
        .into_iter()
        // The folder is the one that is looked at, however it is spelled.
        .filter(|key| ![OBJECTIVE, "output_dir"].contains(&key.as_str()))
        .filter(|key| before.get(*key) != now.get(*key))
        .map(|key| format!("{key} is {}, was {}", value(&now, key), value(&before, key)))
        .collect())
}

const OBJECTIVE: &str = "objective";

/// All entries by their path.
fn entries(recipe: &RlRecipe) -> Result<BTreeMap<String, String>> {
    let found = leaves(toml::Table::try_from(recipe)?);
    Ok(found.into_iter().map(|(path, value)| (path, value.to_string())).collect())
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
