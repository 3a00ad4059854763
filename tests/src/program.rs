//! Builds `trainer-native` once, runs it, and says what came of it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// What a run left behind.
#[derive(Debug, Clone)]
pub struct Run {
    /// As it was typed.
    pub typed: String,
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The one JSON object on stdout.
    pub fn json(&self) -> serde_json::Value {
        let lines = self.json_lines();
        assert_eq!(lines.len(), 1, "{}: one object\n{}", self.typed, self.stdout);
        lines.into_iter().next().expect("there is one")
    }

    /// A JSON object a line on stdout.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        assert_eq!(self.code, Some(0), "{}\n{}", self.typed, self.stderr);
        let parse = |line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}\n{line}", self.typed))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// What is wrong with this run as a refusal: it must end with 2, say nothing on stdout, and on
    /// stderr the cause with every word of `named`, and a remedy.
    fn flaws(&self, named: &[&str], wants_hint: bool) -> Vec<String> {
        let mut flaws = Vec::new();
        if self.code != Some(2) {
            flaws.push(format!("ended with {:?}, expected 2", self.code));
        }
        if !self.stdout.is_empty() {
            flaws.push("wrote to stdout".to_owned());
        }
        if !self.stderr.lines().any(|line| line.starts_with("error: ")) {
            flaws.push("has no line that begins with `error: `".to_owned());
        }
        if wants_hint && !self.stderr.lines().any(|line| line.starts_with("hint: ")) {
            flaws.push("has no line that begins with `hint: `".to_owned());
        }
        flaws.extend(
            named
                .iter()
                .filter(|word| !self.stderr.contains(**word))
                .map(|word| format!("does not name `{word}`")),
        );
        flaws
    }
}

/// Runs the program.
pub fn trainer<I: IntoIterator>(arguments: I) -> Run
where
    I::Item: AsRef<OsStr>,
{
    let mut command = command(arguments);
    let output = command.output().expect("the program starts");
    Run {
        typed: typed(&command),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts the program; its stderr can be read once it has ended.
pub fn start<I: IntoIterator>(arguments: I) -> Child
where
    I::Item: AsRef<OsStr>,
{
    command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Runs the program to its end, which must have that exit code; gives its peak memory with one thread, by
/// what the kernel says while it runs.
#[cfg(target_os = "linux")]
pub fn peak_bytes<I: IntoIterator>(arguments: I, code: i32) -> u64
where
    I::Item: AsRef<OsStr>,
{
    let mut command = command(arguments);
    // With several, it is their timing that decides which memory is free when more is wanted.
    command.env("RAYON_NUM_THREADS", "1");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut kibibytes = 0;
    // The high-water mark only rises; the last reading before the end has it.
    while child.try_wait().expect("a child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes = found.unwrap_or(0).max(kibibytes);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(child.wait().expect("a child").code(), Some(code), "{}", typed(&command));
    kibibytes << 10
}

/// Runs the program with a stdout that nobody reads.
pub fn trainer_unread<I: IntoIterator>(arguments: I) -> Run
where
    I::Item: AsRef<OsStr>,
{
    let mut command = command(arguments);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { typed: typed(&command), code: output.status.code(), stdout: String::new(), stderr }
}

fn command<I: IntoIterator>(arguments: I) -> Command
where
    I::Item: AsRef<OsStr>,
{
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    command
}

fn typed(command: &Command) -> String {
    command
        .get_args()
        .fold("trainer-native".to_owned(), |typed, argument| typed + " " + &argument.to_string_lossy())
}

/// The binary that `TRAINER_NATIVE` names, or else one that is built with the tests' own profile into
/// their own target folder.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(built) = std::env::var_os("TRAINER_NATIVE") {
            return built.into();
        }
        // <target>/<profile>/deps/<this test>
        let this = std::env::current_exe().expect("a test has a path");
        let profile = this.ancestors().nth(2).and_then(Path::file_name).and_then(OsStr::to_str);
        let profile = match profile.expect("a test lies in its profile's folder") {
            "debug" => "dev",
            profile => profile,
        };
        let target = this.ancestors().nth(3).expect("a profile lies in the target folder");
        let output = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--message-format=json",
                // The features of the whole workspace, so that what the tests were built with serves.
                "--workspace",
                "--bin=trainer-native",
                "--profile",
                profile,
            ])
            .arg("--target-dir")
            .arg(target)
            .current_dir(crate::workspace())
            .output()
            .expect("cargo starts");
        assert!(
            output.status.success(),
            "trainer-native builds:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
        let built = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
            .next_back()
            .expect("cargo names the executable");
        // Another checkout that shares the target folder may build its own over it.
        let own = this.with_extension("trainer-native");
        std::fs::copy(&built, &own).expect("room for a copy");
        own
    })
}

/// Collects refusals that are not as they should be, so that one run of a test shows them all.
#[derive(Debug, Default)]
pub struct Refusals {
    report: String,
    count: usize,
}

impl Refusals {
    /// Runs the program, which must refuse, name every word of `named` and give a hint.
    pub fn expect<I: IntoIterator>(&mut self, why: &str, arguments: I, named: &[&str])
    where
        I::Item: AsRef<OsStr>,
    {
        self.note(why, &trainer(arguments), named, true);
    }

    /// The same for what was typed wrongly: there the usage takes the place of the hint.
    pub fn expect_usage<I: IntoIterator>(&mut self, why: &str, arguments: I, named: &[&str])
    where
        I::Item: AsRef<OsStr>,
    {
        let named: Vec<&str> = named.iter().copied().chain(["--help"]).collect();
        self.note(why, &trainer(arguments), &named, false);
    }

    fn note(&mut self, why: &str, run: &Run, named: &[&str], wants_hint: bool) {
        self.count += 1;
        let flaws = run.flaws(named, wants_hint);
        if !flaws.is_empty() {
            write!(self.report, "\n{why}: {}\n  $ {}\n", flaws.join("; "), run.typed)
                .expect("a string takes all");
            for line in run.stderr.lines().take(8) {
                writeln!(self.report, "  | {line}").expect("a string takes all");
            }
        }
    }

    /// # Panics
    /// One was not as it should be.
    pub fn check(self) {
        assert!(self.count > 0, "nothing was refused");
        assert!(self.report.is_empty(), "{}", self.report);
    }
}
