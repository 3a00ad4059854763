//! `cot`: training conversations.

use crate::cli::{CotArgs, CotKind, TeacherKind};
use crate::cot::distill::{DistillOptions, DistillReport, Embed, distill};
use crate::cot::teacher::{FactsTeacher, LocalTeacher, Retry, ServerOptions, ServerTeacher, Teacher};
use crate::cot::{FactsKind, FactsOptions, write_facts};
use crate::dataset::{LabelledSet, few_shots};
use crate::{device, embedder};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::time::Duration;

/// Names of a list that are told.
const SHOWN_NAMES: usize = 8;

/// Writes the conversations and says how many.
///
/// # Errors
/// A file is missing or a row malformed, or the teacher failed.
pub fn run(arguments: &CotArgs) -> Result<()> {
    match &arguments.pictures.data {
        Some(data) => from_pictures(arguments, data),
        None if arguments.teacher == TeacherKind::Facts => from_facts(arguments),
        None => bail!("a teacher that looks at pictures needs some\nhint: --data names labelled pictures"),
    }
}

fn from_facts(arguments: &CotArgs) -> Result<()> {
    let (Some(variants), Some(rows)) = (arguments.variants.clone(), arguments.images.clone()) else {
        bail!(
            "the teacher `facts` needs its files\nhint: --variants names the attribute file, --images the rows"
        );
    };
    let report = write_facts(&FactsOptions {
        variants,
        rows,
        image_root: arguments.image_root.clone(),
        out: arguments.out.clone(),
        kind: match arguments.kind {
            CotKind::Name => FactsKind::Name,
            CotKind::Caption => FactsKind::Caption,
            CotKind::Rationale => FactsKind::Rationale,
        },
        per_image: arguments.per_image,
        seed: arguments.seed,
    })?;
    eprintln!(
        "wrote {}: {} conversations, {} turns, {:.0} characters each",
        report.dataset_path.display(),
        report.conversations,
        report.turns,
        report.mean_characters
    );
    Ok(())
}

fn from_pictures(arguments: &CotArgs, data: &Path) -> Result<()> {
    if arguments.kind != CotKind::Rationale {
        bail!("teachers write rationales about labelled pictures only\nhint: leave out --kind, or --data");
    }
    let keeping = &arguments.keeping;
    if keeping.min_words > keeping.max_words {
        bail!("--min-words is above --max-words\nhint: no text has so many words");
    }
    let teacher = teacher(arguments)?;
    let set = pictures(arguments, data)?;
    let embedder = match &arguments.asking.concepts {
        None => None,
        Some(_) if arguments.teacher == TeacherKind::Facts => {
            bail!("templates describe no pictures\nhint: leave out --concepts, or ask another teacher")
        }
        Some(folder) => Some((embedder::load(folder, &device::open(arguments.asking.device)?)?, folder)),
    };
    let embed = embedder
        .as_ref()
        .map(|(embedder, folder)| move |texts: &[String]| embedder::embed(embedder, folder, texts));
    let options = options(arguments, &set);
    let report =
        distill(&set.images, teacher.as_ref(), embed.as_ref().map(|embed| embed as &Embed), &options)?;
    tell(&report, &set.root);
    Ok(())
}

fn teacher(arguments: &CotArgs) -> Result<Box<dyn Teacher>> {
    let asking = &arguments.asking;
    Ok(match arguments.teacher {
        TeacherKind::Facts => {
            let variants = arguments.variants.as_deref().context(
                "the teacher `facts` needs its attribute file\nhint: --variants names it; --teacher asks another teacher",
            )?;
            Box::new(FactsTeacher::read(variants)?)
        }
        TeacherKind::Local => Box::new(LocalTeacher::load(asking.model.as_deref(), asking.device)?),
        TeacherKind::Server => {
            let (Some(url), Some(model)) = (asking.server_url.clone(), asking.server_model.clone()) else {
                bail!(
                    "the teacher `server` needs an address and a model\nhint: --server-url http://localhost:8000/v1 \
                     --server-model NAME"
                );
            };
            Box::new(ServerTeacher::new(ServerOptions {
                url,
                model,
                api_key_env: asking.api_key_env.clone(),
                extra: asking.server_body.clone().unwrap_or_default(),
                timeout_secs: asking.timeout_secs,
                retry: Retry {
                    retries: asking.retries,
                    first_pause: Duration::from_millis(asking.retry_pause_ms),
                },
            })?)
        }
    })
}

fn pictures(arguments: &CotArgs, data: &Path) -> Result<LabelledSet> {
    let pictures = &arguments.pictures;
    let mut set = LabelledSet::read(data, pictures.layout, pictures.part, None)?;
    if let Some(classes) = &pictures.classes {
        let absent = classes.keep(&mut set)?;
        warn("wanted classes have no picture", &absent);
    }
    if let Some(shots) = pictures.shots {
        let fewer = few_shots(&mut set.images, shots, arguments.seed);
        warn(&format!("classes have fewer than {shots} pictures"), &fewer);
    }
    eprintln!(
        "{}: {} pictures of {} classes, layout `{}`",
        data.display(),
        set.images.len(),
        set.classes(),
        set.layout.name()
    );
    Ok(set)
}

fn warn(what: &str, names: &[String]) {
    if !names.is_empty() {
        let more = if names.len() > SHOWN_NAMES { ", …" } else { "" };
        let shown = names.iter().take(SHOWN_NAMES).cloned().collect::<Vec<_>>().join(", ");
        eprintln!("warning: {} {what}: {shown}{more}", names.len());
    }
}

fn options(arguments: &CotArgs, set: &LabelledSet) -> DistillOptions {
    let (asking, keeping) = (&arguments.asking, &arguments.keeping);
    let kind = arguments.pictures.super_category.as_deref().or(set.layout.kind()).unwrap_or("object");
    DistillOptions {
        out: arguments.out.clone(),
        image_root: arguments.image_root.clone(),
        kind: kind.to_owned(),
        question: arguments.pictures.question.clone(),
        attempts: keeping.attempts,
        descriptions: asking.descriptions,
        workers: if arguments.teacher == TeacherKind::Server { asking.concurrency } else { 1 },
        max_new_tokens: asking.max_new_tokens,
        temperature: asking.temperature,
        min_words: keeping.min_words,
        max_words: keeping.max_words,
        language: keeping.language,
        order: keeping.candidate_order,
        form: keeping.form,
        seed: arguments.seed,
    }
}

fn tell(report: &DistillReport, root: &Path) {
    let rejected: usize = report.rejections.values().sum();
    let cost = &report.cost;
    eprintln!(
        "wrote {}: {} of {} pictures, {:.0} words each; {rejected} texts rejected, see {}",
        report.dataset_path.display(),
        report.written,
        report.images,
        report.answer_words.mean,
        report.rejected_path.display()
    );
    eprintln!(
        "{} answers of this run cost {} tokens of prompts and {} of answers; {} answers were at hand",
        cost.answers_new, cost.tokens_new.prompt, cost.tokens_new.completion, cost.answers_kept
    );
    eprintln!("paths of pictures are relative to {}: name it as media_dir when training", root.display());
}
