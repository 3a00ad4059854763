//! The model of a worker: loads, answers, stops.

use crate::device::{self, OpenDevice};
use crate::download::{Download, Listener};
use crate::events::{aborted, failure, internal, of_answer, of_model, piece, post, to_js};
use crate::protocol::{
    DeviceReport, Event, Failure, ModelInfo, Outcome, Progress, RecognizeOptions, Request, Usage, codes,
};
use crate::storage::{Storage, folder_url};
use crate::waiting::{now_secs, yield_to_messages};
use fine_r1_core::generate::{SamplingOptions, StopReason};
use fine_r1_core::image::{DecodeLimits, decode};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::prompt::question::{DEFAULT_QUESTION, ask};
use fine_r1_core::recognizer::{AnswerOptions, CheckpointFiles, Processor, Recognizer};
use fine_r1_core::weights::{LENGTH_FIELD, Loader, ShardIndex, check_names, header_length, read_places};
use js_sys::Function;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::{AbortController, AbortSignal};

/// Tokens of an answer where nobody says how many.
const DEFAULT_NEW_TOKENS: usize = 512;
/// The largest header of a weight file that is read.
const MAX_HEADER_BYTES: u64 = 100 << 20;
/// So often at most an answer's pieces go to the page and the worker reads its messages: a token of a
/// small model takes a millisecond, and talking about it nearly as long.
const TALK_INTERVAL_SECS: f64 = 0.016;
/// A colour to warm up with.
const GREY: u8 = 128;
/// Most bytes of weights on the processor: of the 4 GiB that a module can address, photo, cache and the tensor
/// on its way need the rest.
const MOST_WEIGHT_BYTES: u64 = 7 << 29;

/// A model and the worker that it speaks to.
#[wasm_bindgen]
pub struct Engine {
    listener: Function,
    recognizer: RefCell<Option<Rc<Recognizer>>>,
    stopped: RefCell<BTreeSet<u32>>,
    /// Requests for files that wait, by the load that they belong to.
    loading: RefCell<BTreeMap<u32, AbortController>>,
}

#[wasm_bindgen]
impl Engine {
    /// An engine without a model; `listener` gets the protocol's events.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(listener: Function) -> Self {
        Self {
            listener,
            recognizer: RefCell::default(),
            stopped: RefCell::default(),
            loading: RefCell::default(),
        }
    }

    /// Fetches and opens a model.
    ///
    /// # Errors
    /// A [`Failure`] as a plain object.
    pub async fn load(&self, request: JsValue, report: JsValue) -> Result<(), JsValue> {
        let request: Request = read(request)?;
        let report: DeviceReport = read(report)?;
        let Request::Load { id, base_url, .. } = request else { return Err(unexpected(&request)) };
        let loaded = self.open(id, &base_url, report).await;
        self.forget(id);
        let info = loaded.map_err(|error| to_js(&error))?;
        self.post(&Event::Ready { id, info });
        Ok(())
    }

    /// Answers a question about an image.
    ///
    /// # Errors
    /// A [`Failure`] as a plain object.
    pub async fn recognize(&self, request: JsValue) -> Result<(), JsValue> {
        let request: Request = read(request)?;
        let Request::Recognize { id, image, options } = request else { return Err(unexpected(&request)) };
        let answered = self.answer(id, &image, &options).await;
        self.forget(id);
        let outcome = answered.map_err(|error| to_js(&error))?;
        self.post(&Event::Done { id, outcome });
        Ok(())
    }

    /// Ends the load or recognition of this number at its next step.
    pub fn stop(&self, id: u32) {
        self.stopped.borrow_mut().insert(id);
        if let Some(loading) = self.loading.borrow().get(&id) {
            loading.abort();
        }
    }

    /// The models in the browser's storage.
    ///
    /// # Errors
    /// A [`Failure`] as a plain object.
    #[wasm_bindgen(js_name = listStored)]
    pub async fn list_stored(&self) -> Result<JsValue, JsValue> {
        let models = async { Storage::open().await?.list().await }.await;
        models.map(|models| to_js(&models)).map_err(|error| to_js(&error))
    }

    /// Deletes a model from the browser's storage and gives those that are left.
    ///
    /// # Errors
    /// A [`Failure`] as a plain object.
    #[wasm_bindgen(js_name = deleteStored)]
    pub async fn delete_stored(&self, base_url: String) -> Result<JsValue, JsValue> {
        let models = async {
            let storage = Storage::open().await?;
            storage.delete(&base_url).await?;
            storage.list().await
        };
        models.await.map(|models| to_js(&models)).map_err(|error| to_js(&error))
    }
}

impl Engine {
    async fn open(&self, id: u32, base_url: &str, report: DeviceReport) -> Result<ModelInfo, Failure> {
        self.post(&Event::Found { id, device: report.clone() });
        // The old model makes room first.
        self.recognizer.replace(None);
        let controller =
            AbortController::new().map_err(|error| internal("the browser cannot stop requests", &error))?;
        let signal = controller.signal();
        self.loading.borrow_mut().insert(id, controller);
        let watch = Watch { engine: self, id, signal, latest: RefCell::default() };
        let storage = Storage::open().await?;
        let begun = Download::begin(&storage, base_url, watch.signal()).await;
        let mut download = if watch.is_stopped() { return Err(aborted()) } else { begun? };
        download.check_room().await?;
        download.fetch(|path| !is_weights(path), &watch).await?;
        let processor = Processor::new(&read_files(&download).await?).map_err(|error| of_model(&error))?;
        let opened = device::open(&report).await?;
        let fresh = VisionLanguageModel::new(processor.config(), &opened.device);
        check_fit(&fresh, &opened, &report)?;
        download.fetch(is_weights, &watch).await?;

        let expected = check_names(&fresh, &[]).expected;
        let parameters = expected.values().map(|shape| shape.iter().product::<usize>() as f64).sum();
        let model = load_weights(fresh, &opened, &download, &watch).await?;
        let recognizer = Recognizer::new(processor, model);
        self.warm_up(&recognizer, &watch).await?;
        let config = recognizer.processor().config();
        let info = ModelInfo {
            name: download.manifest().name.clone(),
            base_url: folder_url(base_url),
            architecture: config.architecture.model_type().to_owned(),
            parameters,
            bytes: download.manifest().bytes() as f64,
            context: config.text.max_position_embeddings as u32,
            device: report,
        };
        self.recognizer.replace(Some(Rc::new(recognizer)));
        Ok(info)
    }

    /// One token about a grey picture: shaders are compiled and memory is taken before anyone waits.
    async fn warm_up(&self, recognizer: &Recognizer, watch: &Watch<'_>) -> Result<(), Failure> {
        watch.go_on_with("warmingUp");
        watch.hear_stop().await?;
        let side = 56;
        let photo = image::RgbImage::from_pixel(side, side, image::Rgb([GREY; 3]));
        let messages = ask("photo", DEFAULT_QUESTION, &[]);
        let prepared =
            recognizer.processor().prepare(&messages, &[photo]).map_err(|error| of_answer(&error))?;
        let options = AnswerOptions {
            sampling: SamplingOptions::default(),
            max_new_tokens: 2,
            stop_strings: Vec::new(),
        };
        let mut answer = recognizer.answer(&prepared, &options).map_err(|error| of_answer(&error))?;
        watch.hear_stop().await?;
        while answer.next().await.map_err(|error| of_answer(&error))?.is_some() {
            watch.hear_stop().await?;
        }
        watch.hear_stop().await
    }

    async fn answer(&self, id: u32, image: &[u8], options: &RecognizeOptions) -> Result<Outcome, Failure> {
        let begun = now_secs();
        let recognizer = self
            .recognizer
            .borrow()
            .clone()
            .ok_or_else(|| failure(codes::NOT_LOADED, "no model is loaded", "load a model first"))?;
        let photo = decode(image, &DecodeLimits::default())?;
        self.hear_stop(id).await?;
        let question = options.question.as_deref().unwrap_or(DEFAULT_QUESTION);
        let messages = ask("photo", question, &options.candidates);
        let processor = recognizer.processor();
        let prepared = processor.prepare(&messages, &[photo]).map_err(|error| of_answer(&error))?;
        let defaults = SamplingOptions::from_checkpoint(processor.generation());
        let temperature = options.temperature.unwrap_or(defaults.temperature);
        let seed = match options.seed {
            Some(seed) => seed,
            None if temperature > 0.0 => random_seed()?,
            None => 0,
        };
        let answer_options = AnswerOptions {
            sampling: SamplingOptions { temperature, seed: u64::from(seed), ..defaults },
            max_new_tokens: options.max_new_tokens.map_or(DEFAULT_NEW_TOKENS, |count| count as usize),
            stop_strings: Vec::new(),
        };
        self.hear_stop(id).await?;
        let mut answer = recognizer.answer(&prepared, &answer_options).map_err(|error| of_answer(&error))?;
        // An adapter has only been told of the prompt by now; the first token waits for it.
        self.hear_stop(id).await?;
        let first = Cell::new(None);
        let (mut pieces, mut told) = (Vec::new(), f64::NEG_INFINITY);
        while let Some(events) = answer.next().await.map_err(|error| of_answer(&error))? {
            if first.get().is_none() {
                first.set(Some(now_secs()));
                self.post(&Event::Started { id, prompt_tokens: prepared.prompt.ids.len() as u32 });
            }
            pieces.extend(events);
            if now_secs() - told < TALK_INTERVAL_SECS {
                continue;
            }
            for event in pieces.drain(..) {
                self.post(&piece(id, event));
            }
            self.hear_stop(id).await?;
            told = now_secs();
        }
        let ended = now_secs();
        let finished = answer.finish();
        for event in pieces.into_iter().chain(finished.last_events) {
            self.post(&piece(id, event));
        }
        let first = first.get().unwrap_or(ended);
        let decoded = finished.token_ids.len().saturating_sub(1) as f64;
        Ok(Outcome {
            thinking: finished.transcript.thinking,
            answer: finished.transcript.answer,
            well_formed: finished.transcript.well_formed,
            stop_reason: stop_name(finished.stop).to_owned(),
            usage: Usage {
                prompt_tokens: prepared.prompt.ids.len() as u32,
                new_tokens: finished.token_ids.len() as u32,
                time_to_first_token_secs: first - begun,
                tokens_per_second: if ended > first { decoded / (ended - first) } else { 0.0 },
            },
            token_ids: finished.token_ids,
        })
    }

    fn post(&self, event: &Event) {
        post(&self.listener, event);
    }

    /// Lets the worker read its messages, and ends a request here that one of them stops.
    async fn hear_stop(&self, id: u32) -> Result<(), Failure> {
        yield_to_messages().await;
        if self.stopped.borrow().contains(&id) { Err(aborted()) } else { Ok(()) }
    }

    fn forget(&self, id: u32) {
        self.stopped.borrow_mut().remove(&id);
        self.loading.borrow_mut().remove(&id);
    }
}

/// A request that is being worked on.
struct Watch<'engine> {
    engine: &'engine Engine,
    id: u32,
    signal: AbortSignal,
    latest: RefCell<Progress>,
}

impl Watch<'_> {
    /// Tells of a phase that moves no bytes: all of them are where the phase before has left them.
    fn go_on_with(&self, phase: &str) {
        let latest = self.latest.borrow().clone();
        self.progress(Progress { phase: phase.into(), ..latest });
    }

    async fn hear_stop(&self) -> Result<(), Failure> {
        self.engine.hear_stop(self.id).await
    }
}

impl Listener for Watch<'_> {
    fn progress(&self, progress: Progress) {
        self.latest.replace(progress.clone());
        self.engine.post(&Event::Progress { id: self.id, progress });
    }

    fn is_stopped(&self) -> bool {
        self.engine.stopped.borrow().contains(&self.id)
    }

    fn signal(&self) -> &AbortSignal {
        &self.signal
    }
}

fn is_weights(path: &str) -> bool {
    path.ends_with(".safetensors")
}

async fn read_files(download: &Download) -> Result<CheckpointFiles, Failure> {
    let required = async |path: &str| {
        download.text(path).await?.ok_or_else(|| {
            failure(
                codes::BAD_MODEL,
                format!("manifest.json lists no {path}"),
                "upload the whole checkpoint and make the manifest anew",
            )
        })
    };
    Ok(CheckpointFiles {
        config: required("config.json").await?,
        generation: download.text("generation_config.json").await?,
        preprocessor: download.text("preprocessor_config.json").await?,
        processor: download.text("processor_config.json").await?,
        tokenizer: required("tokenizer.json").await?.into_bytes(),
        tokenizer_config: download.text("tokenizer_config.json").await?,
        template_jinja: download.text("chat_template.jinja").await?,
        template_json: download.text("chat_template.json").await?,
    })
}

/// Refuses what the device cannot hold, before anything large is fetched. On an adapter every weight is one
/// buffer; on the processor all of them share the module's memory.
fn check_fit(model: &VisionLanguageModel, opened: &OpenDevice, report: &DeviceReport) -> Result<(), Failure> {
    // A product of sides can exceed the 32 bits that this module counts in.
    let bytes = |shape: &[usize]| {
        shape.iter().map(|side| *side as u64).product::<u64>() * opened.precision.bytes() as u64
    };
    let weights: Vec<(u64, String)> =
        check_names(model, &[]).expected.into_iter().map(|(name, shape)| (bytes(&shape), name)).collect();
    let needed: u64 = weights.iter().map(|(bytes, _)| bytes).sum();
    if report.kind == "cpu" && needed > MOST_WEIGHT_BYTES {
        return Err(failure(
            codes::LIMIT_TOO_SMALL,
            format!(
                "the weights need {} of memory on the processor, where a page can give them {}",
                gigabytes(needed),
                gigabytes(MOST_WEIGHT_BYTES)
            ),
            "choose a smaller model, a device with WebGPU, or the native program trainer-native",
        ));
    }
    match weights.into_iter().max() {
        Some((bytes, name)) if report.max_buffer_bytes > 0.0 && bytes as f64 > report.max_buffer_bytes => {
            Err(failure(
                codes::LIMIT_TOO_SMALL,
                format!(
                    "`{name}` needs a buffer of {bytes} bytes, {} allows {:.0}",
                    report.name, report.max_buffer_bytes
                ),
                "choose the processor, or a smaller model",
            ))
        }
        _ => Ok(()),
    }
}

/// Fills the model tensor by tensor: one at a time is held beside what the model keeps.
async fn load_weights(
    fresh: VisionLanguageModel,
    opened: &OpenDevice,
    download: &Download,
    watch: &Watch<'_>,
) -> Result<VisionLanguageModel, Failure> {
    let files = match download.text(ShardIndex::FILE).await? {
        Some(index) => ShardIndex::from_json(&index)?.files(),
        None => vec![ShardIndex::SINGLE.to_owned()],
    };
    let manifest = download.manifest();
    let total = manifest.bytes() as f64;
    // What is no weight is read already.
    let read_already = manifest.files.iter().filter(|file| !files.contains(&file.path));
    let mut before: u64 = read_already.map(|file| file.bytes).sum();
    let mut loader = Loader::new(fresh, Some(opened.precision));
    for path in files {
        let file = download.file(&path).await?;
        let length = file.len()?;
        let mut first = [0; LENGTH_FIELD];
        file.read(0, &mut first)?;
        let header = header_length(first);
        if header > length.min(MAX_HEADER_BYTES) {
            return Err(failure(
                codes::BAD_MODEL,
                format!("{path} is no safetensors file"),
                "upload the file to the server again, and make the manifest anew",
            ));
        }
        let mut start = vec![0; header as usize];
        file.read(0, &mut start)?;
        for place in read_places(&path, &start, length)? {
            let mut bytes = vec![0; place.bytes.len()];
            file.read(place.bytes.start as u64, &mut bytes)?;
            loader.add_tensor(&place, &bytes)?;
            watch.progress(Progress {
                phase: "loading".into(),
                file: path.clone(),
                file_bytes: place.bytes.end as f64,
                file_total: length as f64,
                bytes: (before + place.bytes.end as u64) as f64,
                total,
                from_storage: true,
            });
            watch.hear_stop().await?;
        }
        before += length;
    }
    Ok(loader.finish()?.0)
}

/// What a recognition draws with that names no seed.
fn random_seed() -> Result<u32, Failure> {
    getrandom::u32()
        .map_err(|error| internal("the browser gives no random numbers", &error.to_string().into()))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

fn stop_name(reason: StopReason) -> &'static str {
    match reason {
        StopReason::EndToken => "endToken",
        StopReason::StopString => "stopString",
        StopReason::Length => "length",
        StopReason::ContextFull => "contextFull",
    }
}

fn read<T: serde::de::DeserializeOwned>(value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|error| {
        to_js(&failure(codes::BAD_OPTIONS, error.to_string(), "compare the request with the documentation"))
    })
}

fn unexpected(request: &Request) -> JsValue {
    to_js(&internal("an unexpected request", &format!("{request:?}").into()))
}
