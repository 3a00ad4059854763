//! Answers to look at: every so many steps a page with questions, pictures and what was said about them.

use super::gather::Group;
use super::question::Question;
use super::recipe::RlRecipe;
use super::tokens::PerToken;
use super::views::PictureMaker;
use crate::checkpoint::{create_folder, write_file};
use anyhow::{Context, Result};
use std::fmt::Write as _;

/// Questions of a page.
const QUESTIONS: usize = 8;

/// Writes `reports/step-N.html` and its pictures; a page needs no program but a browser. `advantages` are those
/// that the answers were learnt with, in the groups' order: what a distance to the reference has cost is taken
/// off.
///
/// # Errors
/// A picture cannot be read, or the folder not written.
pub fn write_report(
    recipe: &RlRecipe,
    questions: &[Question],
    pictures: &PictureMaker<'_>,
    groups: &[Group],
    advantages: &PerToken,
    step: usize,
) -> Result<()> {
    let folder = recipe.output_dir.join("reports");
    let images = format!("step-{}", step + 1);
    create_folder(&folder.join(&images))?;
    let mut advantages = advantages.iter();
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Step {0}</title><style>{STYLE}</style><h1>Step {0}</h1>\n",
        step + 1
    );
    for group in groups.iter().take(QUESTIONS) {
        let question = &questions[group.row];
        write!(page, "<h2>{}</h2><p>{}</p>\n<div>", escape(&question.truth), escape(&question.source))?;
        for picture in group.prompts.keys() {
            let name = picture.name();
            for (number, photo) in
                pictures.pictures(question, group.row, *picture, step)?.into_iter().enumerate()
            {
                let file = format!("{images}/{}-{name}-{number}.png", group.row);
                photo
                    .save(folder.join(&file))
                    .with_context(|| format!("cannot write {}", folder.join(&file).display()))?;
                write!(
                    page,
                    "<figure><img src=\"{file}\" alt=\"{name}\"><figcaption>{name}</figcaption></figure>"
                )?;
            }
        }
        page += "</div>\n<table><tr><th>drawn from<th>reward<th>advantage<th>parts<th>answer</tr>\n";
        for answer in &group.answers {
            let advantage = advantages.next().and_then(|row| row.first()).copied().unwrap_or_default();
            let parts: Vec<String> =
                answer.verdict.parts.iter().map(|(key, value)| format!("{key} {value:.2}")).collect();
            writeln!(
                page,
                "<tr><td>{}<td>{:.2}<td>{advantage:+.2}<td>{}<td>{}</tr>",
                answer.view.name(),
                answer.verdict.overall,
                escape(&parts.join(", ")),
                escape(&answer.drawn.text)
            )?;
        }
        page += "</table>\n";
    }
    write_file(&folder.join(format!("{images}.html")), page.as_bytes())
}

const STYLE: &str = "body{font-family:sans-serif;max-width:70em;margin:auto}figure{display:inline-block;margin:.5em}\
img{max-width:14em}td,th{vertical-align:top;text-align:left;padding:.2em .6em}td:last-child{white-space:pre-wrap}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
