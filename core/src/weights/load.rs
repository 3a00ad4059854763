//! Fills a model from files, one file at a time: any module whose fields are spelled as on disk.

use super::names::{EMBEDDING, HEAD, is_adapter, is_redundant, published_name};
use super::shards::parse;
use super::{Precision, TensorFacts, TensorPlace, WeightsError, stored_name};
use crate::model::VisionLanguageModel;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::Dtype;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Loads a model file by file.
///
/// A file's bytes may be dropped (or unmapped) after [`Loader::add`]: peak memory is what is loaded
/// so far plus one file.
#[derive(Debug)]
pub struct Loader<M = VisionLanguageModel> {
    model: M,
    /// Whether the embedding serves as head, so that a stored head is its copy.
    tied: bool,
    /// Parameters that are not loaded yet, and their shapes.
    waiting: BTreeMap<String, Vec<usize>>,
    /// Stored names of what was taken, by published name.
    taken: HashMap<String, String>,
    /// Whether the head of a tied model was taken for its embedding, which may still come itself.
    head_is_embedding: bool,
    misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    odd: BTreeSet<String>,
    precision: Option<Precision>,
    stored: HashMap<Precision, usize>,
}

/// What loading found besides the weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Tensors that the model has no place for.
    pub odd: Vec<String>,
}

impl<M: Module> Loader<M> {
    /// Starts from a model whose weights were not drawn yet; `precision` converts, `None` keeps what
    /// the files have.
    #[must_use]
    pub fn new(model: M, precision: Option<Precision>) -> Self {
        let waiting = parameter_shapes(&model);
        Self {
            model,
            tied: !waiting.contains_key(HEAD),
            waiting,
            taken: HashMap::new(),
            head_is_embedding: false,
            misshaped: Vec::new(),
            odd: BTreeSet::new(),
            precision,
            stored: HashMap::new(),
        }
    }

    /// Takes the tensors of one file.
    ///
    /// # Errors
    /// The file is damaged, or holds a tensor of an unusable type, one that was added before, or one with
    /// values that are no finite numbers.
    pub fn add(&mut self, file: &str, bytes: &[u8]) -> Result<(), WeightsError> {
        let tensors = parse(file, bytes)?;
        let mut taken = Taken::new();
        for (name, view) in tensors.iter() {
            let Some((published, stored)) = self.accept(name, view.dtype(), view.shape())? else { continue };
            refuse_infinite(name, stored, view.data())?;
            // The embedding itself goes before the head that stands for it.
            if published_name(name) == published {
                taken.insert(published, (stored, view.data()));
            } else {
                taken.entry(published).or_insert((stored, view.data()));
            }
        }
        self.fill(&taken);
        Ok(())
    }

    /// Takes one tensor, for callers that have no room for a whole file.
    ///
    /// # Errors
    /// The tensor is of an unusable type, or `data` has another length than its place.
    pub fn add_tensor(&mut self, place: &TensorPlace, data: &[u8]) -> Result<(), WeightsError> {
        if data.len() != place.bytes.len() {
            return Err(WeightsError::TensorLength {
                tensor: place.name.clone(),
                expected: place.bytes.len(),
                found: data.len(),
            });
        }
        if let Some((published, stored)) = self.accept(&place.name, place.dtype, &place.shape)? {
            refuse_infinite(&place.name, stored, data)?;
            self.fill(&Taken::from([(published, (stored, data))]));
        }
        Ok(())
    }

    /// The published name and precision of a tensor that the model waits for; notes what is odd.
    fn accept(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<Option<(String, Precision)>, WeightsError> {
        let published = published_name(name);
        if let Some(first) = self.taken.get(&published) {
            let (first, second) = (first.clone(), name.to_owned());
            return Err(WeightsError::Duplicate { first, second });
        }
        let embedding = self.waiting.get(EMBEDDING).filter(|_| self.tied && published == HEAD);
        if embedding.is_some_and(|expected| shape == expected.as_slice()) {
            self.head_is_embedding = true;
            return Ok(Some((EMBEDDING.to_owned(), Precision::of_stored(name, dtype)?)));
        }
        let Some(expected) = self.waiting.get(&published) else {
            if !is_redundant(&published, self.tied) {
                self.odd.insert(name.to_owned());
            }
            return Ok(None);
        };
        // A single number has no axis on disk, and one here.
        let is_single = shape.is_empty() && expected.as_slice() == [1];
        if shape != expected.as_slice() && !is_single {
            self.misshaped.push((name.to_owned(), expected.clone(), shape.to_vec()));
            self.waiting.remove(&published);
            return Ok(None);
        }
        let stored = Precision::of_stored(name, dtype)?;
        *self.stored.entry(stored).or_default() += 1;
        self.waiting.remove(&published);
        self.taken.insert(published.clone(), name.to_owned());
        Ok(Some((published, stored)))
    }

    fn fill(&mut self, taken: &Taken) {
        let mut fill = Fill { path: Vec::new(), taken, precision: self.precision };
        self.model = self.model.clone().map(&mut fill);
    }

    /// Changes the model between two tensors, such as by packing what is loaded so far.
    pub fn change(&mut self, change: impl FnOnce(&mut M)) {
        change(&mut self.model);
    }

    /// The model, once all files are added.
    ///
    /// # Errors
    /// Parameters that no file held, or held in another shape.
    pub fn finish(mut self) -> Result<(M, LoadReport), WeightsError> {
        if self.head_is_embedding {
            self.waiting.remove(EMBEDDING);
        }
        self.misshaped.sort();
        if !self.waiting.is_empty() || !self.misshaped.is_empty() {
            let missing = self.waiting.into_keys().collect();
            return Err(WeightsError::Mismatch { missing, misshaped: self.misshaped });
        }
        Ok((self.model, LoadReport { odd: self.odd.into_iter().collect() }))
    }
}

/// Which tensors of a checkpoint fit a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameCheck {
    /// The model's parameters, by stored name, and their shapes.
    pub expected: BTreeMap<String, Vec<usize>>,
    /// Parameters that no file holds.
    pub missing: Vec<String>,
    /// Tensors that the model has no place for.
    pub odd: Vec<String>,
    /// Tensors of another shape, with both shapes.
    pub misshaped: Vec<String>,
    /// Tensors that are one parameter, stored twice: both names.
    pub duplicates: Vec<String>,
}

/// Compares the headers of a checkpoint's files with what a model needs; the model's weights need
/// not be drawn.
#[must_use]
pub fn check_names(model: &VisionLanguageModel, tensors: &[TensorFacts]) -> NameCheck {
    let expected = parameter_shapes(model);
    let mut waiting: BTreeSet<&String> = expected.keys().collect();
    let (mut odd, mut misshaped, mut duplicates) = (Vec::new(), Vec::new(), Vec::new());
    let mut found: HashMap<&String, &str> = HashMap::new();
    let tied = model.lm_head.is_none();
    let mut has_head = false;
    for tensor in tensors {
        let published = published_name(&tensor.name);
        match expected.get_key_value(&published) {
            None if is_redundant(&published, tied) => has_head |= published == HEAD,
            None => odd.push(tensor.name.clone()),
            Some((name, shape)) => {
                waiting.remove(name);
                if let Some(first) = found.insert(name, &tensor.name) {
                    duplicates.push(format!("{first} and {}", tensor.name));
                }
                if *shape != tensor.shape {
                    misshaped.push(format!("{}: {:?}, expected {shape:?}", tensor.name, tensor.shape));
                }
            }
        }
    }
    if has_head {
        waiting.retain(|name| *name != EMBEDDING);
    }
    let missing = waiting.into_iter().cloned().collect();
    NameCheck { missing, odd, misshaped, duplicates, expected }
}

fn refuse_infinite(name: &str, stored: Precision, bytes: &[u8]) -> Result<(), WeightsError> {
    if stored.is_finite(bytes) { Ok(()) } else { Err(WeightsError::NotFinite { tensor: name.to_owned() }) }
}

/// Path of the parameter that a walk over a module stands at.
pub(super) fn enter(path: &mut Vec<String>, name: &str, container: &str) {
    // The variant of an enum is no part of a tensor's name.
    if !container.starts_with("Enum:") {
        path.push(name.to_owned());
    }
}

pub(super) fn exit(path: &mut Vec<String>, container: &str) {
    if !container.starts_with("Enum:") {
        path.pop();
    }
}

/// Stored names and shapes of all parameters of a checkpoint, of which adapters are no part.
#[must_use]
pub(super) fn parameter_shapes<M: Module>(model: &M) -> BTreeMap<String, Vec<usize>> {
    #[derive(Default)]
    struct Shapes {
        path: Vec<String>,
        found: BTreeMap<String, Vec<usize>>,
    }
    impl ModuleVisitor for Shapes {
        fn enter_module(&mut self, name: &str, container: &str) {
            enter(&mut self.path, name, container);
        }
        fn exit_module(&mut self, _name: &str, container: &str) {
            exit(&mut self.path, container);
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let name = stored_name(&self.path.join("."));
            if !is_adapter(&name) {
                self.found.insert(name, param.lazy_shape().to_vec());
            }
        }
    }
    let mut shapes = Shapes::default();
    model.visit(&mut shapes);
    shapes.found
}

/// Tensors by published name: how they are stored, and their bytes.
type Taken<'file> = HashMap<String, (Precision, &'file [u8])>;

struct Fill<'file> {
    path: Vec<String>,
    taken: &'file Taken<'file>,
    precision: Option<Precision>,
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        enter(&mut self.path, name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        exit(&mut self.path, container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((stored, bytes)) = self.taken.get(&stored_name(&self.path.join("."))) else { return param };
        let wanted = self.precision.unwrap_or(*stored);
        let data: TensorData = stored.convert(bytes, &param.lazy_shape(), wanted);
        let device = param.lazy_device();
        let tensor = Tensor::from_data(data, (&device, wanted.dtype()));
        // On a device that records, a loaded weight is one to be trained, as a drawn one would be.
        #[cfg(feature = "training")]
        let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(param.id, tensor)
    }
}
