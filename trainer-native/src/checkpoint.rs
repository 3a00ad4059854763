//! A checkpoint on disk, in the layout of Hugging Face: read, described, written.

use crate::device::OpenDevice;
use crate::optimizer::WeightPath;
use crate::streamed::Streamed;
use crate::{bounded, tied};
use anyhow::{Context, Result, anyhow, bail};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::{CheckpointFiles, Processor, Recognizer, RecognizerError};
use fine_r1_core::weights::{
    LENGTH_FIELD, LoadReport, Loader, Precision, ShardIndex, WeightsError, header_length, plan_shards,
    read_places, shard_index,
};
use memmap2::Mmap;
use safetensors::serialize_to_file;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The largest weight file that is written, as transformers does it.
pub const MAX_SHARD_BYTES: usize = 5_000_000_000;

/// The model that ships inside the program.
mod embedded {
    pub const CONFIG: &str = include_str!("../models/nano/config.json");
    pub const GENERATION: &str = include_str!("../models/nano/generation_config.json");
    pub const PREPROCESSOR: &str = include_str!("../models/nano/preprocessor_config.json");
    pub const TOKENIZER: &[u8] = include_bytes!("../models/nano/tokenizer.json");
    pub const TOKENIZER_CONFIG: &str = include_str!("../models/nano/tokenizer_config.json");
    pub const TEMPLATE: &str = include_str!("../models/nano/chat_template.jinja");
    pub const WEIGHTS: &[u8] = include_bytes!("../models/nano/model.safetensors");
}

/// The name of the model inside the program.
pub const EMBEDDED: &str = "nano";

/// Loads a checkpoint's folder, or the embedded model where there is none.
///
/// # Errors
/// A file is missing, damaged, or does not fit the others; the message names it.
pub fn load(folder: Option<&Path>, device: &OpenDevice) -> Result<Recognizer> {
    let Some(folder) = folder else { return load_embedded(device) };
    let files = read_files(folder)?;
    let processor = Processor::new(&files).map_err(|error| explain(folder, &error))?;
    let model = load_weights(folder, processor.config(), device)?;
    Ok(Recognizer::new(processor, model))
}

/// The files of the embedded model.
#[must_use]
pub fn embedded_files() -> CheckpointFiles {
    CheckpointFiles {
        config: embedded::CONFIG.into(),
        generation: Some(embedded::GENERATION.into()),
        preprocessor: Some(embedded::PREPROCESSOR.into()),
        processor: None,
        tokenizer: embedded::TOKENIZER.into(),
        tokenizer_config: Some(embedded::TOKENIZER_CONFIG.into()),
        template_jinja: Some(embedded::TEMPLATE.into()),
        template_json: None,
    }
}

/// The weights of the embedded model.
#[must_use]
pub fn embedded_weights() -> &'static [u8] {
    embedded::WEIGHTS
}

fn load_embedded(device: &OpenDevice) -> Result<Recognizer> {
    let processor = Processor::new(&embedded_files()).context("the embedded model")?;
    let model = VisionLanguageModel::new(processor.config(), &device.device);
    let mut loader = Loader::new(model, device.precision);
    loader.add(ShardIndex::SINGLE, embedded::WEIGHTS).context("the embedded model")?;
    let (model, _) = loader.finish().context("the embedded model")?;
    Ok(Recognizer::new(processor, model))
}

/// Reads everything but the weights.
///
/// # Errors
/// The folder or a file that every checkpoint has is missing.
pub fn read_files(folder: &Path) -> Result<CheckpointFiles> {
    if !folder.is_dir() {
        bail!("{} is not a folder\nhint: --model takes the folder of a checkpoint", folder.display());
    }
    let optional = |name: &str| -> Result<Option<String>> {
        let path = folder.join(name);
        if path.is_file() { Ok(Some(read_text(&path)?)) } else { Ok(None) }
    };
    let required = |name: &str| optional(name)?.ok_or_else(|| missing(folder, name));
    let processor = optional("processor_config.json")?;
    let preprocessor = match &processor {
        Some(_) => optional("preprocessor_config.json")?,
        None => Some(required("preprocessor_config.json")?),
    };
    Ok(CheckpointFiles {
        config: tied::settle(folder, required("config.json")?),
        generation: optional("generation_config.json")?,
        preprocessor,
        processor,
        tokenizer: required("tokenizer.json")?.into_bytes(),
        tokenizer_config: optional("tokenizer_config.json")?,
        template_jinja: optional("chat_template.jinja")?,
        template_json: optional("chat_template.json")?,
    })
}

/// Names of a checkpoint's weight files.
///
/// # Errors
/// There is neither a weight file nor an index, or the index is malformed.
pub fn weight_files(folder: &Path) -> Result<Vec<String>> {
    let index = folder.join(ShardIndex::FILE);
    if index.is_file() {
        let index =
            ShardIndex::from_json(&read_text(&index)?).map_err(|error| explain_weights(folder, &error))?;
        return Ok(index.files());
    }
    if folder.join(ShardIndex::SINGLE).is_file() {
        return Ok(vec![ShardIndex::SINGLE.to_owned()]);
    }
    Err(missing(folder, ShardIndex::SINGLE))
}

/// Maps a file of the checkpoint into memory.
///
/// # Errors
/// It is missing or cannot be read.
pub fn map(folder: &Path, name: &str) -> Result<Mmap> {
    let path = folder.join(name);
    if !path.is_file() {
        return Err(match name {
            ShardIndex::SINGLE => missing(folder, name),
            _ => anyhow!(
                "{} is missing\nhint: {} names it; download that shard, too",
                path.display(),
                ShardIndex::FILE
            ),
        });
    }
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // SAFETY: the bytes are only read while nobody is expected to change a checkpoint's file.
    #[expect(unsafe_code, reason = "files of many gigabytes are read page by page")]
    let map = unsafe { Mmap::map(&file) }.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(map)
}

/// Loads the weights file by file; tensors that the model has no place for are reported on stderr.
///
/// # Errors
/// A file is missing or damaged, or a tensor is missing or has the wrong shape.
pub fn load_weights(folder: &Path, config: &ModelConfig, device: &OpenDevice) -> Result<VisionLanguageModel> {
    let mut loader = Loader::new(VisionLanguageModel::new(config, &device.device), device.precision);
    for name in weight_files(folder)? {
        let bytes = map(folder, &name)?;
        loader.add(&name, &bytes).map_err(|error| explain_weights(&folder.join(&name), &error))?;
    }
    let (model, report) = loader.finish().map_err(|error| explain_weights(folder, &error))?;
    report_odd(folder, &report);
    Ok(model)
}

/// The same tensor by tensor; `change` may make the model smaller after each, so that it never stands
/// in memory as a whole.
///
/// # Errors
/// As [`load_weights`].
pub fn load_weights_gradually(
    folder: &Path,
    config: &ModelConfig,
    device: &OpenDevice,
    change: &mut dyn FnMut(&mut VisionLanguageModel),
) -> Result<VisionLanguageModel> {
    let mut loader = Loader::new(VisionLanguageModel::new(config, &device.device), device.precision);
    for name in weight_files(folder)? {
        let bytes = map(folder, &name)?;
        let header = bytes.first_chunk::<LENGTH_FIELD>().map_or(0, |first| header_length(*first));
        let header = usize::try_from(header).unwrap_or(usize::MAX).min(bytes.len());
        let places = read_places(&name, &bytes[..header], bytes.len() as u64)
            .map_err(|error| explain_weights(folder, &error))?;
        for place in places {
            loader
                .add_tensor(&place, &bytes[place.bytes.clone()])
                .map_err(|error| explain_weights(&folder.join(&name), &error))?;
            loader.change(&mut *change);
        }
    }
    let (model, report) = loader.finish().map_err(|error| explain_weights(folder, &error))?;
    report_odd(folder, &report);
    Ok(model)
}

fn report_odd(folder: &Path, report: &LoadReport) {
    for name in &report.odd {
        eprintln!("warning: {}: tensor `{name}` is not part of the model and was left out", folder.display());
    }
}

/// Writes a whole checkpoint into a folder, file by file, each complete or absent.
///
/// # Errors
/// The disk is full, or the folder cannot be written.
pub fn save(
    folder: &Path,
    files: &CheckpointFiles,
    config: &ModelConfig,
    model: &VisionLanguageModel,
    precision: Precision,
) -> Result<()> {
    save_in_shards(folder, files, config, model, precision, MAX_SHARD_BYTES)
}

/// The same with weight files of at most so many bytes, or of one tensor.
///
/// # Errors
/// As [`save`].
pub fn save_in_shards(
    folder: &Path,
    files: &CheckpointFiles,
    config: &ModelConfig,
    model: &VisionLanguageModel,
    precision: Precision,
    max_shard_bytes: usize,
) -> Result<()> {
    create_folder(folder)?;
    let mut config = config.clone();
    config.dtype = precision.torch_name().into();
    write_file(&folder.join("config.json"), config.to_json().as_bytes())?;
    let texts = [
        ("generation_config.json", &files.generation),
        ("preprocessor_config.json", &files.preprocessor),
        ("processor_config.json", &files.processor),
        ("tokenizer_config.json", &files.tokenizer_config),
        ("chat_template.jinja", &files.template_jinja),
        ("chat_template.json", &files.template_json),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            write_file(&folder.join(name), text.as_bytes())?;
        }
    }
    write_file(&folder.join("tokenizer.json"), &files.tokenizer)?;
    let shards = plan_shards(model, precision, max_shard_bytes);
    for shard in &shards {
        write_file_with(&folder.join(&shard.file), |path| {
            let metadata = [("format".to_owned(), "pt".to_owned())].into();
            Ok(serialize_to_file(streamed(model, &shard.tensors, precision), Some(metadata), path)?)
        })?;
    }
    if let Some(index) = shard_index(&shards) {
        write_file(&folder.join(ShardIndex::FILE), index.as_bytes())?;
    }
    Ok(())
}

/// A module with its weights in another precision.
#[must_use]
pub fn cast<M: Module>(module: M, dtype: DType) -> M {
    struct Cast(DType);
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let is_trained = param.val().is_require_grad();
            param.map(|tensor| {
                let tensor = tensor.cast(self.0).detach();
                if is_trained { tensor.require_grad() } else { tensor }
            })
        }
    }
    module.map(&mut Cast(dtype))
}

/// Weights by stored name, to be read from their device one after another.
fn streamed(model: &VisionLanguageModel, names: &[String], precision: Precision) -> Vec<(String, Streamed)> {
    struct Collect<'shard> {
        path: WeightPath,
        wanted: HashSet<&'shard str>,
        precision: Precision,
        found: Vec<(String, Streamed)>,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, container: &str) {
            self.path.exit(container);
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let name = self.path.stored();
            if self.wanted.contains(name.as_str()) {
                let shape = param.lazy_shape().to_vec();
                let values = param.val().reshape([shape.iter().product::<usize>()]);
                self.found.push((name, Streamed::new(values, shape, self.precision.dtype())));
            }
        }
    }
    let wanted = names.iter().map(String::as_str).collect();
    let mut collect = Collect { path: WeightPath::default(), wanted, precision, found: Vec::new() };
    model.visit(&mut collect);
    collect.found
}

/// Creates a folder and those that it lies in.
///
/// # Errors
/// A file is in the way, or the place may not be written.
pub fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot create {}\nhint: name a folder that may be written", folder.display())
    })
}

/// Writes a file so that it is complete or absent: temporary name, fsync, rename.
///
/// # Errors
/// The disk is full, or the folder cannot be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file_with(path, |temporary| Ok(fs::write(temporary, bytes)?))
}

/// Writes a file so that it is complete or absent; `write` gets the path to put its content at.
///
/// # Errors
/// `write` fails, the disk is full, or the folder cannot be written.
pub fn write_file_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = PathBuf::from(format!("{}.tmp", path.display()));
    let write = || -> Result<()> {
        // Libraries write through files that only their owner may read; this one is for a web server, too.
        let permissions = File::create(&temporary)?.metadata()?.permissions();
        write(&temporary)?;
        fs::set_permissions(&temporary, permissions)?;
        // Opened for writing: not every system forces a file onto the disk that is open for reading.
        File::options().append(true).open(&temporary)?.sync_all()?;
        Ok(fs::rename(&temporary, path)?)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary))).with_context(|| {
        format!(
            "cannot write {}\nhint: check that the disk has room and the folder may be written",
            path.display()
        )
    })
}

/// Makes sure that a folder to be written does not hold anything yet.
///
/// # Errors
/// It does, or is a file.
pub fn refuse_filled(folder: &Path) -> Result<()> {
    if folder.is_file() {
        bail!("{} is a file\nhint: name a new folder", folder.display());
    }
    let is_filled = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if is_filled {
        bail!("{} is not empty\nhint: name a new folder", folder.display());
    }
    Ok(())
}

/// Reads a text file.
///
/// # Errors
/// It is missing, a folder, no UTF-8, or a device that does not end.
pub fn read_text(path: &Path) -> Result<String> {
    bounded::read_text(path).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::InvalidData => "save it as UTF-8 text",
            ErrorKind::FileTooLarge => "name a file that ends",
            _ => "check the path",
        };
        anyhow::Error::new(error).context(format!("cannot read {}\nhint: {remedy}", path.display()))
    })
}

/// Puts file name and remedy around an error of the core.
#[must_use]
pub fn explain(folder: &Path, error: &RecognizerError) -> anyhow::Error {
    anyhow!("{}: {error}\nhint: {}", folder.display(), error.hint())
}

/// Of a checkpoint's folder, or of one of its weight files.
fn explain_weights(at: &Path, error: &WeightsError) -> anyhow::Error {
    anyhow!("{}: {error}\nhint: {}", at.display(), error.hint())
}

fn missing(folder: &Path, name: &str) -> anyhow::Error {
    anyhow!(
        "{} is missing\nhint: a checkpoint's folder holds config.json, preprocessor_config.json, tokenizer.json, \
         a chat template, and model.safetensors or its shards with their index",
        folder.join(name).display()
    )
}
