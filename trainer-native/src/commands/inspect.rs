//! `inspect`: what a checkpoint is, without loading it.

use crate::checkpoint;
use crate::cli::InspectArgs;
use crate::device;
use anyhow::{Result, anyhow};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Processor;
use fine_r1_core::weights::{NameCheck, Precision, TensorFacts, WeightsError, check_names, read_header};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::path::Path;

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Description {
    model: String,
    architecture: &'static str,
    text: Sizes,
    vision: Sizes,
    vocab_size: usize,
    context: usize,
    tied_embeddings: bool,
    files: Vec<String>,
    bytes: usize,
    dtypes: BTreeMap<String, usize>,
    parameters: BTreeMap<&'static str, usize>,
    total_parameters: usize,
    missing: Vec<String>,
    odd: Vec<String>,
    misshaped: Vec<String>,
    duplicates: Vec<String>,
    problems: Vec<String>,
    inference_bytes: InferenceBytes,
}

#[derive(Debug, Serialize)]
struct Sizes {
    hidden_size: usize,
    intermediate_size: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
}

/// Memory for answering one question with a context of 4,096 tokens (or the model's, if shorter).
#[derive(Debug, Serialize)]
struct InferenceBytes {
    context: usize,
    as_stored: usize,
    f32: usize,
    f16: usize,
}

/// Describes a checkpoint; what is missing or odd is part of the description, not an error.
///
/// # Errors
/// `config.json` is missing or of another architecture, there are no weights at all, or, after the description, a weight file
/// is missing or damaged.
pub fn run(arguments: &InspectArgs) -> Result<()> {
    let mut examined = examine(&arguments.model)?;
    let damage = examined.damage.take();
    let description = describe(arguments.model.display().to_string(), examined);
    let mut out = stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&description)?)?;
    } else {
        print(&mut out, &description)?;
    }
    damage.map_or(Ok(()), Err)
}

/// What a folder holds, and how it fits together.
pub struct Examined {
    config: ModelConfig,
    files: Vec<String>,
    tensors: Vec<TensorFacts>,
    check: NameCheck,
    problems: Vec<String>,
    /// The first weight file that is missing or damaged.
    damage: Option<anyhow::Error>,
}

impl Examined {
    /// Names of the weight files.
    #[must_use]
    pub fn weight_files(&self) -> &[String] {
        &self.files
    }

    /// The first reason why the checkpoint cannot be loaded.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        let check = &self.check;
        let say = |names: &[String], what: &str| names.first().map(|name| format!("tensor {name} {what}"));
        self.problems
            .first()
            .cloned()
            .or_else(|| say(&check.duplicates, "are one parameter, stored twice"))
            .or_else(|| say(&check.misshaped, "(the shape that config.json asks for)"))
            .or_else(|| say(&check.missing, "is missing"))
    }
}

/// Reads everything of a checkpoint but the values of its weights.
///
/// # Errors
/// As [`run`].
pub fn examine(folder: &Path) -> Result<Examined> {
    if !folder.is_dir() {
        anyhow::bail!("{} is not a folder\nhint: inspect takes the folder of a checkpoint", folder.display());
    }
    let read = checkpoint::read_files(folder);
    let text = match &read {
        Ok(files) => files.config.clone(),
        Err(_) => checkpoint::read_text(&folder.join("config.json"))?,
    };
    let config = ModelConfig::from_json(&text)
        .map_err(|error| anyhow!("{}: {error}\nhint: {}", folder.display(), error.hint()))?;
    let mut problems = Vec::new();
    let mut complain = |error: &anyhow::Error| {
        problems.push(error.to_string().lines().next().unwrap_or_default().to_owned());
    };
    let processor =
        read.and_then(|files| Processor::new(&files).map_err(|error| checkpoint::explain(folder, &error)));
    if let Err(error) = processor {
        complain(&error);
    }
    let files = checkpoint::weight_files(folder)?;
    let mut tensors: Vec<TensorFacts> = Vec::new();
    let mut damage = None;
    for name in &files {
        let facts = checkpoint::map(folder, name).and_then(|bytes| {
            let explain = |error: WeightsError| {
                anyhow!("{}: {error}\nhint: {}", folder.join(name).display(), error.hint())
            };
            read_header(name, &bytes).map_err(explain)
        });
        match facts {
            Ok(facts) => tensors.extend(facts),
            Err(error) => {
                complain(&error);
                damage = damage.or(Some(error));
            }
        }
    }
    for tensor in tensors.iter().filter(|tensor| tensor.precision.is_none()) {
        complain(&anyhow!("tensor `{}` is stored in another form than F32, F16 or BF16", tensor.name));
    }
    let check = check_names(&VisionLanguageModel::new(&config, &device::storage()?.device), &tensors);
    Ok(Examined { config, files, tensors, check, problems, damage })
}

fn describe(model: String, examined: Examined) -> Description {
    let Examined { config, files, tensors, check, problems, .. } = examined;
    let mut dtypes = BTreeMap::new();
    for tensor in &tensors {
        let name = tensor.precision.map_or("other", Precision::torch_name);
        *dtypes.entry(name.to_owned()).or_default() += 1;
    }
    let bytes: usize = tensors.iter().map(|tensor| tensor.bytes).sum();
    let mut parameters = BTreeMap::new();
    for (name, shape) in &check.expected {
        let part = if name.starts_with("visual.merger.") {
            "merger"
        } else if name.starts_with("visual.") {
            "vision_tower"
        } else if name.starts_with("model.embed_tokens.") {
            "embedding"
        } else if name.starts_with("lm_head.") {
            "head"
        } else {
            "decoder"
        };
        *parameters.entry(part).or_default() += shape.iter().product::<usize>();
    }
    let total_parameters: usize = parameters.values().sum();
    let (text, vision) = (&config.text, &config.vision);
    let context = text.max_position_embeddings.min(4096);
    let cache = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim() * context;
    let need = |size: usize| (total_parameters + cache) * size;
    let stored = bytes.checked_div(total_parameters).map_or(0, |size| bytes + cache * size.clamp(2, 4));
    Description {
        model,
        architecture: config.architecture.model_type(),
        text: Sizes {
            hidden_size: text.hidden_size,
            intermediate_size: text.intermediate_size,
            layers: text.num_hidden_layers,
            heads: text.num_attention_heads,
            kv_heads: text.num_key_value_heads,
        },
        vision: Sizes {
            hidden_size: vision.hidden_size,
            intermediate_size: vision.intermediate_size,
            layers: vision.depth,
            heads: vision.num_heads,
            kv_heads: vision.num_heads,
        },
        vocab_size: text.vocab_size,
        context: text.max_position_embeddings,
        tied_embeddings: text.tie_word_embeddings,
        files,
        bytes,
        dtypes,
        parameters,
        total_parameters,
        missing: check.missing,
        odd: check.odd,
        misshaped: check.misshaped,
        duplicates: check.duplicates,
        problems,
        inference_bytes: InferenceBytes { context, as_stored: stored, f32: need(4), f16: need(2) },
    }
}

fn print(out: &mut impl Write, description: &Description) -> io::Result<()> {
    let sizes = |sizes: &Sizes| {
        format!(
            "{} layers, width {}, feed-forward {}, {} heads ({} for keys)",
            sizes.layers, sizes.hidden_size, sizes.intermediate_size, sizes.heads, sizes.kv_heads
        )
    };
    let mebibytes = |bytes: usize| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let list = |map: &BTreeMap<String, usize>| {
        map.iter().map(|(name, count)| format!("{name} ({count} tensors)")).collect::<Vec<_>>().join(", ")
    };
    writeln!(out, "checkpoint    {}", description.model)?;
    writeln!(out, "architecture  {}", description.architecture)?;
    writeln!(out, "language      {}", sizes(&description.text))?;
    writeln!(out, "vision        {}", sizes(&description.vision))?;
    writeln!(out, "vocabulary    {}, context {}", description.vocab_size, description.context)?;
    writeln!(out, "head          {}", if description.tied_embeddings { "the embedding" } else { "its own" })?;
    writeln!(out, "files         {} ({})", description.files.join(", "), mebibytes(description.bytes))?;
    writeln!(out, "stored as     {}", list(&description.dtypes))?;
    writeln!(out, "parameters    {}", description.total_parameters)?;
    for (part, count) in &description.parameters {
        writeln!(out, "  {part:<14}{count}")?;
    }
    let memory = &description.inference_bytes;
    writeln!(
        out,
        "memory        {} in f32, {} in f16, for weights and a context of {} tokens",
        mebibytes(memory.f32),
        mebibytes(memory.f16),
        memory.context
    )?;
    for (what, names) in [
        ("missing", &description.missing),
        ("odd", &description.odd),
        ("wrong shape", &description.misshaped),
        ("stored twice", &description.duplicates),
        ("problem", &description.problems),
    ] {
        for name in names {
            writeln!(out, "{what:<14}{name}")?;
        }
    }
    Ok(())
}
