//! Words for the first two stages of training, made from known facts: conversations for
//! pre-training ([`caption`]) and chains of thought for stage 1 ([`rationale`]).
//!
//! With a teacher that looks at pictures, [`distill`] makes chains of thought as Fine-R1 made them.
//!
//! Every sentence from facts is true of its picture, and every text is a function of (seed, row, sample): the
//! same seed gives the same bytes, in whatever order the samples are made.

pub mod caption;
pub mod distill;
pub mod facts;
pub mod name;
pub mod rationale;
pub mod teacher;
pub mod write;

use std::path::{Path, PathBuf};

use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use facts::{Fleet, Scene, Variant};
use write::{Conversation, Report, Writer};

/// Which words are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactsKind {
    /// The name and nothing else, for pre-training; the rows need a picture and a label only.
    Name,
    /// Conversations for pre-training; the rows carry the scene.
    Caption,
    /// Chains of thought for stage 1; the rows need a picture and a label only.
    Rationale,
}

/// What to read, what to write, and how much of it.
#[derive(Clone, Debug)]
pub struct FactsOptions {
    /// `variants.json`.
    pub variants: PathBuf,
    /// One JSON object a line.
    pub rows: PathBuf,
    /// Put before the path of every row.
    pub image_root: String,
    /// The folder that gets the files.
    pub out: PathBuf,
    pub kind: FactsKind,
    /// Texts for every picture.
    pub per_image: usize,
    pub seed: u64,
}

#[derive(Deserialize)]
struct CaptionRow {
    image: String,
    label: String,
    #[serde(flatten)]
    scene: Scene,
}

#[derive(Deserialize)]
struct PlainRow {
    image: String,
    label: String,
}

impl FactsKind {
    /// The name of the data set, and of its files.
    pub fn dataset(self) -> &'static str {
        match self {
            FactsKind::Name => "names",
            FactsKind::Caption => "captions",
            FactsKind::Rationale => "rationales",
        }
    }
}

/// Writes `captions` or `rationales` for all rows and says what was written.
pub fn write_facts(options: &FactsOptions) -> Result<Report> {
    let mut writer = Writer::create(&options.out, options.kind.dataset())?;
    for conversation in conversations(options)? {
        writer.push(&conversation?)?;
    }
    writer.finish()
}

/// All conversations, row by row.
fn conversations(options: &FactsOptions) -> Result<impl Iterator<Item = Result<Conversation>>> {
    let fleet = Fleet::read(&options.variants)?;
    let text = read_text(&options.rows)?;
    let lines: Vec<(usize, String)> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| (index, line.to_string()))
        .collect();
    if lines.is_empty() {
        bail!("{} has no rows\nhint: --images takes a JSON object a line", options.rows.display());
    }
    let options = options.clone();
    let per_image = options.per_image;
    Ok(lines.into_iter().flat_map(move |(row, line)| {
        (0..per_image)
            .map(|sample| {
                conversation(&fleet, &options, row, sample, &line)
                    .with_context(|| format!("{}:{}", options.rows.display(), row + 1))
            })
            .collect::<Vec<_>>()
    }))
}

fn conversation(
    fleet: &Fleet,
    options: &FactsOptions,
    row: usize,
    sample: usize,
    line: &str,
) -> Result<Conversation> {
    let mut rng = sample_rng(options.seed, row, sample);
    match options.kind {
        FactsKind::Name => {
            let PlainRow { image, label } = parse(line)?;
            Ok(name::name(known(fleet, &label)?, image_path(&options.image_root, &image)))
        }
        FactsKind::Caption => {
            let CaptionRow { image, label, scene } = parse(line)?;
            let truth = known(fleet, &label)?;
            let image = image_path(&options.image_root, &image);
            Ok(caption::caption(fleet, truth, &scene, image, &mut rng))
        }
        FactsKind::Rationale => {
            let PlainRow { image, label } = parse(line)?;
            let truth = known(fleet, &label)?;
            let image = image_path(&options.image_root, &image);
            // Every picture is asked about both ways, whichever way comes first.
            let closed = (row + sample).is_multiple_of(2);
            rationale::rationale(fleet, truth, image, closed, &mut rng)
        }
    }
}

fn parse<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).context("not a row of this kind")
}

fn known<'a>(fleet: &'a Fleet, label: &str) -> Result<&'a Variant> {
    fleet.get(label).with_context(|| format!("label {label:?} is not in the variants file"))
}

/// `<slug>.tar/<file>` lies in `<slug>/<file>` once the archive is unpacked.
fn image_path(root: &str, image: &str) -> String {
    let image = image.replacen(".tar/", "/", 1);
    Path::new(root).join(image).to_string_lossy().into_owned()
}

fn sample_rng(seed: u64, row: usize, sample: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(row as u64).to_le_bytes());
    key[16..24].copy_from_slice(&(sample as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture::Folder;
    use crate::cot::rationale::MAX_CANDIDATES;
    use fine_r1_core::prompt::question::{INSTRUCTION, options_line};
    use serde_json::{Value, json};
    use std::collections::{HashMap, HashSet};
    use std::fs;

    /// Reads every text back, word by word, against the raw JSON: what it cannot account for fails.
    struct Checker {
        variants: HashMap<String, Value>,
    }

    /// What a phrase says: attribute, value.
    type Claim = (&'static str, &'static str, &'static str);

    /// Longer phrases stand before the shorter ones that they contain.
    const CLAIMS: &[Claim] = &[
        (
            "four main legs with four or six wheels",
            "main_gear",
            "four legs, two with 4 and two with 6 wheels",
        ),
        ("four main legs with four wheels each", "main_gear", "four legs, 4-wheel bogies"),
        (
            "a small centre leg with two wheels",
            "main_gear",
            "two legs, 4-wheel bogies, and a 2-wheel centre leg",
        ),
        ("a centre leg with four wheels", "main_gear", "two legs, 4-wheel bogies, and a 4-wheel centre leg"),
        ("two wheels on each main leg", "main_gear", "two legs, 2 wheels each"),
        ("four wheels on each main leg", "main_gear", "two legs, 4-wheel bogies"),
        ("six wheels on each main leg", "main_gear", "two legs, 6-wheel bogies"),
        ("fixed wheels in fairings", "main_gear", "fixed, single wheels with fairings"),
        ("two, the upper one a hump behind the nose", "upper_deck", "forward hump"),
        ("upper deck hump", "upper_deck", "forward hump"),
        ("hump behind the nose", "upper_deck", "forward hump"),
        ("two full decks", "upper_deck", "full length"),
        ("full upper deck", "upper_deck", "full length"),
        ("single deck", "upper_deck", "none"),
        ("one deck", "upper_deck", "none"),
        ("winglets at the tips", "wing_tips", "winglets"),
        ("fences at the tips", "wing_tips", "fences"),
        ("wing-tip fences", "wing_tips", "fences"),
        ("raked wing tips", "wing_tips", "raked"),
        ("plain wing tips", "wing_tips", "none"),
        ("winglets", "wing_tips", "winglets"),
        ("conventional tail", "tail", "conventional"),
        ("t-tail", "tail", "T-tail"),
        ("low wings", "wing_position", "low"),
        ("low wing", "wing_position", "low"),
        ("high wings", "wing_position", "high"),
        ("high wing", "wing_position", "high"),
        ("under the wings", "engine_mount", "under wing"),
        ("on the wings", "engine_mount", "on wing"),
        ("at the rear", "engine_mount", "rear fuselage"),
        ("in the nose", "engine_mount", "nose"),
        ("narrow-body jet", "supercategory", "narrow-body jet"),
        ("wide-body jet", "supercategory", "wide-body jet"),
        ("regional jet", "supercategory", "regional jet"),
        ("business jet", "supercategory", "business jet"),
        ("light aircraft", "supercategory", "light aircraft"),
    ];

    const POWER: &[(&str, &str)] = &[
        ("jet engines", "jet"),
        ("jets", "jet"),
        ("turboprop engines", "turboprop"),
        ("turboprops", "turboprop"),
        ("piston engine", "piston"),
        ("engines", ""),
        ("engine", ""),
    ];

    const COUNTS: &[(&str, u64)] = &[("one", 1), ("two", 2), ("four", 4)];

    const LENGTHS: &[(&str, f64, f64)] = &[
        ("very short", 0.0, 7.9),
        ("rather short", 8.7, 9.4),
        ("very long", 11.2, 12.1),
        ("extremely long", 12.2, 99.0),
        ("short", 8.0, 8.6),
        ("medium", 9.5, 10.1),
        ("long", 10.2, 11.1),
    ];

    const SCENES: &[Claim] = &[
        ("turned far towards us", "yaw", "26..50"),
        ("turned towards us", "yaw", "9..25"),
        ("seen from the side", "yaw", "-8..8"),
        ("turned far away", "yaw", "-50..-26"),
        ("turned away", "yaw", "-25..-9"),
        ("nose to the left", "side", "left"),
        ("nose to the right", "side", "right"),
        ("nose left", "side", "left"),
        ("nose right", "side", "right"),
        ("in overcast light", "light", "overcast"),
        ("overcast day", "light", "overcast"),
        ("under clouds", "light", "overcast"),
        ("in daylight", "light", "day"),
        ("by day", "light", "day"),
        ("in dusk light", "light", "dusk"),
        ("at dusk", "light", "dusk"),
        ("dusk", "light", "dusk"),
        ("at night", "light", "night"),
        ("in the dark", "light", "night"),
        ("night", "light", "night"),
        ("day", "light", "day"),
        ("flying", "airborne", "true"),
        ("standing", "airborne", "false"),
        ("parked", "airborne", "false"),
        ("no, it stands", "airborne", "false"),
        ("yes, over", "airborne", "true"),
        ("yes, in the sky", "ground", "sky"),
        ("in the sky", "ground", "sky"),
        ("high up", "ground", "sky"),
        ("tarmac", "ground", "tarmac"),
        ("grass", "ground", "grass"),
        ("snow", "ground", "snow"),
        ("sand", "ground", "sand"),
        ("water", "ground", "water"),
        ("dirt", "ground", "dirt"),
        ("forest", "ground", "forest"),
        ("no, clear air", "haze", "false"),
        ("yes, haze", "haze", "true"),
        ("in haze", "haze", "true"),
        ("partly cut off", "cut", "true"),
        ("a part is cut off", "cut", "true"),
        ("all of it is in the frame", "cut", "false"),
    ];

    const FILLERS: &str = "a an the it its has have their is are i see of and with there also this \
        aircraft image shows times height fuselage body sit sits hang against not on over yes no";

    impl Checker {
        fn new(variants: &Value) -> Self {
            let variants = variants.as_array().unwrap().iter();
            Self {
                variants: variants
                    .map(|variant| (variant["name"].as_str().unwrap().to_string(), variant.clone()))
                    .collect(),
            }
        }

        fn value(&self, name: &str, attribute: &str) -> Value {
            let variant = &self.variants[name];
            variant.get(attribute).unwrap_or(&variant["attributes"][attribute]).clone()
        }

        fn slenderness(&self, name: &str) -> f64 {
            self.value(name, "fuselage_slenderness").as_f64().unwrap()
        }

        /// All sentences of a text about `truth`, in front of the scene of `row`.
        fn text(&self, text: &str, truth: &str, row: &Value) {
            let text = text.strip_suffix('.').unwrap_or(text);
            for sentence in text.split(". ").flat_map(|part| part.split("; the ")) {
                let (subjects, rest) = self.subjects(sentence, truth);
                for subject in &subjects {
                    self.sentence(&rest, subject, truth, row);
                }
            }
        }

        /// `The A and B have …`, `A is …`: about whom, and what.
        fn subjects(&self, sentence: &str, truth: &str) -> (Vec<String>, String) {
            let start = sentence.strip_prefix("The ").unwrap_or(sentence);
            let Some((first, rest)) = self.leading_name(start) else {
                return (vec![truth.to_string()], sentence.to_string());
            };
            match rest.strip_prefix(" and ").and_then(|rest| self.leading_name(rest)) {
                Some((second, rest)) => (vec![first, second], rest.to_string()),
                None => (vec![first], rest.to_string()),
            }
        }

        fn leading_name<'a>(&self, text: &'a str) -> Option<(String, &'a str)> {
            self.variants.keys().find_map(|name| {
                let rest = text.strip_prefix(name.as_str())?;
                Some((name.clone(), rest))
            })
        }

        fn sentence(&self, sentence: &str, subject: &str, truth: &str, row: &Value) {
            let variant = &self.variants[subject];
            let maker = variant["manufacturer"].as_str().unwrap();
            let mut left = sentence.replace(&format!("{maker} {subject}"), "");
            left = left.replace(subject, "").to_lowercase();
            let fails = |what: &str| -> ! { panic!("{what}: {sentence:?} of {subject}") };
            let mut told_apart = subject == truth;

            // Numbers: `x against y` and `x, not y` compare with the other, all else is one's own.
            let other = if subject == truth { row["rival"].as_str() } else { Some(truth) };
            for word in ["longer", "slimmer", "shorter", "stubbier"] {
                if !left.contains(word) {
                    continue;
                }
                let other = other.unwrap_or_else(|| fails("compared with nobody"));
                let (mine, theirs) = (self.slenderness(subject), self.slenderness(other));
                let lengths = [subject, other].map(|name| self.value(name, "length_m").as_f64());
                let holds = match word {
                    "longer" => mine > theirs && lengths[0] > lengths[1],
                    "shorter" => mine < theirs && lengths[0] < lengths[1],
                    "slimmer" => mine > theirs,
                    _ => mine < theirs,
                };
                if !holds {
                    fails(word);
                }
                for form in ["{} against {}", "{}, not {}"] {
                    let form = form.replacen("{}", &format!("{mine:.1}"), 1);
                    left = left.replace(&form.replacen("{}", &format!("{theirs:.1}"), 1), "");
                }
                left = left.replace(word, "");
                told_apart = true;
            }
            let own = self.slenderness(subject);
            left = left.replace(&format!("{own:.1}"), "");
            for &(word, low, high) in LENGTHS {
                if left.contains(word) {
                    if !(low - 0.01..high + 0.01).contains(&own) {
                        fails(word);
                    }
                    left = left.replace(word, "");
                }
            }
            // A gear or deck phrase has numbers of its own: it goes before the engines.
            for &(phrase, attribute, value) in CLAIMS {
                if left.contains(phrase) {
                    if self.value(subject, attribute) != value {
                        fails(phrase);
                    }
                    told_apart |= self.value(truth, attribute) != value;
                    left = left.replace(phrase, "");
                }
            }
            for &(count_word, count) in COUNTS {
                for &(power, kind) in POWER {
                    let phrase = format!("{count_word} {power}");
                    if left.contains(&phrase) {
                        let same_count = self.value(subject, "engines") == count;
                        let same_kind = kind.is_empty() || self.value(subject, "engine_kind") == kind;
                        if !(same_count && same_kind) {
                            fails(&phrase);
                        }
                        told_apart |= self.value(truth, "engines") != count
                            || (!kind.is_empty() && self.value(truth, "engine_kind") != kind);
                        left = left.replace(&phrase, "");
                    }
                }
            }
            if left.contains("turboprop") {
                if self.value(subject, "supercategory") != "turboprop" {
                    fails("turboprop");
                }
                told_apart |= self.value(truth, "supercategory") != "turboprop";
                left = left.replace("turboprop", "");
            }
            for &(phrase, field, value) in SCENES {
                if !left.contains(phrase) {
                    continue;
                }
                let holds = match (&row[field], value.split_once("..")) {
                    (Value::Number(yaw), Some((low, high))) => {
                        let yaw = yaw.as_i64().unwrap();
                        (low.parse().unwrap()..=high.parse().unwrap()).contains(&yaw)
                    }
                    (Value::Bool(flag), _) => flag.to_string() == value,
                    (found, _) => found == value,
                };
                if !holds {
                    fails(phrase);
                }
                left = left.replace(phrase, "");
            }
            if !told_apart {
                fails("no difference");
            }
            for word in left.split(|letter: char| !letter.is_alphanumeric() && letter != '.') {
                let known = FILLERS.split_whitespace().any(|filler| filler == word);
                // `their engines under the wings` of a comparison.
                if !(word.is_empty() || known || word == "engines") {
                    fails(&format!("unaccounted {word:?}"));
                }
            }
        }

        fn names(&self, list: &str) -> Vec<String> {
            let list = list.replace(" and ", ", ").replace(" or ", ", ");
            list.split(", ").map(str::to_string).collect()
        }

        fn caption(&self, conversation: &Conversation, row: &Value) {
            let truth = row["label"].as_str().unwrap();
            let mut named = 0;
            assert!((2..=4).contains(&conversation.turns.len()));
            for turn in &conversation.turns {
                let answer = turn.answer.as_str();
                match turn.kind {
                    "name_open" => {
                        named += 1;
                        let full = format!("{} {truth}", self.value(truth, "manufacturer").as_str().unwrap());
                        let bare = answer.trim_end_matches('.');
                        let starts = ["", "This is the ", "It is a ", "It is an "];
                        let holds = starts.iter().any(|start| {
                            bare.strip_prefix(start).is_some_and(|name| name == truth || name == full)
                        });
                        assert!(holds, "{answer}");
                    }
                    "name_closed" => {
                        named += 1;
                        let (_, list) = turn.question.split_once("\nOptions: ").unwrap();
                        let options = self.names(list.strip_suffix('.').unwrap());
                        assert_eq!(options.len(), MAX_CANDIDATES);
                        assert!(options.iter().any(|name| name == truth));
                        assert_eq!(answer, truth);
                    }
                    "family" => assert_eq!(self.value(truth, "family"), answer),
                    "maker" => assert_eq!(self.value(truth, "manufacturer"), answer),
                    "difference" | "other_differs" => {
                        assert!(named > 0, "a comparison gave the name away");
                        let rival = self
                            .variants
                            .keys()
                            .find(|name| turn.question.contains(&format!("the {name}")))
                            .unwrap();
                        assert_ne!(rival, truth);
                        let mut row = row.clone();
                        row["rival"] = rival.as_str().into();
                        // Read with the roles swapped, `It …` must tell the truth from the rival.
                        if turn.kind == "difference" {
                            let text = answer.replacen("It", &format!("The {truth}"), 1);
                            self.text(&text, rival, &row);
                        }
                        self.text(answer, truth, &row);
                    }
                    "summary_unnamed" => {
                        assert!(!answer.contains(truth), "{answer}");
                        self.text(answer, truth, row);
                    }
                    _ => self.text(answer, truth, row),
                }
            }
            assert_eq!(named, 1);
        }

        /// Checks one chain of thought and returns where the truth stands, and among how many.
        fn rationale(&self, conversation: &Conversation, row: &Value) -> (usize, usize) {
            let truth = row["label"].as_str().unwrap();
            let [turn] = &conversation.turns[..] else { panic!("one turn") };
            let (thought, answer) = turn
                .answer
                .strip_prefix("<think>")
                .and_then(|text| text.strip_suffix("</answer>"))
                .and_then(|text| text.split_once("</think>\n<answer>"))
                .unwrap();
            assert_eq!(answer, truth);
            assert!((150..=480).contains(&thought.len()), "{} {thought}", thought.len());
            for (name, variant) in &self.variants {
                let unseen = variant["split"] == "unseen";
                assert!(!(unseen && turn.answer.contains(name.as_str())), "{name}: {}", turn.answer);
                assert!(!(unseen && turn.question.contains(name.as_str())), "{name}");
            }

            let thought = thought.replace("? ", ". ");
            let starts = ["Candidates: ", "It could be ", "Is it ", "Compare ", "Possible: "];
            let (before, list, after) = starts
                .iter()
                .find_map(|start| {
                    let (before, rest) = thought.split_once(start)?;
                    let (list, after) = rest.split_once(". ")?;
                    Some((before, list, after))
                })
                .unwrap();
            let candidates = self.names(list);
            assert!((2..=MAX_CANDIDATES).contains(&candidates.len()));
            let place = candidates.iter().position(|name| name == truth).unwrap();
            let distinct: HashSet<&String> = candidates.iter().collect();
            assert_eq!(distinct.len(), candidates.len());
            assert!(turn.question.ends_with(INSTRUCTION));
            if turn.kind == "closed" {
                let options = options_line(&candidates);
                assert!(turn.question.contains(&format!("\n{options}\n")), "{}", turn.question);
            } else {
                assert!(!turn.question.contains("Options"));
            }

            self.text(before.trim_end(), truth, row);
            assert!(before.contains(&format!("{:.1}", self.slenderness(truth))));
            let (compared, prediction) = after.trim_end_matches('.').rsplit_once(". ").unwrap();
            for sentence in compared.split(". ").flat_map(|part| part.split("; the ")) {
                let (subjects, _) = self.subjects(sentence, truth);
                for subject in subjects {
                    assert!(subject != truth && candidates.contains(&subject), "{sentence}");
                }
            }
            self.text(compared, truth, row);
            assert!(prediction.contains(truth), "{prediction}");
            let number = format!("{:.1}", self.slenderness(truth));
            assert!(!prediction.replace(&number, "").contains('.'), "{prediction}");
            (place, candidates.len())
        }
    }

    fn fixture_options(folder: &Path, kind: FactsKind) -> (FactsOptions, Vec<Value>) {
        let variants = facts::fixture::variants();
        let lights = ["day", "overcast", "dusk", "night"];
        let places = [("sky", true), ("snow", true), ("grass", false), ("tarmac", false)];
        let names = variants.as_array().unwrap().iter();
        let rows: Vec<Value> = names
            .filter(|variant| kind == FactsKind::Caption || variant["split"] == "seen")
            .flat_map(|variant| (0..20).map(move |index| (variant, index)))
            .map(|(variant, index)| {
                let (ground, airborne) = places[index % 4];
                json!({
                    "image": format!("{}.tar/{index}.jpg", variant["slug"].as_str().unwrap()),
                    "label": variant["name"], "side": (if index % 2 == 0 { "left" } else { "right" }),
                    "yaw": (index as i64 - 10) * 5, "light": lights[index / 4 % 4],
                    "ground": ground, "airborne": airborne, "haze": index % 3 == 0,
                    "cut": index % 5 == 0,
                })
            })
            .collect();
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        let options = FactsOptions {
            variants: folder.join("variants.json"),
            rows: folder.join("rows.jsonl"),
            image_root: "images".into(),
            out: folder.join("out"),
            kind,
            per_image: 8,
            seed: 7,
        };
        fs::write(&options.variants, variants.to_string()).unwrap();
        fs::write(&options.rows, lines.join("\n")).unwrap();
        (options, rows)
    }

    fn check_captions(options: &FactsOptions, rows: &[Value]) {
        let checker = Checker::new(&read_json(&options.variants));
        let mut first = 0;
        let mut total = 0;
        for (index, conversation) in conversations(options).unwrap().enumerate() {
            let conversation = conversation.unwrap();
            checker.caption(&conversation, &rows[index / options.per_image]);
            total += 1;
            first += usize::from(conversation.turns[0].kind.starts_with("name"));
        }
        // The name comes first in (1/2 + 1/3 + 1/4) / 3 = 36 %.
        let share = first as f64 / total as f64;
        assert!((0.32..0.40).contains(&share), "{share}");
    }

    fn check_rationales(options: &FactsOptions, rows: &[Value]) {
        let checker = Checker::new(&read_json(&options.variants));
        let mut places: HashMap<(&str, usize), Vec<usize>> = HashMap::new();
        for (index, conversation) in conversations(options).unwrap().enumerate() {
            let conversation = conversation.unwrap();
            let (place, count) = checker.rationale(&conversation, &rows[index / options.per_image]);
            let kind = conversation.turns[0].kind;
            places.entry((kind, count)).or_insert_with(|| vec![0; count])[place] += 1;
        }
        let total = |kind: &str| -> usize {
            let counts = places.iter().filter(|((found, _), _)| *found == kind);
            counts.map(|(_, counts)| counts.iter().sum::<usize>()).sum()
        };
        assert_eq!(total("open"), total("closed"));
        for (key, counts) in &places {
            let expected = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
            let chi_square: f64 =
                counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
            // 0.999 quantile for three degrees of freedom.
            assert!(chi_square < 16.3, "{key:?}: {counts:?}");
        }
    }

    fn read_json(path: &Path) -> Value {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    fn read_rows(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_caption_is_true() {
        let folder = Folder::new();
        let (options, rows) = fixture_options(folder.path(), FactsKind::Caption);
        check_captions(&options, &rows);
    }

    #[test]
    fn every_rationale_is_true_and_the_truth_stands_anywhere() {
        let folder = Folder::new();
        let (options, rows) = fixture_options(folder.path(), FactsKind::Rationale);
        check_rationales(&options, &rows);
    }

    #[test]
    #[ignore = "needs AIRLINERS_DATA, the folder that holds airliners and airliners-pretrain"]
    fn every_text_about_the_airliners_is_true() {
        let data = PathBuf::from(std::env::var("AIRLINERS_DATA").expect("AIRLINERS_DATA"));
        for (kind, set, rows, per_image) in [
            (FactsKind::Caption, "airliners-pretrain", "pretrain.jsonl", 4),
            (FactsKind::Rationale, "airliners", "train.jsonl", 16),
        ] {
            let options = FactsOptions {
                variants: data.join(set).join("variants.json"),
                rows: data.join(set).join(rows),
                image_root: String::new(),
                out: PathBuf::new(),
                kind,
                per_image,
                seed: 20260,
            };
            let rows = read_rows(&options.rows);
            match kind {
                FactsKind::Name => unreachable!("checked beside its own code"),
                FactsKind::Caption => check_captions(&options, &rows),
                FactsKind::Rationale => check_rationales(&options, &rows),
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
        let folder = Folder::new();
        for kind in [FactsKind::Caption, FactsKind::Rationale] {
            let (mut options, rows) = fixture_options(folder.path(), kind);
            let bytes = |options: &FactsOptions| {
                let report = write_facts(options).unwrap();
                assert_eq!(report.conversations, rows.len() * options.per_image);
                assert!(report.mean_answer_characters < report.mean_characters);
                fs::read(report.dataset_path).unwrap()
            };
            let once = bytes(&options);
            assert_eq!(once, bytes(&options));
            options.seed += 1;
            assert_ne!(once, bytes(&options));
        }
    }

    #[test]
    fn a_sample_is_independent_of_how_many_are_made() {
        let folder = Folder::new();
        let (mut options, _) = fixture_options(folder.path(), FactsKind::Caption);
        let many: Vec<_> = conversations(&options).unwrap().map(Result::unwrap).collect();
        options.per_image = 2;
        let few: Vec<_> = conversations(&options).unwrap().map(Result::unwrap).collect();
        assert_eq!(many[8..10], few[2..4]);
    }

    #[test]
    fn archives_are_unpacked_and_errors_name_their_line() {
        let folder = Folder::new();
        let (options, rows) = fixture_options(folder.path(), FactsKind::Caption);
        let first = conversations(&options).unwrap().next().unwrap().unwrap();
        assert_eq!(first.image, "images/a320/0.jpg");
        assert_eq!(image_path("", "a/b.jpg"), "a/b.jpg");

        let mut bad = rows[1].clone();
        bad["label"] = "Concorde".into();
        fs::write(&options.rows, format!("{}\n{bad}\n", rows[0])).unwrap();
        let message = format!("{:#}", write_facts(&options).unwrap_err());
        assert!(message.contains("rows.jsonl:2"), "{message}");
        assert!(message.contains("Concorde"), "{message}");
        fs::write(&options.rows, "{\"image\": 1}").unwrap();
        let message = format!("{:#}", write_facts(&options).unwrap_err());
        assert!(message.contains("rows.jsonl:1"), "{message}");
    }
}
