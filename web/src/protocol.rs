//! What a page and the worker that holds the model say to each other.
//!
//! Both sides exchange plain JavaScript objects (structured clones), camelCase, told apart by `type`.
//! A page numbers its requests; every event of the worker names the request that it belongs to. The
//! worker answers recognitions one after another, in the order in which they were asked.
//!
//! This module is serde alone: the page links it without the model.

use serde::{Deserialize, Serialize};

/// Page to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// Fetches (or finds in the browser's storage) a model folder and opens it on a device. Answered by
    /// [`Event::Found`], [`Event::Progress`]… and [`Event::Ready`].
    Load {
        /// Number of the request.
        id: u32,
        /// URL of the model's folder, with or without a slash at its end; the page makes it absolute.
        base_url: String,
        /// Where the model shall run.
        device: DeviceChoice,
    },
    /// Answers a question about an image. Answered by [`Event::Started`], [`Event::Thinking`]…,
    /// [`Event::Answering`]…, and [`Event::Done`].
    Recognize {
        /// Number of the request.
        id: u32,
        /// Bytes of an image file (PNG, JPEG, WebP, BMP, GIF).
        #[serde(with = "serde_bytes")]
        image: Vec<u8>,
        /// How it is asked.
        #[serde(default)]
        options: RecognizeOptions,
    },
    /// Ends a load or a recognition, which answers with [`Event::Failed`] (code `aborted`).
    Stop {
        /// Number of the request that shall end.
        id: u32,
    },
    /// Lists the models in the browser's storage. Answered by [`Event::Stored`].
    ListStored {
        /// Number of the request.
        id: u32,
    },
    /// Deletes a model from the browser's storage. Answered by [`Event::Stored`].
    DeleteStored {
        /// Number of the request.
        id: u32,
        /// As [`StoredModel::base_url`] gives it.
        base_url: String,
    },
}

/// Where the model shall run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeviceChoice {
    /// WebGPU on real hardware where there is one, else the processor.
    #[default]
    Auto,
    /// WebGPU, software adapters included; an error where there is none.
    Webgpu,
    /// The processor.
    Cpu,
}

/// How a question is answered; what is absent follows the model's generation config.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecognizeOptions {
    /// The question; a general one where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Names to choose among.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// Most tokens of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<u32>,
    /// 0 is greedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Makes sampling repeatable; where it is absent, and the temperature is above 0, one is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
}

/// Worker to page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The device that will be used, before anything is downloaded.
    Found {
        /// Number of the request.
        id: u32,
        /// What was found.
        device: DeviceReport,
    },
    /// How far loading is.
    Progress {
        /// Number of the request.
        id: u32,
        /// How far.
        progress: Progress,
    },
    /// The model can be asked.
    Ready {
        /// Number of the request.
        id: u32,
        /// What was loaded.
        info: ModelInfo,
    },
    /// The prompt was read; tokens follow.
    Started {
        /// Number of the request.
        id: u32,
        /// Tokens of the prompt, image included.
        prompt_tokens: u32,
    },
    /// More of the thought.
    Thinking {
        /// Number of the request.
        id: u32,
        /// Text to append.
        text: String,
    },
    /// More of the answer.
    Answering {
        /// Number of the request.
        id: u32,
        /// Text to append.
        text: String,
    },
    /// The answer is complete.
    Done {
        /// Number of the request.
        id: u32,
        /// Thought and answer.
        outcome: Outcome,
    },
    /// What the browser's storage holds.
    Stored {
        /// Number of the request.
        id: u32,
        /// The models.
        models: Vec<StoredModel>,
    },
    /// The request failed, and nothing more follows for it.
    Failed {
        /// Number of the request.
        id: u32,
        /// Why.
        error: Failure,
    },
}

/// What runs the model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceReport {
    /// `webgpu` or `cpu`.
    pub kind: String,
    /// The adapter's own description, or `WebAssembly SIMD, one thread`.
    pub name: String,
    /// Whether a WebGPU adapter is a program (SwiftShader, llvmpipe) and not hardware.
    pub is_software: bool,
    /// Whether the adapter computes in 16 bits.
    pub has_f16: bool,
    /// Largest buffer that one tensor can take, in bytes; 0 where there is no such limit.
    pub max_buffer_bytes: f64,
    /// Why the processor is used where WebGPU was wanted (`auto`): a failure with code `noApi`,
    /// `noAdapter`, `softwareAdapter`, `limitTooSmall` or `deviceLost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Failure>,
}

/// How far loading is. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// `downloading`, `verifying`, `loading` or `warmingUp`.
    pub phase: String,
    /// File in the model's folder that is being worked on.
    pub file: String,
    /// Bytes of that file so far.
    pub file_bytes: f64,
    /// Size of that file.
    pub file_total: f64,
    /// Bytes of all files so far.
    pub bytes: f64,
    /// Size of all files.
    pub total: f64,
    /// Whether the bytes come out of the browser's storage.
    pub from_storage: bool,
}

/// A loaded model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    /// Name from the manifest.
    pub name: String,
    /// URL of its folder.
    pub base_url: String,
    /// `qwen2_5_vl` or `qwen2_vl`.
    pub architecture: String,
    /// Number of weights.
    pub parameters: f64,
    /// Size of all files.
    pub bytes: f64,
    /// Tokens of its context.
    pub context: u32,
    /// What runs it.
    pub device: DeviceReport,
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The whole thought.
    pub thinking: String,
    /// The whole answer.
    pub answer: String,
    /// Whether thought and answer stood in their tags.
    pub well_formed: bool,
    /// All tokens, the end token included.
    pub token_ids: Vec<u32>,
    /// `endToken`, `stopString`, `length` or `contextFull`.
    pub stop_reason: String,
    /// Counts and times.
    pub usage: Usage,
}

/// Counts and times of an answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Tokens of the prompt, image included.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub new_tokens: u32,
    /// From the request's arrival to the first token.
    pub time_to_first_token_secs: f64,
    /// After the first token.
    pub tokens_per_second: f64,
}

/// A model in the browser's storage.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredModel {
    /// Name from the manifest.
    pub name: String,
    /// URL of its folder.
    pub base_url: String,
    /// Bytes that are stored.
    pub bytes: f64,
    /// Size of all its files.
    pub total: f64,
}

/// What went wrong. `code` is stable; `message` and `hint` are for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One of [`codes`].
    pub code: String,
    /// What happened, lower case.
    pub message: String,
    /// What can be done about it.
    pub hint: String,
}

/// The stable codes of failures.
pub mod codes {
    /// Stopped by the caller.
    pub const ABORTED: &str = "aborted";
    /// A request before a model was loaded, or after it was disposed of.
    pub const NOT_LOADED: &str = "notLoaded";
    /// The photo cannot be decoded.
    pub const BAD_IMAGE: &str = "badImage";
    /// Candidates or numbers that make no sense.
    pub const BAD_OPTIONS: &str = "badOptions";
    /// A file of the model is not there (HTTP 404 and the like).
    pub const NOT_FOUND: &str = "notFound";
    /// The network failed; what was received is kept.
    pub const NETWORK: &str = "network";
    /// A file is shorter or longer than the manifest says.
    pub const WRONG_SIZE: &str = "wrongSize";
    /// A file's hash is not the manifest's.
    pub const WRONG_HASH: &str = "wrongHash";
    /// The manifest or a file of the checkpoint makes no sense.
    pub const BAD_MODEL: &str = "badModel";
    /// The browser's storage is full, or the browser gives this page none.
    pub const STORAGE_FULL: &str = "storageFull";
    /// The browser has no WebGPU.
    pub const NO_API: &str = "noApi";
    /// WebGPU is there, an adapter is not.
    pub const NO_ADAPTER: &str = "noAdapter";
    /// The only adapter is a program, slower than the processor itself.
    pub const SOFTWARE_ADAPTER: &str = "softwareAdapter";
    /// The adapter's limits, or the processor's memory, are below what the model needs.
    pub const LIMIT_TOO_SMALL: &str = "limitTooSmall";
    /// The device went away.
    pub const DEVICE_LOST: &str = "deviceLost";
    /// Anything else.
    pub const INTERNAL: &str = "internal";
}
