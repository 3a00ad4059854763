//! What is known about a picture, and the words for it: the attribute file of a fleet, the scene of
//! one row, and phrase tables that turn both into short true English.
//!
//! The tables are exhaustive over the attribute values, so a value that has no words is an error
//! while reading and never a wrong sentence.

use std::collections::HashMap;
use std::path::Path;

use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Two that are no further apart than this are not compared by their proportion.
const VISIBLE_SLENDERNESS: f64 = 0.15;

/// Slenderness closer than this counts as the same when a feature's worth is measured.
const SAME_SLENDERNESS: f64 = 0.35;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Has training images: may be named in stage 1.
    Seen,
    /// Only tested: pre-training may name it, stage 1 never does.
    Unseen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    Jet,
    Turboprop,
    Piston,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineMount {
    #[serde(rename = "under wing")]
    UnderWing,
    #[serde(rename = "rear fuselage")]
    RearFuselage,
    #[serde(rename = "on wing")]
    OnWing,
    Nose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WingPosition {
    Low,
    High,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Tail {
    #[serde(rename = "conventional")]
    Conventional,
    #[serde(rename = "T-tail")]
    TTail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WingTips {
    #[serde(rename = "none")]
    Plain,
    Winglets,
    Fences,
    Raked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum UpperDeck {
    #[serde(rename = "none")]
    Absent,
    #[serde(rename = "forward hump")]
    ForwardHump,
    #[serde(rename = "full length")]
    FullLength,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum MainGear {
    #[serde(rename = "two legs, 2 wheels each")]
    TwoWheels,
    #[serde(rename = "two legs, 4-wheel bogies")]
    FourWheels,
    #[serde(rename = "two legs, 6-wheel bogies")]
    SixWheels,
    #[serde(rename = "two legs, 4-wheel bogies, and a 2-wheel centre leg")]
    FourWheelsCentreTwo,
    #[serde(rename = "two legs, 4-wheel bogies, and a 4-wheel centre leg")]
    FourWheelsCentreFour,
    #[serde(rename = "four legs, 4-wheel bogies")]
    FourLegs,
    #[serde(rename = "four legs, two with 4 and two with 6 wheels")]
    FourLegsTwentyWheels,
    #[serde(rename = "fixed, single wheels with fairings")]
    Fixed,
}

/// What can be seen of a variant, field for field as in `variants.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Attributes {
    pub engines: u32,
    pub engine_kind: EngineKind,
    pub engine_mount: EngineMount,
    pub wing_position: WingPosition,
    pub tail: Tail,
    pub wing_tips: WingTips,
    pub upper_deck: UpperDeck,
    pub main_gear: MainGear,
    /// Length divided by the height of the fuselage.
    pub fuselage_slenderness: f64,
    pub length_m: f64,
}

/// One variant, as in `variants.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Variant {
    pub name: String,
    pub manufacturer: String,
    pub family: String,
    pub supercategory: String,
    pub split: Split,
    pub attributes: Attributes,
    /// The most similar variants, nearest first.
    pub nearest: Vec<String>,
    /// The most similar ones among the seen.
    pub nearest_seen: Vec<String>,
}

/// All variants that a data set knows.
#[derive(Clone, Debug)]
pub struct Fleet {
    variants: Vec<Variant>,
    by_name: HashMap<String, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Left,
    Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    Day,
    Overcast,
    Dusk,
    Night,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ground {
    Sky,
    Tarmac,
    Grass,
    Snow,
    Sand,
    Water,
    Dirt,
    Forest,
}

/// How one picture was taken.
#[derive(Clone, Debug, Deserialize)]
pub struct Scene {
    /// Where the nose points, in the picture.
    pub side: Side,
    /// Degrees by which the nose is turned towards the camera; negative: away from it.
    pub yaw: i32,
    pub light: Light,
    pub ground: Ground,
    pub airborne: bool,
    pub haze: bool,
    pub cut: bool,
}

/// One thing about an airframe that a sentence can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    Engines,
    Fuselage,
    Wing,
    Tail,
    Tips,
    Deck,
    Gear,
    /// Not a part but a class: the last resort when two airframes hardly differ.
    Category,
}

/// The features beside engines and fuselage that a description may choose from.
pub const OPTIONAL_FEATURES: [Feature; 5] =
    [Feature::Wing, Feature::Tail, Feature::Tips, Feature::Deck, Feature::Gear];

impl Fleet {
    /// Reads `variants.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let variants: Vec<Variant> = serde_json::from_str(&text).map_err(|error| {
            anyhow::anyhow!(
                "{}:{}: {error}\nhint: --variants takes a list of variants with their attributes, as in \
                 tests/data/airliners/variants.json",
                path.display(),
                error.line()
            )
        })?;
        Self::new(variants).with_context(|| path.display().to_string())
    }

    /// Checks that every neighbour is a variant of this fleet.
    pub fn new(variants: Vec<Variant>) -> Result<Self> {
        let by_name: HashMap<String, usize> =
            variants.iter().enumerate().map(|(index, variant)| (variant.name.clone(), index)).collect();
        if by_name.len() != variants.len() {
            bail!("two variants have the same name");
        }
        for variant in &variants {
            for neighbour in variant.nearest.iter().chain(&variant.nearest_seen) {
                if !by_name.contains_key(neighbour) {
                    bail!("{} names the unknown neighbour {neighbour:?}", variant.name);
                }
            }
        }
        Ok(Self { variants, by_name })
    }

    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    pub fn get(&self, name: &str) -> Option<&Variant> {
        self.by_name.get(name).map(|&index| &self.variants[index])
    }

    /// How much a feature of `variant` says about its name: the logarithm of one over the share of
    /// variants that have the same.
    pub fn information(&self, variant: &Variant, feature: Feature) -> f64 {
        let alike = self
            .variants
            .iter()
            .filter(|other| match feature {
                Feature::Fuselage => (slenderness(variant) - slenderness(other)).abs() <= SAME_SLENDERNESS,
                _ => contrast(variant, other, feature) == 0.0,
            })
            .count();
        (self.variants.len() as f64 / alike as f64).ln()
    }

    /// The features of `variant`, engines and fuselage among them, most telling first, with enough
    /// jitter that the order is never quite the same.
    pub fn telling_features(&self, variant: &Variant, count: usize, rng: &mut ChaCha8Rng) -> Vec<Feature> {
        let mut scored = |features: &[Feature]| -> Vec<(Feature, f64)> {
            let mut scored: Vec<(Feature, f64)> = features
                .iter()
                .map(|&feature| {
                    let information = self.information(variant, feature);
                    let noise: f64 = rng.random();
                    (feature, information * (0.5 + noise) + 0.3 * noise)
                })
                .collect();
            scored.sort_by(|left, right| right.1.total_cmp(&left.1));
            scored
        };
        let mut chosen = scored(&OPTIONAL_FEATURES);
        chosen.truncate(count.saturating_sub(2));
        chosen.extend(scored(&[Feature::Engines, Feature::Fuselage]));
        chosen.sort_by(|left, right| right.1.total_cmp(&left.1));
        chosen.into_iter().map(|(feature, _)| feature).collect()
    }
}

impl Variant {
    /// Maker and name, without saying "Saab Saab 2000".
    pub fn full_name(&self) -> String {
        if self.name.starts_with(&self.manufacturer) {
            self.name.clone()
        } else {
            format!("{} {}", self.manufacturer, self.name)
        }
    }

    /// The slenderness as it is written everywhere: one decimal.
    pub fn proportion(&self) -> String {
        format!("{:.1}", slenderness(self))
    }

    /// The slenderness as a word. The steps are laid so that versions of one family that differ in
    /// length fall into different ones.
    pub fn length_word(&self) -> &'static str {
        match slenderness(self) {
            s if s < 7.95 => "very short",
            s if s < 8.65 => "short",
            s if s < 9.45 => "rather short",
            s if s < 10.15 => "medium",
            s if s < 11.15 => "long",
            s if s < 12.15 => "very long",
            _ => "extremely long",
        }
    }

    /// A noun phrase, lower case: `two jet engines under the wings`.
    pub fn phrase(&self, feature: Feature, rng: &mut ChaCha8Rng) -> String {
        let attributes = &self.attributes;
        match feature {
            Feature::Engines => {
                let count = count_word(attributes.engines);
                let place = mount_words(attributes.engine_mount);
                format!("{count} {} {place}", self.engine_words(rng))
            }
            Feature::Fuselage => {
                let body = pick(&["fuselage", "body"], rng);
                let word = with_article(self.length_word());
                let proportion = self.proportion();
                match rng.random_range(0..2) {
                    0 => format!("{word} {body} ({proportion} times its height)"),
                    _ => format!("{word} {body} {proportion} times its height"),
                }
            }
            Feature::Wing => match attributes.wing_position {
                WingPosition::Low => pick(&["a low wing", "low wings"], rng),
                WingPosition::High => pick(&["a high wing", "high wings"], rng),
            }
            .into(),
            Feature::Tail => match attributes.tail {
                Tail::Conventional => "a conventional tail",
                Tail::TTail => "a T-tail",
            }
            .into(),
            Feature::Tips => match attributes.wing_tips {
                WingTips::Plain => "plain wing tips",
                WingTips::Winglets => pick(&["winglets", "winglets at the tips"], rng),
                WingTips::Fences => pick(&["wing-tip fences", "fences at the tips"], rng),
                WingTips::Raked => "raked wing tips",
            }
            .into(),
            Feature::Deck => match attributes.upper_deck {
                UpperDeck::Absent => pick(&["one deck", "a single deck"], rng),
                UpperDeck::ForwardHump => pick(&["an upper deck hump", "a hump behind the nose"], rng),
                UpperDeck::FullLength => pick(&["two full decks", "a full upper deck"], rng),
            }
            .into(),
            Feature::Gear => match attributes.main_gear {
                MainGear::TwoWheels => "two wheels on each main leg",
                MainGear::FourWheels => "four wheels on each main leg",
                MainGear::SixWheels => "six wheels on each main leg",
                MainGear::FourWheelsCentreTwo => "a small centre leg with two wheels",
                MainGear::FourWheelsCentreFour => "a centre leg with four wheels",
                MainGear::FourLegs => "four main legs with four wheels each",
                MainGear::FourLegsTwentyWheels => "four main legs with four or six wheels",
                MainGear::Fixed => "fixed wheels in fairings",
            }
            .into(),
            Feature::Category => with_article(&self.supercategory),
        }
    }

    /// A whole sentence, with its full stop.
    pub fn sentence(&self, feature: Feature, rng: &mut ChaCha8Rng) -> String {
        let attributes = &self.attributes;
        match feature {
            Feature::Fuselage => {
                let body = pick(&["The fuselage is", "Its body is", "The body is"], rng);
                let word = self.length_word();
                let proportion = self.proportion();
                match rng.random_range(0..2) {
                    0 => format!("{body} {word}, {proportion} times its height."),
                    _ => format!("{body} {proportion} times its height, {word}."),
                }
            }
            Feature::Engines => {
                let count = capital(count_word(attributes.engines));
                let engines = self.engine_words(rng);
                let place = mount_words(attributes.engine_mount);
                let verb = match (attributes.engines, attributes.engine_mount) {
                    (1, _) => "sits",
                    (_, EngineMount::UnderWing) => pick(&["hang", "sit"], rng),
                    _ => "sit",
                };
                format!("{count} {engines} {verb} {place}.")
            }
            _ => format!("It has {}.", self.phrase(feature, rng)),
        }
    }

    /// What this variant is or has where `other` differs, as a predicate: `has raked wing tips`.
    /// For the fuselage the two numbers stand in the order (this, other), and the predicate ends a
    /// clause.
    pub fn predicate(&self, other: &Variant, feature: Feature, rng: &mut ChaCha8Rng) -> String {
        let (mine, theirs) = (&self.attributes, &other.attributes);
        match feature {
            Feature::Fuselage => {
                let word = proportion_word(self, other, rng);
                let (here, there) = (self.proportion(), other.proportion());
                match rng.random_range(0..3) {
                    0 => format!("is {word} ({here} against {there})"),
                    1 => format!("is {word}, {here} against {there}"),
                    _ => format!("is {word}: {here}, not {there}"),
                }
            }
            Feature::Engines if mine.engine_kind == theirs.engine_kind => {
                if mine.engines == theirs.engines {
                    format!("has its engines {}", mount_words(mine.engine_mount))
                } else {
                    format!("has {}", self.bare_engines())
                }
            }
            Feature::Category => format!("is {}", with_article(&self.supercategory)),
            _ => format!("has {}", self.phrase(feature, rng)),
        }
    }

    /// Number and place of the engines without their kind: `four engines under the wings`.
    pub fn bare_engines(&self) -> String {
        let count = self.attributes.engines;
        let noun = if count == 1 { "engine" } else { "engines" };
        let place = mount_words(self.attributes.engine_mount);
        format!("{} {noun} {place}", count_word(count))
    }

    fn engine_words(&self, rng: &mut ChaCha8Rng) -> &'static str {
        let one = self.attributes.engines == 1;
        match (self.attributes.engine_kind, one) {
            (EngineKind::Jet, true) => "jet engine",
            (EngineKind::Jet, false) => pick(&["jet engines", "jets"], rng),
            (EngineKind::Turboprop, true) => "turboprop",
            (EngineKind::Turboprop, false) => pick(&["turboprops", "turboprop engines"], rng),
            (EngineKind::Piston, true) => "piston engine",
            (EngineKind::Piston, false) => "piston engines",
        }
    }
}

impl Scene {
    /// Standing or flying, where, and in which light: `flying over water at dusk`.
    pub fn place(&self, rng: &mut ChaCha8Rng) -> String {
        let place = match (self.airborne, self.ground) {
            (true, Ground::Sky) => pick(&["in the sky", "high up"], rng).to_string(),
            (true, ground) => format!("over {}", ground.word()),
            (false, Ground::Sky) => "on the ground".to_string(),
            (false, ground) => format!("on {}", ground.word()),
        };
        let verb = if self.airborne { "flying" } else { pick(&["standing", "parked"], rng) };
        let light = self.light.phrase(rng);
        let mut text = match rng.random_range(0..2) {
            0 => format!("{verb} {place} {light}"),
            _ => format!("{verb} {light} {place}"),
        };
        if self.haze {
            text.push_str(pick(&[" in haze", ", in haze"], rng));
        }
        text
    }

    /// Where the nose points and how far it is turned: `nose to the left, turned away`.
    pub fn view(&self, rng: &mut ChaCha8Rng) -> String {
        let side = pick(&["nose to the", "nose"], rng);
        format!("{side} {}, {}", self.side.word(), self.turn())
    }

    /// The yaw in words.
    pub fn turn(&self) -> &'static str {
        match self.yaw {
            ..-25 => "turned far away",
            -25..-8 => "turned away",
            -8..=8 => "seen from the side",
            9..=25 => "turned towards us",
            26.. => "turned far towards us",
        }
    }
}

impl Side {
    pub fn word(self) -> &'static str {
        match self {
            Side::Left => "left",
            Side::Right => "right",
        }
    }
}

impl Light {
    pub fn phrase(self, rng: &mut ChaCha8Rng) -> &'static str {
        match self {
            Light::Day => pick(&["by day", "in daylight"], rng),
            Light::Overcast => pick(&["in overcast light", "under clouds"], rng),
            Light::Dusk => pick(&["at dusk", "in dusk light"], rng),
            Light::Night => pick(&["at night", "in the dark"], rng),
        }
    }
}

impl Ground {
    pub fn word(self) -> &'static str {
        match self {
            Ground::Sky => "sky",
            Ground::Tarmac => "tarmac",
            Ground::Grass => "grass",
            Ground::Snow => "snow",
            Ground::Sand => "sand",
            Ground::Water => "water",
            Ground::Dirt => "dirt",
            Ground::Forest => "forest",
        }
    }
}

/// How clearly a feature tells two variants apart; zero: it does not.
pub fn contrast(left: &Variant, right: &Variant, feature: Feature) -> f64 {
    let (a, b) = (&left.attributes, &right.attributes);
    let (weight, differs) = match feature {
        Feature::Engines => (
            3.0,
            a.engines != b.engines || a.engine_kind != b.engine_kind || a.engine_mount != b.engine_mount,
        ),
        Feature::Fuselage => {
            let difference = (slenderness(left) - slenderness(right)).abs();
            (1.5 * difference.min(2.0), difference > VISIBLE_SLENDERNESS)
        }
        Feature::Wing => (2.0, a.wing_position != b.wing_position),
        Feature::Tail => (2.0, a.tail != b.tail),
        Feature::Tips => (1.2, a.wing_tips != b.wing_tips),
        Feature::Deck => (2.5, a.upper_deck != b.upper_deck),
        Feature::Gear => (0.7, a.main_gear != b.main_gear),
        Feature::Category => (0.4, left.supercategory != right.supercategory),
    };
    if differs { weight } else { 0.0 }
}

/// The features in which two variants differ, clearest first (with a little jitter).
pub fn differences(left: &Variant, right: &Variant, rng: &mut ChaCha8Rng) -> Vec<Feature> {
    let mut found: Vec<(Feature, f64)> = OPTIONAL_FEATURES
        .into_iter()
        .chain([Feature::Engines, Feature::Fuselage, Feature::Category])
        .map(|feature| (feature, contrast(left, right, feature)))
        .filter(|&(_, contrast)| contrast > 0.0)
        .map(|(feature, contrast)| {
            let noise: f64 = rng.random();
            (feature, contrast * (0.6 + 0.8 * noise))
        })
        .collect();
    found.sort_by(|left, right| right.1.total_cmp(&left.1));
    found.into_iter().map(|(feature, _)| feature).collect()
}

/// A comparative that holds for `subject` against `other`: of the proportion, and where the word
/// speaks of length, of the length as well.
pub fn proportion_word(subject: &Variant, other: &Variant, rng: &mut ChaCha8Rng) -> &'static str {
    let slimmer = slenderness(subject) > slenderness(other);
    let longer = subject.attributes.length_m > other.attributes.length_m;
    match (slimmer, longer) {
        (true, true) => pick(&["longer", "longer", "slimmer"], rng),
        (true, false) => "slimmer",
        (false, false) => pick(&["shorter", "shorter", "stubbier"], rng),
        (false, true) => "stubbier",
    }
}

/// One of the given words, all equally likely.
pub fn pick<'a>(choices: &[&'a str], rng: &mut ChaCha8Rng) -> &'a str {
    choices.choose(rng).copied().unwrap_or_default()
}

/// `a jet`, `an engine`.
pub fn with_article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O', '8']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

/// The same text with its first letter in upper case.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(items: &[String], last: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [init @ .., end] => format!("{} {last} {end}", init.join(", ")),
    }
}

fn slenderness(variant: &Variant) -> f64 {
    variant.attributes.fuselage_slenderness
}

fn mount_words(mount: EngineMount) -> &'static str {
    match mount {
        EngineMount::UnderWing => "under the wings",
        EngineMount::RearFuselage => "at the rear",
        EngineMount::OnWing => "on the wings",
        EngineMount::Nose => "in the nose",
    }
}

fn count_word(count: u32) -> &'static str {
    match count {
        1 => "one",
        2 => "two",
        3 => "three",
        4 => "four",
        6 => "six",
        8 => "eight",
        _ => "several",
    }
}

/// A fleet of fourteen with every attribute value in it, as the JSON that a user would have.
#[cfg(test)]
pub(crate) mod fixture {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};

    /// A folder of a test's own, gone with the test.
    pub struct Folder(PathBuf);

    impl Folder {
        pub fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("cot-test-{}-{count}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    type Row =
        (&'static str, &'static str, &'static str, u32, &'static str, &'static str, &'static str, f64, f64);

    /// Name, maker, class, engines, kind and mount, wing and tail and tips, gear, slenderness, length.
    const ROWS: [Row; 14] = [
        (
            "A320",
            "Airbus",
            "narrow-body jet",
            2,
            "jet/under wing",
            "low/conventional/fences/none",
            "two legs, 2 wheels each",
            9.0,
            37.6,
        ),
        (
            "A321",
            "Airbus",
            "narrow-body jet",
            2,
            "jet/under wing",
            "low/conventional/fences/none",
            "two legs, 2 wheels each",
            11.0,
            44.5,
        ),
        (
            "A319",
            "Airbus",
            "narrow-body jet",
            2,
            "jet/under wing",
            "low/conventional/fences/none",
            "two legs, 2 wheels each",
            7.9,
            33.8,
        ),
        (
            "747-400",
            "Boeing",
            "wide-body jet",
            4,
            "jet/under wing",
            "low/conventional/winglets/forward hump",
            "four legs, 4-wheel bogies",
            9.4,
            70.6,
        ),
        (
            "777-300",
            "Boeing",
            "wide-body jet",
            2,
            "jet/under wing",
            "low/conventional/raked/none",
            "two legs, 6-wheel bogies",
            11.9,
            73.9,
        ),
        (
            "787-8",
            "Boeing",
            "wide-body jet",
            2,
            "jet/under wing",
            "low/conventional/raked/none",
            "two legs, 4-wheel bogies",
            9.3,
            56.6,
        ),
        (
            "A340-300",
            "Airbus",
            "wide-body jet",
            4,
            "jet/under wing",
            "low/conventional/winglets/none",
            "two legs, 4-wheel bogies, and a 2-wheel centre leg",
            10.6,
            64.2,
        ),
        (
            "A340-600",
            "Airbus",
            "wide-body jet",
            4,
            "jet/under wing",
            "low/conventional/winglets/none",
            "two legs, 4-wheel bogies, and a 4-wheel centre leg",
            12.8,
            75.6,
        ),
        (
            "A380",
            "Airbus",
            "wide-body jet",
            4,
            "jet/under wing",
            "low/conventional/fences/full length",
            "four legs, two with 4 and two with 6 wheels",
            8.0,
            72.7,
        ),
        (
            "ATR-72",
            "ATR",
            "turboprop",
            2,
            "turboprop/on wing",
            "high/T-tail/none/none",
            "two legs, 2 wheels each",
            9.7,
            27.2,
        ),
        (
            "Saab 2000",
            "Saab",
            "turboprop",
            2,
            "turboprop/on wing",
            "low/conventional/none/none",
            "two legs, 2 wheels each",
            11.0,
            27.3,
        ),
        (
            "CRJ-900",
            "Bombardier",
            "regional jet",
            2,
            "jet/rear fuselage",
            "low/T-tail/winglets/none",
            "two legs, 2 wheels each",
            12.9,
            36.3,
        ),
        (
            "PA-28",
            "Piper",
            "light aircraft",
            1,
            "piston/nose",
            "low/conventional/none/none",
            "fixed, single wheels with fairings",
            5.8,
            7.0,
        ),
        (
            "E-190",
            "Embraer",
            "regional jet",
            2,
            "jet/under wing",
            "low/conventional/winglets/none",
            "two legs, 2 wheels each",
            9.8,
            36.2,
        ),
    ];

    /// Every fifth row, from the third on, is unseen.
    pub fn variants() -> Value {
        let unseen = |index: usize| index % 5 == 2;
        let neighbours = |index: usize, seen: bool| -> Vec<&str> {
            (1..ROWS.len())
                .map(|step| (index + step) % ROWS.len())
                .filter(|&other| !(seen && unseen(other)))
                .map(|other| ROWS[other].0)
                .take(4)
                .collect()
        };
        ROWS.iter()
            .enumerate()
            .map(|(index, row)| {
                let (name, maker, class, engines, power, shape, gear, slenderness, length) = *row;
                let power: Vec<&str> = power.split('/').collect();
                let shape: Vec<&str> = shape.split('/').collect();
                json!({
                    "name": name, "slug": name.to_lowercase(), "manufacturer": maker,
                    "family": format!("{maker} family"), "supercategory": class,
                    "split": if unseen(index) { "unseen" } else { "seen" },
                    "attributes": {
                        "engines": engines, "engine_kind": power[0], "engine_mount": power[1],
                        "wing_position": shape[0], "tail": shape[1], "wing_tips": shape[2],
                        "upper_deck": shape[3], "main_gear": gear,
                        "fuselage_slenderness": slenderness, "length_m": length,
                    },
                    "nearest": neighbours(index, false),
                    "nearest_seen": neighbours(index, true),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::Folder;
    use super::*;

    fn fleet() -> Fleet {
        Fleet::new(serde_json::from_value(fixture::variants()).unwrap()).unwrap()
    }

    #[test]
    fn a_neighbour_that_is_not_there_is_an_error() {
        let mut variants = fixture::variants();
        variants[0]["nearest"][0] = "Concorde".into();
        let variants = serde_json::from_value(variants).unwrap();
        let message = Fleet::new(variants).unwrap_err().to_string();
        assert!(message.contains("Concorde"), "{message}");
    }

    #[test]
    fn an_attribute_without_words_is_an_error_with_its_line() {
        let folder = Folder::new();
        let path = folder.path().join("variants.json");
        let text = serde_json::to_string_pretty(&fixture::variants()).unwrap();
        std::fs::write(&path, text.replacen("\"T-tail\"", "\"V-tail\"", 1)).unwrap();
        let message = Fleet::read(&path).unwrap_err().to_string();
        assert!(message.contains("variants.json:"), "{message}");
        assert!(message.contains("V-tail"), "{message}");
    }

    #[test]
    fn the_rarer_value_says_more() {
        let fleet = fleet();
        let jumbo = fleet.get("747-400").unwrap();
        let hump = fleet.information(jumbo, Feature::Deck);
        let low_wing = fleet.information(jumbo, Feature::Wing);
        assert!(hump > low_wing);
        assert!((hump - 14f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn articles_and_lists() {
        assert_eq!(with_article("Airbus A320"), "an Airbus A320");
        assert_eq!(with_article("Boeing 747-400"), "a Boeing 747-400");
        let names = ["A", "B", "C"].map(str::to_string);
        assert_eq!(listed(&names, "or"), "A, B or C");
        assert_eq!(listed(&names[..1], "or"), "A");
        assert_eq!(fleet().get("Saab 2000").unwrap().full_name(), "Saab 2000");
    }
}
