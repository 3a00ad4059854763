//! The whole page as a folder that any file server can serve, also below a path.

use crate::compress::{ENDINGS, Sizes, compress};
use crate::folders::Folders;
use crate::hash::{Mixer, hash_file};
use crate::shell::root;
use crate::sizes::{self, Part};
use crate::wasm::{PAGE, Workshop};
use crate::{examples, package, tree};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// The embedded model, which the page offers first.
const MODEL: &str = "nano";
/// What the page's own folder holds for browsers, by ending; the rest is Rust.
const STATIC: [&str; 7] = ["css", "html", "ico", "js", "png", "svg", "webmanifest"];
/// For the service worker, which keeps these files for visits without a network.
const SERVICE_WORKER_FILES: &str = "sw-files.json";
const SERVICE_WORKER: &str = "sw.js";

/// How the site is built.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// Leave the build for WebGPU out.
    pub cpu_only: bool,
    /// Accept nothing less than what is published: optimised modules within their goals.
    pub release: bool,
}

/// Builds modules, package and page, and prints their sizes.
///
/// # Errors
/// A part does not build; with `release`, wasm-opt is missing or a part is too large.
pub fn build(folders: &Folders, wishes: Wishes) -> Result<PathBuf> {
    let workshop = Workshop::open(folders)?;
    if wishes.release && !workshop.optimizes() {
        bail!("wasm-opt is missing, and --release asks for it\nhint: install Node with npm");
    }
    let package = folders.package();
    package::lay_out(&workshop, wishes.cpu_only, &package)?;
    let page = workshop.build(&PAGE)?;
    let site = folders.site();
    tree::fresh(&site)?;
    add_page(&page, &site)?;
    tree::copy(&package, &site.join("fine-r1"))?;
    for file in ["README.md", "package.json"] {
        let unwanted = site.join("fine-r1").join(file);
        if unwanted.exists() {
            fs::remove_file(unwanted)?;
        }
    }
    add_model(&site)?;
    examples::publish(&site.join("examples"))?;
    list_for_service_worker(&site)?;
    let parts = measure(folders, &site, wishes)?;
    println!("{}", sizes::table(&parts));
    if wishes.release && !parts.iter().all(Part::meets_goal) {
        bail!("a part is larger than its goal, and --release asks for all goals");
    }
    Ok(site)
}

/// The embedded model with the manifest that lies beside it, without what is for people.
fn add_model(site: &Path) -> Result<()> {
    let checkpoint = root().join("trainer-native/models").join(MODEL);
    for path in tree::files(&checkpoint)?.into_iter().filter(|path| path != "README.md") {
        tree::copy_file(&checkpoint.join(&path), &site.join("models").join(MODEL).join(&path))?;
    }
    Ok(())
}

/// Copies the built site into a folder of the user's, over what is there.
///
/// # Errors
/// A file cannot be written.
pub fn write(folders: &Folders, wishes: Wishes, out: &Path) -> Result<()> {
    let site = build(folders, wishes)?;
    tree::copy(&site, out)?;
    println!("wrote {}: serve it with any file server, at any path", out.display());
    Ok(())
}

/// The page's module and everything hand-written beside it.
fn add_page(module: &Path, site: &Path) -> Result<()> {
    tree::copy(module, site)?;
    let page = root().join("www");
    for file in tree::files(&page)? {
        let ending = Path::new(&file).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if STATIC.contains(&ending) {
            // `www/static/icon.svg` is `icon.svg` of the site.
            tree::copy_file(&page.join(&file), &site.join(file.strip_prefix("static/").unwrap_or(&file)))?;
        }
    }
    if !site.join("index.html").exists() {
        bail!("www has no index.html");
    }
    Ok(())
}

/// Lists what the service worker keeps, under a version that changes with any of it. Models are not in
/// it: they have their own storage.
fn list_for_service_worker(site: &Path) -> Result<()> {
    let mut files = tree::files(site)?;
    files.retain(|file| !file.starts_with("models/") && file != SERVICE_WORKER);
    let mut version = Mixer::default();
    for file in &files {
        version.add(file);
        version.add(hash_file(&site.join(file))?);
    }
    let list = json!({ "version": &version.finish()[..16], "files": files });
    fs::write(site.join(SERVICE_WORKER_FILES), list.to_string()).context("cannot list the site's files")
}

/// Compresses all files, models aside, and adds up the parts. Weights do not shrink, and parts of files
/// are asked for by their plain bytes.
fn measure(folders: &Folders, site: &Path, wishes: Wishes) -> Result<Vec<Part>> {
    let [mut cpu, mut webgpu, mut page] = [Sizes::default(); 3];
    eprintln!("--- compress; takes a minute after a change");
    for file in tree::files(site)? {
        if file.starts_with("models/") || ENDINGS.iter().any(|ending| file.ends_with(ending)) {
            continue;
        }
        let sizes = compress(&site.join(&file), folders)?;
        match file.split('/').collect::<Vec<_>>()[..] {
            ["fine-r1", "cpu", ..] => cpu += sizes,
            ["fine-r1", "webgpu", ..] => webgpu += sizes,
            ["examples", ..] => {}
            _ => page += sizes,
        }
    }
    let mut parts = vec![
        Part { name: "cpu", sizes: cpu, goal: sizes::CPU_GOAL },
        Part { name: "webgpu", sizes: webgpu, goal: sizes::WEBGPU_GOAL },
        Part { name: "page", sizes: page, goal: sizes::PAGE_GOAL },
    ];
    parts.retain(|part| !(wishes.cpu_only && part.name == "webgpu"));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_worker_keeps_all_but_models_and_itself() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        for file in ["index.html", "sw.js", "models/nano/config.json", "fine-r1/index.js"] {
            let path = scratch.path().join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("folders");
            fs::write(path, file).expect("a file");
        }
        let list = || -> serde_json::Value {
            list_for_service_worker(scratch.path()).expect("a list");
            let path = scratch.path().join(SERVICE_WORKER_FILES);
            let text = fs::read_to_string(&path).expect("a list");
            fs::remove_file(path).expect("it is there");
            serde_json::from_str(&text).expect("JSON")
        };
        let first = list();
        assert_eq!(first["files"], json!(["fine-r1/index.js", "index.html"]));
        fs::write(scratch.path().join("index.html"), "changed").expect("a file");
        assert_ne!(list()["version"], first["version"]);
    }
}
