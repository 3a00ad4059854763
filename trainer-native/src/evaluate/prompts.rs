//! How a question is put: as in training, as in Fine-R1's evaluation, or in one's own words.
//!
//! Fine-R1's, with thought:
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/2c656a35cb7f66875e12a3053c79834d3c4266af/eval/evaluation.py>;
//! without, for raw base models: <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/issues/7>, which gives the open
//! world's. The closed world's counterpart was not published; the one here says the same of options.

use super::Task;
use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use fine_r1_core::prompt::question::{INSTRUCTION, question_text};
use serde::Deserialize;
use std::path::Path;

const RELEASED_CLOSED: &str = "Given the question: {question}, based on the options provided in {options}, output the \
    thinking process in <think> </think> and final choice in <answer> </answer> tags. The response format should be: \
    <think>...</think> <answer>choice</answer>.";
const RELEASED_OPEN: &str = "Given the question: {question}. This is a fine-grained question. Output reasoning in \
    <think></think> and the final answer in <answer></answer>.";
const ANSWER_ONLY_CLOSED: &str = "Given the question: {question}, based on the options provided in {options}, output \
    the final choice in <answer> </answer> tags. The response format should be as follows: <answer> Your choice \
    </answer>. Please follow this format exactly.";
const ANSWER_ONLY_OPEN: &str = "Given the question: {question}.\n This is a fine-grained question, so you need to \
    output fine-grained categories, such as specific animal species or car, airplane model. Output the final answer \
    in <answer> </answer> tags. The response format should be as follows: <answer> Your answer </answer>. Please \
    follow this format exactly.";

/// Most tokens of an answer: of models that were trained here, and in the released evaluation.
const MAX_NEW_TOKENS: usize = 256;
const RELEASED_MAX_NEW_TOKENS: usize = 2048;

/// A way to ask, for both tasks, with and without thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    /// What results call it.
    pub name: String,
    thoughtful: Option<Templates>,
    brief: Option<Templates>,
    /// Whether options are written as a list of Python, or with commas.
    python_list: bool,
    /// Most tokens of an answer, where nobody says.
    pub max_new_tokens: usize,
}

/// Texts with `{question}` and `{options}` in them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Templates {
    closed: String,
    open: String,
}

/// A file of one's own prompts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptFile {
    closed: String,
    open: String,
    closed_answer_only: Option<String>,
    open_answer_only: Option<String>,
    #[serde(default)]
    python_list: bool,
}

impl Prompts {
    /// The prompts that this project's models are trained with.
    #[must_use]
    pub fn trained() -> Self {
        let templates = |instruction| Templates {
            closed: question_text("{question}", &["{options}".to_owned()], instruction),
            open: question_text("{question}", &[], instruction),
        };
        Self {
            name: "trained".into(),
            thoughtful: Some(templates(Some(INSTRUCTION))),
            brief: Some(templates(None)),
            python_list: false,
            max_new_tokens: MAX_NEW_TOKENS,
        }
    }

    /// By name, or from a file.
    ///
    /// # Errors
    /// The file is missing or malformed.
    pub fn find(name: &str) -> Result<Self> {
        let templates =
            |closed: &str, open: &str| Some(Templates { closed: closed.into(), open: open.into() });
        match name {
            "trained" => Ok(Self::trained()),
            "released" | "released-answer-only" => Ok(Self {
                name: name.into(),
                thoughtful: templates(RELEASED_CLOSED, RELEASED_OPEN).filter(|_| name == "released"),
                brief: templates(ANSWER_ONLY_CLOSED, ANSWER_ONLY_OPEN),
                python_list: true,
                max_new_tokens: RELEASED_MAX_NEW_TOKENS,
            }),
            file => Self::read(Path::new(file)),
        }
    }

    fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        if !path.is_file() {
            bail!(
                "--prompt {name} is neither a name nor a file\nhint: take trained, released, released-answer-only, or \
                 a TOML file with `closed` and `open`"
            );
        }
        let file: PromptFile = toml::from_str(&read_text(path)?).with_context(|| {
            format!("{name}\nhint: give `closed` and `open`, texts with {{question}} and {{options}} in them")
        })?;
        let brief = match (file.closed_answer_only, file.open_answer_only) {
            (Some(closed), Some(open)) => Some(Templates { closed, open }),
            (None, None) => None,
            _ => bail!("{name}: one answer-only prompt is missing\nhint: give both or neither"),
        };
        let thoughtful = Templates { closed: file.closed, open: file.open };
        for templates in [Some(&thoughtful), brief.as_ref()].into_iter().flatten() {
            for (field, text, parts) in [
                ("closed", &templates.closed, ["{question}", "{options}"].as_slice()),
                ("open", &templates.open, ["{question}"].as_slice()),
            ] {
                if let Some(part) = parts.iter().find(|part| !text.contains(**part)) {
                    bail!("{name}: `{field}` has no {part}\nhint: write {part} where it belongs");
                }
            }
        }
        Ok(Self {
            name,
            thoughtful: Some(thoughtful),
            brief,
            python_list: file.python_list,
            max_new_tokens: MAX_NEW_TOKENS,
        })
    }

    /// The same without thought.
    ///
    /// # Errors
    /// There is no such prompt, or no other.
    pub fn without_thought(&self) -> Result<Self> {
        match (&self.thoughtful, &self.brief) {
            (None, _) => bail!(
                "the prompt `{}` asks for no thought already\nhint: leave out --ablate no-thinking",
                self.name
            ),
            (_, None) => bail!(
                "{} has no answer-only prompts\nhint: add `closed_answer_only` and `open_answer_only`",
                self.name
            ),
            (Some(_), Some(_)) => {
                Ok(Self { thoughtful: None, name: format!("{}, without thought", self.name), ..self.clone() })
            }
        }
    }

    /// The text with its places, as it is stored with results.
    #[must_use]
    pub fn template(&self, task: Task) -> &str {
        let templates = self.thoughtful.as_ref().or(self.brief.as_ref()).expect("there is one of them");
        match task {
            Task::ClosedWorld => &templates.closed,
            Task::OpenWorld => &templates.open,
        }
    }

    /// The text for one row.
    #[must_use]
    pub fn text(&self, task: Task, question: &str, options: &[String]) -> String {
        let options = if self.python_list { python_list(options) } else { options.join(", ") };
        // The question may hold what looks like a place.
        let parts = self.template(task).split("{question}").map(|part| part.replace("{options}", &options));
        parts.collect::<Vec<_>>().join(question)
    }
}

/// `['A320', "a man's dog"]`, as Python prints a list of texts.
fn python_list(texts: &[String]) -> String {
    let quoted = texts.iter().map(|text| {
        let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
        let mut quoted = String::from(quote);
        for letter in text.chars() {
            if letter == quote || letter == '\\' {
                quoted.push('\\');
            }
            quoted.push(letter);
        }
        quoted.push(quote);
        quoted
    });
    format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Vec<String> {
        ["A320", "bird's", r#"a "b's""#].map(str::to_owned).to_vec()
    }

    #[test]
    fn trained_prompts_are_those_of_training() {
        let prompts = Prompts::trained();
        let text = prompts.text(Task::ClosedWorld, "Which {options}?", &options());
        assert_eq!(text, question_text("Which {options}?", &options(), Some(INSTRUCTION)));
        let brief = prompts.without_thought().expect("there is one");
        assert_eq!(brief.text(Task::OpenWorld, "Which?", &[]), "Which?");
        assert!(brief.without_thought().is_err());
    }

    #[test]
    fn released_prompts_list_options_as_python_does() {
        let prompts = Prompts::find("released").expect("a name");
        let text = prompts.text(Task::ClosedWorld, "Which?", &options());
        assert!(
            text.starts_with(
                r#"Given the question: Which?, based on the options provided in ['A320', "bird's", 'a "b\'s"'], output"#
            ),
            "{text}"
        );
        assert!(text.ends_with("<think>...</think> <answer>choice</answer>."));
        assert_eq!((prompts.max_new_tokens, Prompts::trained().max_new_tokens), (2048, 256));
        let brief = Prompts::find("released-answer-only").expect("a name");
        assert!(!brief.template(Task::OpenWorld).contains("think"));
        assert_eq!(
            brief.template(Task::ClosedWorld),
            prompts.without_thought().expect("one").template(Task::ClosedWorld)
        );
    }
}
