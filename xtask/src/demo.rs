//! `cargo xtask demo`: the page with the embedded model, built and served.

use crate::browser::{self, Script};
use crate::folders::Folders;
use crate::serve::{self, Site};
use crate::site::{self, Wishes};
use anyhow::Result;
use clap::Args;
use std::thread;

/// What was typed.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Port to serve on; otherwise 8080 if it is free, or any free one.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// As published: fail where a module is not optimised or larger than its goal.
    #[arg(long)]
    release: bool,
    /// Leave the browser closed.
    #[arg(long)]
    no_open: bool,
    /// Recognise a photo in headless Chromium on both devices, and end.
    #[arg(long, conflicts_with_all = ["port", "no_open", "allow"])]
    check: bool,
    /// Leave the build for WebGPU out, which takes 20 minutes the first time.
    #[arg(long)]
    cpu_only: bool,
    /// Let the page fetch models and photos from this origin, too: `https://models.example`. May be given
    /// several times.
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    allow: Vec<String>,
}

/// Builds everything, then serves until it is interrupted, or checks.
///
/// # Errors
/// Something does not build, the port is taken, or the check fails.
pub fn run(arguments: &DemoArgs) -> Result<()> {
    let folders = Folders::find()?;
    let wishes = Wishes { cpu_only: arguments.cpu_only, release: arguments.release };
    let site = site::build(&folders, wishes)?;
    if arguments.check {
        let script = Script {
            name: "check.mjs",
            arguments: &[],
            site: &site,
            native: None,
            cpu_only: arguments.cpu_only,
        };
        return browser::run(&folders, &script);
    }
    let url = serve::start(Site::new(site, &arguments.allow), arguments.port)?;
    println!("{url}");
    eprintln!("Ctrl-C ends it");
    if !arguments.no_open {
        browser::open(&url);
    }
    loop {
        thread::park();
    }
}

/// Scheme, host and port, as a Content-Security-Policy takes them.
fn parse_origin(text: &str) -> Result<String, String> {
    let origin = text.trim_end_matches('/');
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-:[]".contains(letter);
    match host {
        Some(host) if !host.is_empty() && host.chars().all(is_plain) => Ok(origin.to_owned()),
        _ => {
            Err("an origin has a scheme and a host and nothing else, such as https://models.example"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_and_host() {
        assert_eq!(parse_origin("https://models.example/").as_deref(), Ok("https://models.example"));
        assert_eq!(parse_origin("http://127.0.0.1:8000").as_deref(), Ok("http://127.0.0.1:8000"));
        for text in
            ["models.example", "https://", "https://a.example/folder", "https://a.example; script-src *"]
        {
            assert!(parse_origin(text).is_err(), "{text}");
        }
    }
}
