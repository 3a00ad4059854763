//! A folder with pictures of two colours, questions about them, and runs of reinforcement learning.

use fine_r1_tests::program::{Run, start, trainer};
use fine_r1_tests::scratch::{Scratch, golden_checkpoint};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use std::fs;
use std::process::Child;

const CHECKPOINT: &str = "qwen2_5_vl-untied";
const PICTURES: u32 = 3;

/// Runs beside each other.
pub struct Colours {
    scratch: Scratch,
}

impl Colours {
    /// Six questions, three about red pictures, whose answers shall contain an `a`, and three about blue ones,
    /// whose answers shall contain an `s`. The random model that all runs start from knows neither.
    pub fn new() -> Self {
        let scratch = Scratch::new();
        for (name, colour) in [("red", [220_u8, 30, 30]), ("blue", [30, 40, 220])] {
            for number in 0..PICTURES {
                let picture = RgbImage::from_fn(56, 56, |x, y| {
                    let grain = ((x * 31 + y * 17 + number * 7) % 40) as u8;
                    Rgb(colour.map(|value| value.saturating_sub(20).saturating_add(grain)))
                });
                picture.save(scratch.at(&format!("{name}{number}.png"))).expect("a picture");
            }
        }
        let colours = Self { scratch };
        colours.write_rows("rows.jsonl", "a", "s", |_| ());
        colours.scratch.write(
            "recipe.toml",
            format!(
                "model_name_or_path = {:?}\nsave_steps = 1000\n\
                 [data]\ntrain_files = [{:?}]\nformat_prompt = \"{{content}}\"\n\
                 [rollout]\nprompts_per_step = 6\nprompts_per_try = 6\ntop_p = 1.0\nmax_new_tokens = 3\n\
                 [update]\nprompts_per_update = 0\nmicro_batch_size = 30\nlearning_rate = 5e-3\n\
                 [filter]\nmax_tries = 3\n\
                 [noise]\nmiddle_step = 6\n\
                 [reward]\naccuracy = 1.0\nformat = 0.0\nscope = \"whole_text\"\n",
                golden_checkpoint(CHECKPOINT),
                colours.scratch.arg("rows.jsonl"),
            ),
        );
        colours
    }

    /// Writes rows with these two answers; `change` may change each.
    pub fn write_rows(&self, file: &str, red: &str, blue: &str, change: impl Fn(&mut Value)) {
        let mut lines = String::new();
        for (name, other, answer) in [("red", "blue", red), ("blue", "red", blue)] {
            for number in 0..PICTURES {
                let mut row = json!({
                    "problem": "<image>Which?",
                    "answer": answer,
                    "images": [format!("{name}{number}.png")],
                    "image_noisy": [format!("{name}{}.png", (number + 1) % PICTURES)],
                    "image_aug": [format!("{other}{number}.png")],
                });
                change(&mut row);
                lines += &format!("{row}\n");
            }
        }
        self.scratch.write(file, lines);
    }

    /// The entry of a recipe that names a file of rows.
    pub fn rows(&self, file: &str) -> String {
        format!("data.train_files=[{:?}]", self.scratch.arg(file))
    }

    /// What is typed for a run.
    pub fn arguments(&self, verb: &str, run: &str, settings: &[&str]) -> Vec<String> {
        let output = format!("output_dir={}", self.scratch.arg(run));
        let mut arguments = vec![verb.to_owned(), "--recipe".to_owned(), self.scratch.arg("recipe.toml")];
        for setting in settings.iter().copied().chain([output.as_str()]) {
            arguments.extend(["--set".to_owned(), setting.to_owned()]);
        }
        arguments
    }

    /// A run, whatever becomes of it.
    pub fn attempt(&self, verb: &str, run: &str, settings: &[&str]) -> Run {
        trainer(self.arguments(verb, run, settings))
    }

    /// A whole run; returns what it said.
    pub fn train(&self, verb: &str, run: &str, settings: &[&str]) -> String {
        let run = self.attempt(verb, run, settings);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}\n{}", run.typed, run.stderr);
        run.stderr
    }

    /// The rest of a run, whatever becomes of it.
    pub fn attempt_to_resume(&self, verb: &str, run: &str, settings: &[&str]) -> Run {
        let mut arguments = self.arguments(verb, run, settings);
        arguments.push("--resume".to_owned());
        trainer(arguments)
    }

    /// The rest of a run; returns what it said.
    pub fn resume(&self, verb: &str, run: &str, settings: &[&str]) -> String {
        let run = self.attempt_to_resume(verb, run, settings);
        assert_eq!(run.code, Some(0), "{}\n{}", run.typed, run.stderr);
        run.stderr
    }

    /// A run that goes on while the test does.
    pub fn start(&self, verb: &str, run: &str, settings: &[&str]) -> Child {
        start(self.arguments(verb, run, settings))
    }

    /// A run that goes on while the test does, from its last state where it has one.
    pub fn start_or_resume(&self, verb: &str, run: &str, settings: &[&str]) -> Child {
        let mut arguments = self.arguments(verb, run, settings);
        if !self.states(run).is_empty() {
            arguments.push("--resume".to_owned());
        }
        start(arguments)
    }

    /// Names of a run's states, sorted; none as long as there is no run.
    pub fn states(&self, run: &str) -> Vec<String> {
        let mut names = self.entries(run);
        names.retain(|name| name.starts_with("checkpoint-"));
        names
    }

    /// What lies in a folder, sorted; nothing as long as there is none.
    pub fn entries(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.scratch.at(folder)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// The complete lines of a run's log; none as long as there is no log.
    pub fn log(&self, run: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.scratch.at(run).join("log.jsonl")).unwrap_or_default();
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// A number of every line of a run's log; `path` is a JSON pointer.
    pub fn column(&self, run: &str, path: &str) -> Vec<f64> {
        let number = |line: &Value| line.pointer(path).and_then(Value::as_f64);
        self.log(run)
            .iter()
            .map(|line| number(line).unwrap_or_else(|| panic!("{run} has no {path}: {line}")))
            .collect()
    }

    /// A new run that has nothing but another's state after a step.
    pub fn copy_state(&self, from: &str, to: &str, step: usize) {
        let name = format!("checkpoint-{step}");
        let (from, to) = (self.scratch.at(from).join(&name), self.scratch.at(to).join(&name));
        fs::create_dir_all(&to).expect("a temporary folder");
        for entry in fs::read_dir(&from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
            let path = entry.expect("an entry").path();
            fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
        }
    }

    /// Where a run lies.
    pub fn path(&self, run: &str) -> String {
        self.scratch.arg(run)
    }

    /// Files of a run's folder with an extension, sorted.
    pub fn names(&self, run: &str, extension: &str) -> Vec<String> {
        let mut names = self.entries(run);
        names.retain(|name| name.ends_with(&format!(".{extension}")));
        names
    }

    /// A file of a run.
    pub fn bytes(&self, run: &str, file: &str) -> Vec<u8> {
        self.scratch.read(&format!("{run}/{file}"))
    }
}
