//! A judge of the user's own: a program that reads answers and writes scores, a JSON object a line.
//!
//! It gets `{"id", "response", "response_tokens", "ground_truth", "row"}`, where `row` has all columns, and
//! answers each with `{"id", "overall"}`, in any order; other numbers of the object are logged. The names
//! are those of EasyR1: <https://github.com/hiyouga/EasyR1/blob/b44b311/verl/workers/reward/function.py>.

use super::{Answered, Opinion, Reward};
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The `[reward.command]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandSettings {
    /// Program and arguments; empty leaves it out.
    pub argv: Vec<String>,
    /// Weight of its `overall`.
    pub weight: f64,
    /// So long it may take for the answers of one round, in seconds.
    pub timeout_secs: f64,
    /// So often it is started anew in a run, after it died, hung or wrote nonsense.
    pub restarts: usize,
}

impl Default for CommandSettings {
    fn default() -> Self {
        Self { argv: Vec::new(), weight: 1.0, timeout_secs: 60.0, restarts: 3 }
    }
}

/// The program, running.
pub struct CommandReward {
    settings: CommandSettings,
    running: Running,
    restarts_left: usize,
}

struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl CommandReward {
    /// Starts the program.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(settings: &CommandSettings) -> Result<Self> {
        let running = Running::start(&settings.argv)?;
        Ok(Self { settings: settings.clone(), running, restarts_left: settings.restarts })
    }
}

impl Reward for CommandReward {
    fn name(&self) -> &'static str {
        "command"
    }

    fn judge(&mut self, answers: &[Answered<'_>]) -> Result<Vec<Opinion>> {
        let timeout = Duration::from_secs_f64(self.settings.timeout_secs);
        loop {
            let error = match self.running.ask(answers, timeout) {
                Ok(opinions) => return Ok(opinions),
                Err(error) => error,
            };
            let program = self.settings.argv.join(" ");
            if self.restarts_left == 0 {
                bail!(
                    "the reward command `{program}` failed: {error:#}\nhint: it must answer every line \
                     {{\"id\": …}} with {{\"id\": …, \"overall\": number}} and flush its output; try it by hand"
                );
            }
            self.restarts_left -= 1;
            eprintln!("warning: the reward command `{program}` is started anew: {error:#}");
            self.running = Running::start(&self.settings.argv)?;
        }
    }
}

impl Running {
    fn start(argv: &[String]) -> Result<Self> {
        let (program, arguments) = argv.split_first().context("the reward command is empty")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C in a terminal goes to all of its group: the run ends after its step, and needs the judge for that.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| {
            anyhow!("cannot start the reward command `{program}`: {error}\nhint: check reward.command.argv")
        })?;
        let stdout = child.stdout.take().context("the reward command has no output")?;
        let (sender, lines) = channel();
        // Ends when the program closes its output or nobody listens any more.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    fn ask(&mut self, answers: &[Answered<'_>], timeout: Duration) -> Result<Vec<Opinion>> {
        let deadline = Instant::now() + timeout;
        let mut questions = Vec::new();
        for (id, answer) in answers.iter().enumerate() {
            let question = json!({
                "id": id,
                "response": answer.text,
                "response_tokens": answer.tokens,
                "ground_truth": answer.truth,
                "row": answer.columns,
            });
            writeln!(questions, "{question}")?;
        }
        let mut stdin = self.child.stdin.take().context("it takes no more lines")?;
        // Written beside reading: neither side may wait for the other with a full pipe.
        let writer = thread::spawn(move || {
            let sent = stdin.write_all(&questions).and_then(|()| stdin.flush());
            (stdin, sent)
        });
        // A writer that nobody reads from is left to itself: it ends with the program.
        let opinions = self.listen(answers.len(), deadline).inspect_err(|_| self.end())?;
        let (stdin, sent) = writer.join().map_err(|_| anyhow!("the writer of its lines panicked"))?;
        sent.context("it takes no more lines")?;
        self.child.stdin = Some(stdin);
        Ok(opinions)
    }

    fn listen(&mut self, count: usize, deadline: Instant) -> Result<Vec<Opinion>> {
        let mut opinions: Vec<Option<Opinion>> = vec![None; count];
        let mut open = count;
        while open > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => anyhow!("{open} of {count} answers have no score in time"),
                RecvTimeoutError::Disconnected => anyhow!("it ended with {open} of {count} answers open"),
            })?;
            let (id, opinion) = parse(&line).with_context(|| format!("it wrote {line:?}"))?;
            let place = opinions.get_mut(id).with_context(|| format!("it wrote of the unknown id {id}"))?;
            open -= usize::from(place.is_none());
            *place = Some(opinion);
        }
        Ok(opinions.into_iter().flatten().collect())
    }

    fn end(&mut self) {
        // What it has started stands in its group. Once it was waited for, its number may be somebody else's.
        #[cfg(unix)]
        if matches!(self.child.try_wait(), Ok(None)) {
            let group = format!("-{}", self.child.id());
            drop(Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A program that reads to the end of its input ends by itself; whatever it does, it ends.
        drop(self.child.stdin.take());
        self.end();
    }
}

fn parse(line: &str) -> Result<(usize, Opinion)> {
    let object: Map<String, Value> = serde_json::from_str(line).context("which is no JSON object")?;
    let id = object.get("id").and_then(Value::as_u64).context("which has no `id`")?;
    let score = object.get("overall").and_then(Value::as_f64).context("which has no number `overall`")?;
    let details = object
        .iter()
        .filter(|(key, _)| !["id", "overall"].contains(&key.as_str()))
        .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)))
        .collect();
    Ok((id as usize, Opinion { score, details }))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn judge(script: &str, restarts: usize, texts: &[&str]) -> Result<Vec<Opinion>> {
        let columns = json!({"kind": "jet"});
        let Value::Object(columns) = columns else { unreachable!("an object") };
        let settings = CommandSettings {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timeout_secs: 5.0,
            restarts,
            ..CommandSettings::default()
        };
        let answers: Vec<Answered<'_>> =
            texts.iter().map(|text| Answered { text, tokens: 2, truth: "A", columns: &columns }).collect();
        CommandReward::start(&settings)?.judge(&answers)
    }

    /// Says 1 to lines about `good` and to which every column has come, 0 to others.
    const HONEST: &str = r#"while read -r line; do
        id=${line#*\"id\":}; id=${id%%,*}
        case $line in *good*jet*) echo "{\"id\":$id,\"overall\":1,\"tone\":0.5}";; *) echo "{\"id\":$id,\"overall\":0}";; esac
    done"#;

    #[test]
    fn scores_and_details_come_back_in_order() {
        let opinions = judge(HONEST, 0, &["good", "bad", "good"]).expect("scores");
        assert_eq!(opinions.iter().map(|opinion| opinion.score).collect::<Vec<_>>(), [1.0, 0.0, 1.0]);
        assert_eq!(opinions[0].details, [("tone".to_owned(), 0.5)]);
    }

    #[test]
    fn more_lines_than_a_pipe_holds_do_not_stop_it() {
        let long = "good ".repeat(4000);
        let texts = vec![long.as_str(); 20];
        let opinions = judge(HONEST, 0, &texts).expect("scores");
        assert!(opinions.iter().all(|opinion| opinion.score == 1.0));
    }

    #[test]
    fn a_program_that_died_is_started_anew() {
        let folder = std::env::temp_dir().join(format!("reward-{}", std::process::id()));
        let marker = folder.display();
        let script = format!("if [ ! -e {marker} ]; then touch {marker}; exit 1; fi; {HONEST}");
        drop(std::fs::remove_file(&folder));
        let opinions = judge(&script, 1, &["good"]);
        drop(std::fs::remove_file(&folder));
        assert_eq!(opinions.expect("scores")[0].score, 1.0);
    }

    #[test]
    fn a_program_that_fails_is_refused_with_the_reason() {
        for (script, reason) in [
            ("exit 0", "it ended with 1 of 1 answers open"),
            ("echo nonsense; sleep 9", "no JSON object"),
            ("echo '{\"id\":7,\"overall\":1}'; sleep 9", "unknown id 7"),
            ("echo '{\"id\":0}'; sleep 9", "no number `overall`"),
        ] {
            let error = format!("{:#}", judge(script, 0, &["x"]).expect_err(script));
            assert!(error.contains(reason) && error.contains("\nhint: "), "{script}: {error}");
        }
        let missing = CommandSettings { argv: vec!["no-such-program".into()], ..CommandSettings::default() };
        assert!(CommandReward::start(&missing).is_err());
    }

    /// State, parent and group of a process, as the kernel has them.
    #[cfg(target_os = "linux")]
    fn facts(process: u32) -> Option<Vec<String>> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // They stand after the name in brackets.
        let (_, after) = stat.rsplit_once(") ")?;
        Some(after.split(' ').take(3).map(str::to_owned).collect())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_program_has_started_ends_with_it() {
        let script = "sleep 600 & echo \"{\\\"id\\\":0,\\\"overall\\\":0,\\\"process\\\":$!}\"; wait";
        let opinions = judge(script, 0, &["x"]).expect("a score");
        let (_, process) = opinions[0].details[0];
        // Whoever inherits it may take a while to bury it.
        let is_over = || facts(process as u32).is_none_or(|facts| facts[0] == "Z");
        let begun = Instant::now();
        while !is_over() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it goes on");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What a terminal sends to the run's group does not reach it.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_has_a_group_of_its_own() {
        let group = |process: u32| facts(process).expect("a process")[2].clone();
        let running = Running::start(&["sh", "-c", "read -r line"].map(str::to_owned)).expect("sh starts");
        let judge = running.child.id();
        assert_eq!(group(judge), judge.to_string());
        assert_ne!(group(judge), group(std::process::id()));
    }

    #[test]
    fn a_program_that_hangs_is_given_up() {
        let settings = CommandSettings {
            argv: ["sh", "-c", "sleep 600"].map(str::to_owned).to_vec(),
            timeout_secs: 0.2,
            restarts: 1,
            ..CommandSettings::default()
        };
        let columns = Map::new();
        let answer = Answered { text: "x", tokens: 1, truth: "A", columns: &columns };
        let begun = Instant::now();
        let error = CommandReward::start(&settings).expect("sh").judge(&[answer]).expect_err("it hangs");
        assert!(format!("{error:#}").contains("have no score in time"), "{error:#}");
        assert!(begun.elapsed() < Duration::from_secs(30), "given up in time");
    }
}
