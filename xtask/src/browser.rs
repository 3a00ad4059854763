//! Chromium, and the scripts of `tests/browser` that drive it.

use crate::debian;
use crate::folders::Folders;
use crate::node;
use crate::serve::{self, Site};
use crate::shell::{root, works};
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Browsers of one kind, under the names that they have.
const NAMES: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
];

/// A script with what it needs to know.
#[derive(Debug)]
pub struct Script<'run> {
    /// Its name in `tests/browser`.
    pub name: &'run str,
    /// What is typed behind it.
    pub arguments: &'run [String],
    /// The served folder.
    pub site: &'run Path,
    /// The native program, where the script compares with it.
    pub native: Option<&'run Path>,
    /// Whether the build for WebGPU was left out.
    pub cpu_only: bool,
}

/// Serves a site with faults on a free port and runs a script against it.
///
/// # Errors
/// Node or Chromium cannot be had, or the script fails.
pub fn run(folders: &Folders, script: &Script) -> Result<()> {
    let chrome = chromium()?;
    let scripts = root().join("tests/browser");
    node::install(&scripts, &folders.node("tests"))?;
    fs::create_dir_all(folders.tests())?;
    let url = serve::start(Site::with_faults(script.site.to_path_buf()), Some(0))?;
    let mut command = Command::new("node");
    command.arg(scripts.join(script.name)).args(script.arguments);
    command.env("FINE_R1_URL", url).env("CHROME", chrome);
    for (name, folder) in [
        ("FINE_R1_NODE", folders.node("tests")),
        ("FINE_R1_OUT", folders.tests()),
        ("FINE_R1_PACKAGE", folders.package()),
        ("FINE_R1_SITE", script.site.to_path_buf()),
    ] {
        command.env(name, folder);
    }
    if let Some(native) = script.native {
        command.env("FINE_R1_NATIVE", native);
    }
    if script.cpu_only {
        command.env("FINE_R1_CPU_ONLY", "1");
    }
    let status = command.status().context("cannot start node")?;
    if !status.success() {
        bail!("{} failed ({status})", script.name);
    }
    Ok(())
}

/// Opens an address in the user's browser; who has none can type the address.
pub fn open(url: &str) {
    let (program, arguments): (&str, &[&str]) = match env::consts::OS {
        "macos" => ("open", &[]),
        "windows" => ("cmd", &["/C", "start", ""]),
        _ => ("xdg-open", &[]),
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(url).stdout(Stdio::null()).stderr(Stdio::null());
    drop(command.spawn());
}

fn chromium() -> Result<PathBuf> {
    if let Some(named) = env::var_os("CHROME") {
        if works(Command::new(&named).arg("--version")) {
            return Ok(named.into());
        }
        bail!("CHROME names {}, which does not start", Path::new(&named).display());
    }
    if let Some(found) = installed() {
        return Ok(found);
    }
    debian::install("Chromium", &["chromium"])
        .context("the browser check needs Chromium or Chrome; CHROME can name its program")?;
    installed().context("Chromium is installed and does not start")
}

fn installed() -> Option<PathBuf> {
    let name = NAMES.iter().find(|name| works(Command::new(name).arg("--version")))?;
    // Playwright wants a path.
    let folders = env::var_os("PATH").unwrap_or_default();
    let mut paths = env::split_paths(&folders).map(|folder| folder.join(name));
    Some(paths.find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(name)))
}
