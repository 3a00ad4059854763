//! What a module depends on, as one hash: as long as it stays, nothing is built.

use crate::hash::Mixer;
use crate::shell::{cargo, root};
use crate::toolchain::TARGET;
use crate::tree;
use crate::wasm::Module;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use toml::Table;

/// Grows when the way in which modules are built changes.
const RECIPE: &str = "1";

/// The hash of a module's sources, dependencies, profile and flags, and of wasm-opt's version.
///
/// # Errors
/// A source cannot be read, or cargo refuses the workspace.
pub fn fingerprint(module: &Module, wasm_opt: Option<&str>) -> Result<String> {
    let mut mixer = Mixer::default();
    for piece in [RECIPE, module.profile, module.rust_flags, module.level, wasm_opt.unwrap_or_default()] {
        mixer.add(piece);
    }
    mixer.add(dependencies(module)?);
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?.parse::<Table>().context("Cargo.toml")?;
    for profile in profiles(&manifest, module.profile)? {
        mixer.add(profile);
    }
    for source in module.sources {
        add_source(&mut mixer, source)?;
    }
    Ok(mixer.finish())
}

/// The packages of `Cargo.lock` that the module is built of, with their versions and features: a
/// change that concerns other crates alone leaves the module as it is.
fn dependencies(module: &Module) -> Result<String> {
    let mut command = cargo(&["tree", "--target", TARGET, "--edges", "normal,build", "--prefix", "none"]);
    command.args(["--format", "{p} {f}", "--package", module.package]);
    command.args(module.feature.iter().flat_map(|feature| ["--features", feature]));
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    // Where the checkout lies does not matter.
    let tree = String::from_utf8_lossy(&output.stdout);
    Ok(tree.replace(&root().display().to_string(), ""))
}

/// A profile of the workspace and those that it inherits from, as text.
fn profiles(manifest: &Table, name: &str) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut next = Some(name.to_owned());
    while let Some(name) = next {
        let profile = manifest.get("profile").and_then(|profiles| profiles.get(&name));
        let profile = profile.with_context(|| format!("Cargo.toml has no profile {name}"))?;
        texts.push(format!("{name} {profile}"));
        next = profile.get("inherits").and_then(|base| base.as_str()).map(str::to_owned);
    }
    Ok(texts)
}

/// Adds a file, or all files of a folder with their paths.
fn add_source(mixer: &mut Mixer, source: &str) -> Result<()> {
    let path = root().join(source);
    if path.is_dir() {
        for file in tree::files(&path)? {
            add_file(mixer, &format!("{source}/{file}"), &path.join(&file))?;
        }
        return Ok(());
    }
    add_file(mixer, source, &path)
}

fn add_file(mixer: &mut Mixer, name: &str, path: &Path) -> Result<()> {
    mixer.add(name);
    mixer.add(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::{CPU, PAGE, WEBGPU};

    #[test]
    fn the_workspace_has_the_profiles() {
        let text = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
        let manifest = text.parse::<Table>().expect("TOML");
        for module in [CPU, WEBGPU, PAGE] {
            let profiles = profiles(&manifest, module.profile).expect("a profile");
            assert!(profiles.last().is_some_and(|last| last.starts_with("release ")), "{}", module.name);
        }
    }

    #[test]
    fn a_change_of_a_profile_is_seen() {
        let texts = |level: &str| {
            let text = format!("[profile.release]\nlto = {level}\n[profile.web]\ninherits = \"release\"");
            profiles(&text.parse().expect("TOML"), "web").expect("a profile")
        };
        assert_eq!(texts("true"), texts("true"));
        assert_ne!(texts("true"), texts("false"));
    }
}
