//! Whether rows have the pictures that a recipe shows: asked before the first step, as a row may be drawn late.

use super::super::recipe::RlRecipe;
use super::super::views::Picture;
use super::Question;
use anyhow::{Result, bail};

/// Looks for every picture of the views that have answers, and of the contrasts that weigh or are measured.
///
/// # Errors
/// A row has no positive picture, or none in the column that the recipe names for negative ones. Where it names
/// none, rows without negative pictures are held against their mask, as released, and told on stderr.
pub fn require_pictures(questions: &[Question], recipe: &RlRecipe) -> Result<()> {
    let contrasts = recipe.active_contrasts().map(|(picture, _)| picture);
    let needed: Vec<Picture> = recipe.shown().into_iter().chain(contrasts).collect();
    let without = |has: fn(&Question) -> bool| -> Option<(String, &str)> {
        let mut lacking = questions.iter().filter(|question| !has(question));
        let first = lacking.next()?;
        Some((format!("{} of {} rows", 1 + lacking.count(), questions.len()), &first.source))
    };
    if needed.contains(&Picture::Positive)
        && let Some((rows, first)) = without(|question| question.positive.is_some())
    {
        bail!(
            "{rows} have no positive picture, the first is {first}\nhint: name one in `image_noisy` or `positive`, make rows \
             with `trainer-native triplets`, or set views.positive.answers=0"
        );
    }
    if needed.contains(&Picture::Negative)
        && let Some((rows, first)) = without(|question| question.negative.is_some())
    {
        let column = &recipe.data.negative_key;
        if !column.is_empty() {
            bail!(
                "{rows} have no `{column}`, the first is {first}\nhint: data.negative_key names the column of negative \
                 pictures; where it is empty, rows without one are held against their mask"
            );
        }
        eprintln!(
            "warning: {rows} have no negative picture and are held against their mask, as released; the first is {first}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::objective::Objective;
    use super::*;
    use serde_json::Map;

    fn question(source: &str, has_positive: bool, has_negative: bool) -> Question {
        Question {
            source: source.to_owned(),
            columns: Map::new(),
            truth: "A".to_owned(),
            messages: Vec::new(),
            images: Vec::new(),
            positive: has_positive.then(Vec::new),
            negative: has_negative.then(Vec::new),
        }
    }

    #[test]
    fn rows_are_asked_for_what_is_shown_alone() {
        let rows = [question("r:1", true, true), question("r:2", false, true), question("r:3", false, false)];
        let told = |objective: Objective, change: fn(&mut RlRecipe), rows: &[Question]| {
            let mut recipe = objective.defaults();
            change(&mut recipe);
            require_pictures(rows, &recipe).err().map(|error| error.to_string())
        };
        assert_eq!(told(Objective::Grpo, |_| {}, &rows), None);
        assert_eq!(told(Objective::Tapo, |_| {}, &rows[..1]), None);
        let message = told(Objective::Tapo, |_| {}, &rows).expect("two rows lack one");
        assert!(
            message.starts_with("2 of 3 rows have no positive") && message.contains("is r:2\n"),
            "{message}"
        );
        let without_positive = |recipe: &mut RlRecipe| {
            recipe.views.get_mut(&Picture::Positive).expect("a view").answers = 0;
        };
        assert_eq!(told(Objective::Tapo, without_positive, &rows), None, "the mask stands in");
        let named = |recipe: &mut RlRecipe| {
            recipe.views.get_mut(&Picture::Positive).expect("a view").answers = 0;
            recipe.data.negative_key = "other".to_owned();
        };
        let message = told(Objective::Tapo, named, &rows).expect("a row lacks one");
        assert!(
            message.starts_with("1 of 3 rows have no `other`") && message.contains("is r:3\n"),
            "{message}"
        );
    }
}
