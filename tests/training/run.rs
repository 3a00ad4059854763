//! A folder with a recipe, a made-up data set and what becomes of them.

use fine_r1_tests::program::{program, start, trainer};
use fine_r1_tests::scratch::{Scratch, golden_checkpoint, golden_image};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

const CHECKPOINT: &str = "qwen2_5_vl-untied";
/// The checkpoint's own weights lie in two files; runs write one.
const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// Runs beside each other.
pub struct Folder {
    scratch: Scratch,
}

impl Folder {
    /// Four questions about three pictures, one without, two a step.
    pub fn new() -> Self {
        let row = |question: &str, answer: &str, images: &[&str]| {
            let question = "<image>".repeat(images.len()) + question;
            json!({
                "conversations": [
                    { "from": "human", "value": question },
                    { "from": "gpt", "value": format!("<think>Seen.</think><answer>{answer}</answer>") },
                ],
                "images": images,
            })
        };
        let rows = json!([
            row("What is it?", "A dot", &["tiny.png"]),
            row("Which one?", "The grey one", &["grey.png"]),
            row("How do they differ?", "In colour", &["palette.png", "grey.png"]),
            row("Why?", "Because", &[]),
        ]);
        Self::with(&rows, CHECKPOINT)
    }

    /// Rows about three pictures, two a step, and the golden checkpoint that is trained on them.
    pub fn with(rows: &Value, checkpoint: &str) -> Self {
        let scratch = Scratch::new();
        for image in ["tiny.png", "grey.png", "palette.png"] {
            fs::copy(golden_image(image), scratch.at(image)).expect("a picture");
        }
        scratch.write("rows.json", rows.to_string());
        let info = json!({ "rows": { "file_name": "rows.json", "formatting": "sharegpt" } });
        scratch.write("dataset_info.json", info.to_string());
        scratch.write(
            "recipe.toml",
            format!(
                "model_name_or_path = {:?}\ndataset_dir = {:?}\ndataset = \"rows\"\n\
                 per_device_train_batch_size = 2\nlearning_rate = 1e-3\nlogging_steps = 1\n\
                 freeze_vision_tower = false\nfreeze_multi_modal_projector = false\n",
                golden_checkpoint(checkpoint),
                scratch.dir(),
            ),
        );
        Self { scratch }
    }

    fn arguments(&self, run: &str, settings: &[&str]) -> Vec<String> {
        let output = format!("output_dir={}", self.scratch.arg(run));
        let mut arguments = vec!["sft".to_owned(), "--recipe".to_owned(), self.scratch.arg("recipe.toml")];
        for setting in settings.iter().copied().chain([output.as_str()]) {
            arguments.extend(["--set".to_owned(), setting.to_owned()]);
        }
        arguments
    }

    /// A whole run; returns what it said.
    pub fn train(&self, run: &str, settings: &[&str]) -> String {
        let run = trainer(self.arguments(run, settings));
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}\n{}", run.typed, run.stderr);
        run.stderr
    }

    /// The rest of a run.
    pub fn resume(&self, run: &str, settings: &[&str]) {
        let mut arguments = self.arguments(run, settings);
        arguments.push("--resume".to_owned());
        let run = trainer(arguments);
        assert_eq!(run.code, Some(0), "{}\n{}", run.typed, run.stderr);
    }

    /// A run that goes on while the test does.
    pub fn start(&self, run: &str, settings: &[&str]) -> Child {
        self.start_with(run, settings, &[])
    }

    /// The same with more words on the command line.
    pub fn start_with(&self, run: &str, settings: &[&str], more: &[&str]) -> Child {
        let mut arguments = self.arguments(run, settings);
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        start(arguments)
    }

    /// The rest of a run that may not write files larger than this.
    #[cfg(unix)]
    pub fn resume_with_file_limit(&self, run: &str, settings: &[&str], kibibytes: usize) -> Output {
        let mut arguments = self.arguments(run, settings);
        arguments.push("--resume".to_owned());
        // POSIX counts in blocks of 512 bytes; a write over the limit is an error, not a signal.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kibibytes * 2);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(program()).args(arguments).stdin(Stdio::null());
        command.output().expect("sh starts")
    }

    /// A path inside.
    pub fn at(&self, name: &str) -> PathBuf {
        self.scratch.at(name)
    }

    /// What lies in a folder, sorted; nothing as long as there is no folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
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

    /// The steps that a run's log tells of.
    pub fn steps(&self, run: &str) -> Vec<u64> {
        self.log(run).iter().map(|line| line["step"].as_u64().expect("a number")).collect()
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

    /// The folder of a run.
    pub fn path(&self, run: &str) -> String {
        self.scratch.arg(run)
    }

    /// A file of a run.
    pub fn bytes(&self, run: &str, file: &str) -> Vec<u8> {
        self.scratch.read(&format!("{run}/{file}"))
    }
}

/// The weights that all runs start from, by name.
pub fn weights_at_start() -> Vec<(String, Vec<f32>)> {
    let folder = fine_r1_tests::golden("checkpoints").join(CHECKPOINT);
    let mut found: Vec<_> =
        SHARDS.iter().flat_map(|shard| weights(&fs::read(folder.join(shard)).expect("weights"))).collect();
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

/// The weights of a file, by name.
pub fn weights(file: &[u8]) -> Vec<(String, Vec<f32>)> {
    let tensors = SafeTensors::deserialize(file).expect("a sound file");
    let mut found: Vec<(String, Vec<f32>)> = tensors
        .iter()
        .map(|(name, view)| {
            let floats =
                view.data().as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
            (name.to_owned(), floats)
        })
        .collect();
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}
