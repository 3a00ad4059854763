//! Why a run ends before its last step, and what can be done about it.

use super::log::LogLine;
use super::recipe::RlRecipe;
use super::rollout::ScoresAreNoNumbers;
use anyhow::{Error, anyhow};

/// So many steps in a row may learn nothing before the run ends.
pub const MOST_EMPTY_STEPS: usize = 5;

/// Whether the last step's answers leave nothing to learn.
#[must_use]
pub fn is_solved(recipe: &RlRecipe, line: &LogLine) -> bool {
    line.updates_skipped == 0
        && line.reward.get(&recipe.filter.key).is_some_and(|mean| *mean >= recipe.filter.high)
}

/// Why the last steps learnt nothing; `lines` has at least these.
#[must_use]
pub fn nothing_learnt(recipe: &RlRecipe, lines: &[LogLine]) -> Error {
    let last = &lines[lines.len().saturating_sub(MOST_EMPTY_STEPS)..];
    let steps = match last {
        [first, .., last] => format!("steps {} to {}", first.step, last.step),
        [only] => format!("step {}", only.step),
        [] => "no step".to_owned(),
    };
    let sum = |pick: fn(&LogLine) -> usize| last.iter().map(pick).sum::<usize>();
    let (skipped, drawn, kept) =
        (sum(|line| line.updates_skipped), sum(|line| line.groups_drawn), sum(|line| line.groups_kept));
    if skipped > 0 {
        return anyhow!(
            "{steps} learnt nothing: the loss or the gradient of {skipped} updates was no number (NaN or infinite), and \
             these were skipped\nhint: {}",
            lower_rate(recipe)
        );
    }
    let cause = if recipe.filter.enabled {
        format!("{kept} of the {drawn} groups drawn were neither all right nor all wrong")
    } else {
        format!("in none of the {drawn} groups drawn did answers differ in reward")
    };
    anyhow!(
        "{steps} learnt nothing: {cause}\nhint: look at the answers; easier questions, more answers a question, a higher \
         temperature or another reward give something to learn from"
    )
}

/// Says of step `step` (from 0) why nothing could be drawn from the policy's scores; other errors stay as they
/// are.
#[must_use]
pub fn explain(error: Error, recipe: &RlRecipe, step: usize) -> Error {
    if error.downcast_ref::<ScoresAreNoNumbers>().is_none() {
        return error;
    }
    if step == 0 {
        return anyhow!(
            "{}: the model's scores are not numbers (NaN) before anything was learnt\nhint: its weights are damaged, or \
             overflow in this precision: download them again, or try bf16=false and --device flex",
            recipe.model_name_or_path.display()
        );
    }
    anyhow!(
        "step {}: {ScoresAreNoNumbers}: the updates before have spoiled its weights\nhint: {}",
        step + 1,
        lower_rate(recipe)
    )
}

fn lower_rate(recipe: &RlRecipe) -> String {
    format!(
        "lower update.learning_rate (it is {:e}) or update.max_grad_norm (it is {}), and begin anew, or remove the \
         checkpoints that are spoiled and go on with --resume",
        recipe.update.learning_rate, recipe.update.max_grad_norm
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::gather::Gathered;

    fn lines(change: impl Fn(&mut LogLine)) -> Vec<LogLine> {
        let line = |step| {
            let mut line = LogLine::new(step, 100, 10, &Gathered::default());
            (line.groups_drawn, line.groups_used) = (6, 6);
            change(&mut line);
            line
        };
        (1..=7).map(line).collect()
    }

    #[test]
    fn every_reason_has_its_own_words() {
        let mut recipe = RlRecipe::default();
        recipe.update.learning_rate = 1e30;
        let same = nothing_learnt(&recipe, &lines(|_| ())).to_string();
        assert!(
            same.starts_with(
                "steps 3 to 7 learnt nothing: in none of the 30 groups drawn did answers differ"
            ),
            "{same}"
        );
        recipe.filter.enabled = true;
        let filtered = nothing_learnt(&recipe, &lines(|_| ())).to_string();
        assert!(
            filtered.contains("0 of the 30 groups drawn were neither all right nor all wrong"),
            "{filtered}"
        );
        let skipped = nothing_learnt(&recipe, &lines(|line| line.updates_skipped = 2)).to_string();
        assert!(
            skipped.contains("of 10 updates was no number") && skipped.contains("it is 1e30"),
            "{skipped}"
        );
        assert!(!skipped.contains("groups"), "{skipped}");
    }

    #[test]
    fn scores_that_are_no_numbers_are_laid_to_the_checkpoint_or_to_the_updates() {
        let recipe = RlRecipe { model_name_or_path: "start".into(), ..RlRecipe::default() };
        let of = |step| explain(ScoresAreNoNumbers.into(), &recipe, step).to_string();
        assert!(of(0).starts_with("start: ") && of(0).contains("--device flex"), "{}", of(0));
        assert!(of(1).starts_with("step 2: ") && of(1).contains("lower update.learning_rate"), "{}", of(1));
        assert_eq!(explain(anyhow!("a photo"), &recipe, 1).to_string(), "a photo");
    }
}
