//! Pre-training: short conversations about one picture, two to four questions each. The name is
//! asked in every one, at a random turn, so that it is sometimes asked cold and sometimes after
//! other answers. What gives the name away is only said once it has been asked.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::facts::{
    Feature, Fleet, Ground, Light, Scene, UpperDeck, Variant, WingPosition, capital, differences, listed,
    pick, with_article,
};
use super::rationale::{NAME_QUESTIONS, analysis, draw_options};
use super::write::{Conversation, Turn};
use fine_r1_core::prompt::question::question_text;

/// Share of the name questions that bring their options along.
const CLOSED_SHARE: f64 = 0.35;
/// Share of the open name questions that are answered by a sentence.
const SENTENCE_SHARE: f64 = 0.1;
/// A comparison is with one of the nearest this often, else with anyone.
const NEIGHBOUR_SHARE: f64 = 0.75;

/// What a turn is about, the name aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Family,
    Maker,
    Category,
    Airframe,
    Engines,
    Fuselage,
    Wing,
    Tail,
    Deck,
    Gear,
    View,
    Place,
    Light,
    Haze,
    Frame,
    Summary,
    Difference,
    OtherDiffers,
}

/// How often each kind is drawn. `true`: it may come before the name.
const KINDS: [(Kind, u32, bool); 18] = [
    (Kind::Family, 8, true),
    (Kind::Maker, 4, true),
    (Kind::Category, 5, true),
    (Kind::Airframe, 24, true),
    (Kind::Engines, 8, true),
    (Kind::Fuselage, 16, true),
    (Kind::Wing, 8, true),
    (Kind::Tail, 5, true),
    (Kind::Deck, 2, true),
    (Kind::Gear, 5, true),
    (Kind::View, 6, true),
    (Kind::Place, 5, true),
    (Kind::Light, 2, true),
    (Kind::Haze, 2, true),
    (Kind::Frame, 2, true),
    (Kind::Summary, 16, true),
    (Kind::Difference, 20, false),
    (Kind::OtherDiffers, 20, false),
];

/// One conversation about a picture of `truth`.
pub fn caption(
    fleet: &Fleet,
    truth: &Variant,
    scene: &Scene,
    image: String,
    rng: &mut ChaCha8Rng,
) -> Conversation {
    let count = rng.random_range(2..=4);
    let name_turn = rng.random_range(0..count);
    let mut used = Vec::new();
    let turns = (0..count)
        .map(|index| {
            if index == name_turn {
                return name(fleet, truth, rng);
            }
            let named = index > name_turn;
            let kind = draw_kind(named, &used, rng);
            used.push(kind);
            ask(kind, named, fleet, truth, scene, rng)
        })
        .collect();
    Conversation { image, turns }
}

fn draw_kind(named: bool, used: &[Kind], rng: &mut ChaCha8Rng) -> Kind {
    let free: Vec<(Kind, u32)> = KINDS
        .into_iter()
        .filter(|(kind, _, before)| (named || *before) && !used.contains(kind))
        // The two ways of comparing say the same.
        .filter(|(kind, _, _)| !(is_comparison(*kind) && used.iter().copied().any(is_comparison)))
        .map(|(kind, weight, _)| (kind, weight))
        .collect();
    let total = free.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.random_range(0..total);
    for (kind, weight) in free {
        if left < weight {
            return kind;
        }
        left -= weight;
    }
    Kind::Airframe
}

fn is_comparison(kind: Kind) -> bool {
    matches!(kind, Kind::Difference | Kind::OtherDiffers)
}

fn name(fleet: &Fleet, truth: &Variant, rng: &mut ChaCha8Rng) -> Turn {
    let question = pick(&NAME_QUESTIONS, rng);
    if rng.random_bool(CLOSED_SHARE) {
        let options = draw_options(fleet, truth, |_| true, rng);
        return Turn {
            kind: "name_closed",
            question: question_text(question, &options, None),
            answer: truth.name.clone(),
        };
    }
    let answer = if rng.random_bool(SENTENCE_SHARE) {
        let full = truth.full_name();
        match rng.random_range(0..2) {
            0 => format!("It is {}.", with_article(&full)),
            _ => format!("This is the {}.", truth.name),
        }
    } else {
        truth.name.clone()
    };
    Turn { kind: "name_open", question: question_text(question, &[], None), answer }
}

fn ask(kind: Kind, named: bool, fleet: &Fleet, truth: &Variant, scene: &Scene, rng: &mut ChaCha8Rng) -> Turn {
    let (kind, question, answer) = match kind {
        Kind::Family => (
            "family",
            pick(&["Which family is it?", "What family?", "Its family?"], rng).to_string(),
            truth.family.clone(),
        ),
        Kind::Maker => {
            ("maker", pick(&["Who made it?", "Which maker?"], rng).to_string(), truth.manufacturer.clone())
        }
        Kind::Category => (
            "category",
            pick(&["What kind of aircraft is it?", "What class?"], rng).to_string(),
            capital(&with_article(&truth.supercategory)) + ".",
        ),
        Kind::Airframe => (
            "airframe",
            pick(&["Describe the airframe.", "What do you see of it?", "List its features."], rng)
                .to_string(),
            analysis(fleet, truth, rng),
        ),
        Kind::Engines => (
            "engines",
            pick(&["What engines does it have?", "Where are the engines?", "Engines?"], rng).to_string(),
            part(truth, Feature::Engines, rng),
        ),
        Kind::Fuselage => {
            let (question, answer) = fuselage(truth, rng);
            ("fuselage", question, answer)
        }
        Kind::Wing => (
            "wing",
            pick(&["What are the wings like?", "Describe the wings.", "Wings?"], rng).to_string(),
            wing(truth, rng),
        ),
        Kind::Tail => (
            "tail",
            pick(&["What tail does it have?", "Which tail?", "Tail?"], rng).to_string(),
            part(truth, Feature::Tail, rng),
        ),
        Kind::Deck => {
            let (question, answer) = deck(truth, rng);
            ("deck", question, answer)
        }
        Kind::Gear => (
            "gear",
            pick(&["What is the main gear?", "How many wheels?", "Main gear?"], rng).to_string(),
            part(truth, Feature::Gear, rng),
        ),
        Kind::View => (
            "view",
            pick(&["Where does the nose point?", "What is the view?"], rng).to_string(),
            capital(&scene.view(rng)) + ".",
        ),
        Kind::Place => {
            let (question, answer) = place(scene, rng);
            ("place", question, answer)
        }
        Kind::Light => (
            "light",
            pick(&["What is the light?", "Day or night?"], rng).to_string(),
            match scene.light {
                Light::Day => "Day.",
                Light::Overcast => "Overcast day.",
                Light::Dusk => "Dusk.",
                Light::Night => "Night.",
            }
            .to_string(),
        ),
        Kind::Haze => (
            "haze",
            pick(&["Is there haze?", "Is it hazy?"], rng).to_string(),
            if scene.haze { "Yes, haze." } else { "No, clear air." }.to_string(),
        ),
        Kind::Frame => (
            "frame",
            pick(&["Is all of it in the frame?", "Is it cut off?"], rng).to_string(),
            if scene.cut { "A part is cut off." } else { "All of it is in the frame." }.to_string(),
        ),
        Kind::Summary => (
            if named { "summary" } else { "summary_unnamed" },
            pick(&["Describe the image.", "Write a caption.", "What is in the image?"], rng).to_string(),
            summary(named, fleet, truth, scene, rng),
        ),
        Kind::Difference | Kind::OtherDiffers => {
            let Some(other) = rival(fleet, truth, rng) else {
                return ask(Kind::Airframe, named, fleet, truth, scene, rng);
            };
            if kind == Kind::Difference {
                let (question, answer) = difference(truth, other, rng);
                ("difference", question, answer)
            } else {
                let (question, answer) = other_differs(truth, other, rng);
                ("other_differs", question, answer)
            }
        }
    };
    Turn { kind, question, answer }
}

fn part(truth: &Variant, feature: Feature, rng: &mut ChaCha8Rng) -> String {
    capital(&truth.phrase(feature, rng)) + "."
}

fn fuselage(truth: &Variant, rng: &mut ChaCha8Rng) -> (String, String) {
    let question =
        pick(&["How long is the body for its height?", "Describe the fuselage.", "Fuselage?"], rng);
    let word = truth.length_word();
    let proportion = truth.proportion();
    let answer = match rng.random_range(0..3) {
        0 => format!("{}, {proportion} times its height.", capital(word)),
        1 => format!("{proportion} times its height, {word}."),
        _ => truth.sentence(Feature::Fuselage, rng),
    };
    (question.to_string(), answer)
}

fn wing(truth: &Variant, rng: &mut ChaCha8Rng) -> String {
    let wing = match truth.attributes.wing_position {
        WingPosition::Low => pick(&["A low wing", "Low wings"], rng),
        WingPosition::High => pick(&["A high wing", "High wings"], rng),
    };
    let join = pick(&[" with ", ", "], rng);
    format!("{wing}{join}{}.", truth.phrase(Feature::Tips, rng))
}

fn deck(truth: &Variant, rng: &mut ChaCha8Rng) -> (String, String) {
    let upper = rng.random_bool(0.5);
    let answer = match (truth.attributes.upper_deck, upper) {
        (UpperDeck::Absent, true) => "No, a single deck.",
        (UpperDeck::Absent, false) => "One deck.",
        (UpperDeck::ForwardHump, true) => "Yes, a hump behind the nose.",
        (UpperDeck::ForwardHump, false) => "Two, the upper one a hump behind the nose.",
        (UpperDeck::FullLength, true) => "Yes, a full upper deck.",
        (UpperDeck::FullLength, false) => "Two full decks.",
    };
    let question = if upper { "Is there an upper deck?" } else { "How many decks?" };
    (question.to_string(), answer.to_string())
}

fn place(scene: &Scene, rng: &mut ChaCha8Rng) -> (String, String) {
    let ground = scene.ground.word();
    match rng.random_range(0..2) {
        0 => {
            let answer = match (scene.airborne, scene.ground) {
                (true, Ground::Sky) => "Yes, in the sky.".to_string(),
                (true, _) => format!("Yes, over {ground}."),
                (false, Ground::Sky) => "No, it stands on the ground.".to_string(),
                (false, _) => format!("No, it stands on {ground}."),
            };
            ("Is it flying?".to_string(), answer)
        }
        _ => (
            pick(&["Where is it?", "Describe the scene."], rng).to_string(),
            capital(&scene.place(rng)) + ".",
        ),
    }
}

/// `A Boeing 747-400, a wide-body jet with four engines under the wings, flying at dusk over
/// water.` Before the name has been asked the sentence begins with the class.
fn summary(named: bool, fleet: &Fleet, truth: &Variant, scene: &Scene, rng: &mut ChaCha8Rng) -> String {
    let category = with_article(&truth.supercategory);
    let subject = if named { format!("{}, {category}", with_article(&truth.full_name())) } else { category };
    let count = rng.random_range(2..=3);
    let mut features = fleet.telling_features(truth, 4, rng);
    features.retain(|feature| *feature != Feature::Gear);
    features.truncate(count);
    let phrases: Vec<String> = features
        .into_iter()
        .map(|feature| match feature {
            Feature::Engines => truth.bare_engines(),
            Feature::Fuselage => {
                let word = with_article(truth.length_word());
                format!("{word} body ({})", truth.proportion())
            }
            _ => truth.phrase(feature, rng),
        })
        .collect();
    let place = scene.place(rng);
    let mut text = format!("{subject} with {}, {place}", listed(&phrases, "and"));
    if rng.random_bool(0.3) {
        text.push_str(&format!(", {}", scene.view(rng)));
    }
    if scene.cut && rng.random_bool(0.5) {
        text.push_str(", partly cut off");
    }
    capital(&text) + "."
}

/// What is true of the one in the picture and not of another.
fn difference(truth: &Variant, other: &Variant, rng: &mut ChaCha8Rng) -> (String, String) {
    let name = &other.name;
    let question = match rng.random_range(0..3) {
        0 => format!("What tells it from the {name}?"),
        1 => format!("Why is it not the {name}?"),
        _ => format!("How is it different from the {name}?"),
    };
    (question, format!("It {}.", contrasts(truth, other, rng)))
}

/// The same the other way round.
fn other_differs(truth: &Variant, other: &Variant, rng: &mut ChaCha8Rng) -> (String, String) {
    let name = &other.name;
    let question = match rng.random_range(0..2) {
        0 => format!("What about the {name}?"),
        _ => format!("How does the {name} differ?"),
    };
    let answer = format!("The {name} {}.", contrasts(other, truth, rng));
    (question, answer)
}

/// One or two predicates of `subject` that do not hold for `other`.
fn contrasts(subject: &Variant, other: &Variant, rng: &mut ChaCha8Rng) -> String {
    let mut features = differences(subject, other, rng);
    features.truncate(if rng.random_bool(0.6) { 2 } else { 1 });
    // The numbers end the sentence.
    features.sort_by_key(|feature| *feature == Feature::Fuselage);
    let predicates: Vec<String> =
        features.into_iter().map(|feature| subject.predicate(other, feature, rng)).collect();
    listed(&predicates, "and")
}

/// Somebody to compare with, who does differ.
fn rival<'a>(fleet: &'a Fleet, truth: &Variant, rng: &mut ChaCha8Rng) -> Option<&'a Variant> {
    let mut others: Vec<&Variant> = if rng.random_bool(NEIGHBOUR_SHARE) {
        let names = truth.nearest.iter();
        names.filter_map(|name| fleet.get(name)).collect()
    } else {
        fleet.variants().iter().collect()
    };
    others.retain(|other| !differences(truth, other, rng).is_empty());
    others.choose(rng).copied()
}
