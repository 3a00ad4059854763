//! Pre-training, first part: everything that can be seen, as one list in a fixed order, the name last.
//!
//! A fresh model learns the words of such a list within some hundred steps; from then on every token
//! that it gets wrong is one that only looking can mend. Varied conversations ([`super::caption`])
//! come after: with them alone the same model still answered every picture alike after 20,000 of
//! them.

use serde::Serialize;

use super::facts::{Scene, Variant};
use super::write::{Conversation, Turn};

/// Asked for the list.
const QUESTION: &str = "Describe.";

/// Up to this many degrees a view counts as pure side view.
const SIDE_VIEW_DEGREES: i32 = 11;

/// The one conversation about a picture of `truth`.
pub fn inventory(truth: &Variant, scene: &Scene, image: String) -> Conversation {
    let seen = &truth.attributes;
    let yaw = if scene.yaw.abs() <= SIDE_VIEW_DEGREES {
        "side"
    } else if scene.yaw > 0 {
        "towards"
    } else {
        "away"
    };
    let answer = format!(
        "{}, {yaw}, {}, {}, {}, {} {} {}, {} wing, {}, {}, {}, {}",
        written(scene.side),
        written(scene.light),
        written(scene.ground),
        if scene.airborne { "flying" } else { "standing" },
        seen.engines,
        written(seen.engine_kind),
        written(seen.engine_mount),
        written(seen.wing_position),
        written(seen.tail),
        written(seen.wing_tips),
        truth.proportion(),
        truth.name,
    );
    let turn = Turn { kind: "inventory", question: QUESTION.to_string(), answer };
    Conversation { image, turns: vec![turn] }
}

/// The word that the attribute file has for a value.
fn written(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => unreachable!("an attribute is a word"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::{Fleet, fixture};
    use serde_json::json;

    #[test]
    fn the_list_says_what_the_files_say() {
        let fleet = Fleet::new(serde_json::from_value(fixture::variants()).unwrap()).unwrap();
        let truth = &fleet.variants()[0];
        let scene: Scene = serde_json::from_value(json!({
            "side": "right", "yaw": -14, "light": "dusk", "ground": "snow", "airborne": false, "haze": true,
            "cut": false
        }))
        .unwrap();
        let conversation = inventory(truth, &scene, "a.jpg".into());
        let answer = &conversation.turns[0].answer;
        assert!(answer.starts_with("right, away, dusk, snow, standing, "), "{answer}");
        assert!(answer.ends_with(&format!(", {}, {}", truth.proportion(), truth.name)), "{answer}");
    }
}
