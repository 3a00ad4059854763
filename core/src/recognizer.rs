//! The front door: a photo and a question in, a stream of thought and an answer out.

use crate::config::{ConfigError, GenerationConfig, ModelConfig, PreprocessorConfig, special_tokens};
use crate::generate::{GenerateError, SamplingOptions, Session, SessionOptions, StopReason, StopRules};
use crate::image::{Grid, ImageError, Patches, preprocess};
use crate::model::positions::{Positions, PositionsError};
use crate::model::vlm::PaddingSide;
use crate::model::{Prompt, VisionLanguageModel};
use crate::prompt::{
    ChatTemplate, Message, PromptError, RenderOptions, Tokenizer, expand_placeholders, image_count,
};
use crate::reasoning::{ReasoningEvent, ReasoningStream, Transcript};
use burn::tensor::activation::log_softmax;
use burn::tensor::{ExecutionError, Int, Tensor, TensorData};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// The files of a checkpoint besides the weights, as text.
#[derive(Debug, Clone, Default)]
pub struct CheckpointFiles {
    /// `config.json`
    pub config: String,
    /// `generation_config.json`, where there is one
    pub generation: Option<String>,
    /// `preprocessor_config.json`, unless the image settings are in `processor`
    pub preprocessor: Option<String>,
    /// `processor_config.json` as transformers 5 writes it, where there is one
    pub processor: Option<String>,
    /// `tokenizer.json`
    pub tokenizer: Vec<u8>,
    /// `tokenizer_config.json`, where there is one
    pub tokenizer_config: Option<String>,
    /// `chat_template.jinja`, where there is one
    pub template_jinja: Option<String>,
    /// `chat_template.json`, where there is one
    pub template_json: Option<String>,
}

impl CheckpointFiles {
    /// What the files say about images; `processor_config.json` goes before `preprocessor_config.json`, as
    /// in transformers 5.
    ///
    /// # Errors
    /// Neither file says anything, or a file is malformed.
    pub fn image_settings(&self) -> Result<PreprocessorConfig, RecognizerError> {
        if let Some(text) = &self.processor
            && let Some(settings) = PreprocessorConfig::from_processor_json(text)?
        {
            return Ok(settings);
        }
        let text = self.preprocessor.as_ref().ok_or(RecognizerError::PreprocessorMissing)?;
        Ok(PreprocessorConfig::from_json(text)?)
    }

    /// Has the files say this about images, as transformers of any version reads it.
    pub fn set_image_settings(&mut self, settings: &PreprocessorConfig) {
        self.preprocessor = Some(serde_json::to_string_pretty(settings).unwrap_or_default() + "\n");
        // What else stands in the other file stays.
        self.processor = self.processor.take().map(|text| {
            let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(&text) else { return text };
            fields.shift_remove("image_processor");
            serde_json::to_string_pretty(&fields).unwrap_or_default() + "\n"
        });
    }
}

/// Everything that can go wrong between a checkpoint, a photo and an answer.
#[derive(Debug, Error)]
pub enum RecognizerError {
    /// A configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Messages, template or tokenizer.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A photo.
    #[error("image {index}: {source}")]
    Image {
        /// Number of the image in the conversation, from 0.
        index: usize,
        /// What is wrong with it.
        source: ImageError,
    },
    /// Places for images and images do not match.
    #[error(transparent)]
    Positions(#[from] PositionsError),
    /// Decoding.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The text spells a token that stands for pictures, where none belongs.
    #[error("the {place} spells `{token}`, which stands for {what}")]
    Placeholder {
        /// Which text.
        place: &'static str,
        /// As the tokenizer spells it.
        token: String,
        /// What the token stands for.
        what: &'static str,
    },
    /// Prompt and continuation are longer than the context.
    #[error(
        "the prompt has {prompt} tokens and the continuation {continuation}, together {}; the model's context holds {context}",
        .prompt + .continuation
    )]
    ScoreTooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the continuation.
        continuation: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// No file says how photos are prepared.
    #[error("neither preprocessor_config.json nor processor_config.json says how photos are prepared")]
    PreprocessorMissing,
    /// There is nothing to score.
    #[error("the continuation is empty")]
    EmptyContinuation,
    /// No chat template in any of the places where checkpoints keep one.
    #[error("the checkpoint has no chat template")]
    TemplateMissing,
    /// The tokenizer knows more tokens than the model.
    #[error("tokenizer.json has ids up to {largest}, the model's vocabulary ends at {vocab}")]
    TokenizerTooLarge {
        /// Largest id of a token in a prompt.
        largest: u32,
        /// Size of the model's vocabulary.
        vocab: usize,
    },
    /// The tokenizer lacks the image token.
    #[error("tokenizer.json has no token with the id {id}, which config.json names as image_token_id")]
    ImageToken {
        /// The id named by `config.json`.
        id: u32,
    },
}

impl RecognizerError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Config(error) => error.hint().into(),
            Self::Prompt(error) => error.hint().into(),
            Self::Image { source, .. } => source.hint().into(),
            Self::Generate(error) => error.hint().into(),
            Self::Positions(_) => {
                "give one image for every image part, and keep image tokens out of the text".into()
            }
            Self::EmptyContinuation => {
                "give a text of at least one character to score after the prompt".into()
            }
            Self::Placeholder { .. } => {
                "leave the token out of the text; photos go into image parts, and videos are not supported"
                    .into()
            }
            Self::ScoreTooLong { .. } => {
                "shorten the question or the continuation, or lower max_pixels in preprocessor_config.json"
                    .into()
            }
            Self::PreprocessorMissing => {
                "download the checkpoint's preprocessor_config.json or processor_config.json".into()
            }
            Self::TemplateMissing => {
                "add the checkpoint's chat_template.jinja, or a tokenizer_config.json that contains it".into()
            }
            Self::TokenizerTooLarge { .. } | Self::ImageToken { .. } => {
                "take tokenizer.json and config.json from one and the same checkpoint".into()
            }
        }
    }
}

/// How a question is answered.
#[derive(Debug, Clone)]
pub struct AnswerOptions {
    /// Choice of tokens.
    pub sampling: SamplingOptions,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Strings that end an answer.
    pub stop_strings: Vec<String>,
}

/// A conversation as the model takes it.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The rendered text, placeholders not yet expanded.
    pub text: String,
    /// Ids, positions and images.
    pub prompt: Prompt,
}

/// Log-probabilities of a given continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Ids of the continuation.
    pub token_ids: Vec<u32>,
    /// Natural logarithm of each token's probability at temperature 1.
    pub log_probs: Vec<f32>,
}

/// A checkpoint, ready to be asked.
#[derive(Debug)]
pub struct Recognizer {
    model: VisionLanguageModel,
    processor: Processor,
}

/// Everything of a checkpoint but the weights: turns conversations into prompts.
#[derive(Debug)]
pub struct Processor {
    config: ModelConfig,
    generation: GenerationConfig,
    preprocessor: PreprocessorConfig,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    image_token: String,
}

impl Processor {
    /// Reads a checkpoint's files.
    ///
    /// # Errors
    /// A file is malformed, or two of them contradict each other.
    pub fn new(files: &CheckpointFiles) -> Result<Self, RecognizerError> {
        let config = ModelConfig::from_json(&files.config)?;
        let preprocessor = files.image_settings()?;
        preprocessor.check_against(&config.vision)?;
        let generation = match &files.generation {
            Some(text) => GenerationConfig::from_json(text)?,
            None => GenerationConfig::default(),
        };
        let tokenizer = Tokenizer::from_bytes(&files.tokenizer)?;
        let id = config.tokens.image;
        let image_token = tokenizer.decode(&[id], false)?;
        if image_token.is_empty() || tokenizer.token_id(&image_token) != Some(id) {
            return Err(RecognizerError::ImageToken { id });
        }
        let template = ChatTemplate::new(template_source(files)?)?;
        let template = match &files.tokenizer_config {
            Some(text) => template.with_special_tokens(special_tokens(text)?),
            None => template,
        };
        Ok(Self { config, generation, preprocessor, tokenizer, template, image_token })
    }

    /// `config.json`.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// `generation_config.json`, or its defaults.
    #[must_use]
    pub fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// `preprocessor_config.json`.
    #[must_use]
    pub fn preprocessor(&self) -> &PreprocessorConfig {
        &self.preprocessor
    }

    /// `tokenizer.json`.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Resizes and cuts one photo.
    ///
    /// # Errors
    /// The photo is too narrow or too flat.
    pub fn look_ready(&self, photo: &RgbImage) -> Result<Patches, ImageError> {
        preprocess(photo, &self.preprocessor.settings())
    }

    /// Renders a conversation through the checkpoint's template.
    ///
    /// # Errors
    /// The template refuses the conversation.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, RecognizerError> {
        let options = RenderOptions { add_generation_prompt, ..RenderOptions::default() };
        Ok(self.template.render(messages, &options)?)
    }

    /// Ids of a rendered text whose placeholders make room for images of these grids.
    ///
    /// # Errors
    /// Places and images differ in number, or the tokenizer does not fit the model.
    pub fn encode(&self, text: &str, grids: &[Grid]) -> Result<Vec<u32>, RecognizerError> {
        let merge = self.config.vision.spatial_merge_size;
        let counts: Vec<usize> = grids.iter().map(|grid| grid.merged(merge)).collect();
        let expanded = expand_placeholders(text, &self.image_token, &counts)?;
        let ids = self.tokenizer.encode(&expanded)?;
        self.refuse_placeholder("text", &ids, &[self.config.tokens.video])?;
        match ids.iter().max() {
            Some(largest) if *largest as usize >= self.config.text.vocab_size => {
                Err(RecognizerError::TokenizerTooLarge {
                    largest: *largest,
                    vocab: self.config.text.vocab_size,
                })
            }
            _ => Ok(ids),
        }
    }

    /// Refuses ids that stand for pictures; `refused` are some of the model's placeholders.
    fn refuse_placeholder(
        &self,
        place: &'static str,
        ids: &[u32],
        refused: &[u32],
    ) -> Result<(), RecognizerError> {
        match ids.iter().find(|id| refused.contains(id)) {
            None => Ok(()),
            Some(id) => {
                let what = if *id == self.config.tokens.image { "a photo" } else { "a video" };
                Err(RecognizerError::Placeholder {
                    place,
                    token: self.tokenizer.decode(&[*id], false)?,
                    what,
                })
            }
        }
    }

    /// Turns a conversation and its photos, in the order of its image parts, into a prompt.
    ///
    /// # Errors
    /// The conversation, a photo, or their number does not fit.
    pub fn prepare(&self, messages: &[Message], photos: &[RgbImage]) -> Result<Prepared, RecognizerError> {
        let places = image_count(messages);
        if places != photos.len() {
            return Err(PromptError::PlaceholderCount { placeholders: places, images: photos.len() }.into());
        }
        let images = photos
            .iter()
            .enumerate()
            .map(|(index, photo)| {
                self.look_ready(photo).map_err(|source| RecognizerError::Image { index, source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let text = self.render(messages, true)?;
        let prompt = self.prompt(&text, images)?;
        Ok(Prepared { text, prompt })
    }

    /// A prompt from rendered text and images that are ready.
    ///
    /// # Errors
    /// Places and images do not match.
    pub fn prompt(&self, text: &str, images: Vec<Patches>) -> Result<Prompt, RecognizerError> {
        let grids: Vec<Grid> = images.iter().map(|image| image.grid).collect();
        let ids = self.encode(text, &grids)?;
        let merge = self.config.vision.spatial_merge_size;
        let positions = Positions::of_prompt(&ids, self.config.tokens.image, &grids, merge)?;
        let images = images.into_iter().map(Arc::new).collect();
        Ok(Prompt { ids, positions, images, ..Prompt::default() })
    }

    /// The tokens that end an answer: those of the generation config, or else the model's own.
    #[must_use]
    pub fn stop_ids(&self) -> Vec<u32> {
        let ids = self.generation.eos_token_id.ids();
        if ids.is_empty() { self.config.eos_token_id.ids() } else { ids }
    }
}

impl Recognizer {
    /// Joins a checkpoint's files and its weights.
    #[must_use]
    pub fn new(processor: Processor, model: VisionLanguageModel) -> Self {
        Self { model, processor }
    }

    /// The weights.
    #[must_use]
    pub fn model(&self) -> &VisionLanguageModel {
        &self.model
    }

    /// Everything but the weights.
    #[must_use]
    pub fn processor(&self) -> &Processor {
        &self.processor
    }

    /// Gives the weights back.
    #[must_use]
    pub fn into_parts(self) -> (Processor, VisionLanguageModel) {
        (self.processor, self.model)
    }

    /// Reads a prompt and begins to answer it.
    ///
    /// # Errors
    /// The prompt does not fit the context.
    pub fn answer(
        &self,
        prepared: &Prepared,
        options: &AnswerOptions,
    ) -> Result<Answer<'_>, RecognizerError> {
        let stop = StopRules {
            ids: self.processor.stop_ids(),
            strings: options.stop_strings.clone(),
            max_new_tokens: options.max_new_tokens,
        };
        let options = SessionOptions { sampling: options.sampling.clone(), stop, answers: 1 };
        let session = Session::begin(
            &self.model,
            &self.processor.config,
            &self.processor.tokenizer,
            &[&prepared.prompt],
            options,
        )?;
        Ok(Answer {
            session,
            reasoning: ReasoningStream::new(),
            token_ids: Vec::new(),
            text: String::new(),
            stop: StopReason::Length,
        })
    }

    /// Scores a continuation of a prompt, token by token.
    ///
    /// # Errors
    /// The continuation is empty, spells a placeholder of pictures, does not fit the context, or the
    /// device failed.
    pub async fn score(&self, prepared: &Prepared, continuation: &str) -> Result<Score, RecognizerError> {
        let token_ids = self.processor.tokenizer.encode(continuation)?;
        let prompt = &prepared.prompt;
        let context = self.processor.config.text.max_position_embeddings;
        let (asked, continued) = (prompt.ids.len(), token_ids.len());
        if asked + continued > context {
            let (prompt, continuation) = (asked, continued);
            return Err(RecognizerError::ScoreTooLong { prompt, continuation, context });
        }
        let tokens = &self.processor.config.tokens;
        self.processor.refuse_placeholder("continuation", &token_ids, &[tokens.image, tokens.video])?;
        if prompt.ids.is_empty() {
            return Err(GenerateError::EmptyPrompt.into());
        }
        if token_ids.is_empty() {
            return Err(RecognizerError::EmptyContinuation);
        }
        let mut whole = prompt.clone();
        whole.ids.extend(&token_ids);
        whole.positions.push_text(token_ids.len());
        let log_probs = log_probs(&self.model, &self.processor.config, &whole, &token_ids)
            .await
            .map_err(GenerateError::Device)?;
        if log_probs.iter().any(|log_prob| !log_prob.is_finite()) {
            return Err(GenerateError::NotANumber.into());
        }
        Ok(Score { token_ids, log_probs })
    }
}

/// Log-probabilities of a prompt's last tokens, each given all before it.
async fn log_probs(
    model: &VisionLanguageModel,
    config: &ModelConfig,
    whole: &Prompt,
    tail: &[u32],
) -> Result<Vec<f32>, ExecutionError> {
    let embedded = model.embed(&[whole], PaddingSide::Right, config);
    let states = model.read(embedded, None, config);
    let [_, seq, hidden] = states.dims();
    let count = tail.len();
    let states = states.narrow(1, seq - count - 1, count).reshape([count, hidden]);
    let ids: Vec<i32> = tail.iter().map(|id| *id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [count, 1]), &model.device());
    let data = log_softmax(model.logits(states), 1).gather(1, ids).into_data_async().await?;
    Ok(data.iter::<f32>().collect())
}

/// An answer in the making; dropping it cancels.
#[derive(Debug)]
pub struct Answer<'model> {
    session: Session<'model>,
    reasoning: ReasoningStream,
    token_ids: Vec<u32>,
    text: String,
    stop: StopReason,
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Thought and answer taken apart.
    pub transcript: Transcript,
    /// The last pieces of text that were held back while they could still become a tag.
    pub last_events: Vec<ReasoningEvent>,
    /// All text.
    pub text: String,
    /// All tokens, the end token included.
    pub token_ids: Vec<u32>,
    /// Why it ended.
    pub stop: StopReason,
}

impl Answer<'_> {
    /// The events of the next token; `None` once the answer is complete.
    ///
    /// # Errors
    /// The device failed.
    pub async fn next(&mut self) -> Result<Option<Vec<ReasoningEvent>>, RecognizerError> {
        if self.session.is_finished() {
            return Ok(None);
        }
        let mut events = Vec::new();
        for step in self.session.step().await? {
            self.token_ids.push(step.id);
            self.text.push_str(&step.text);
            if let Some(stop) = step.stop {
                self.stop = stop;
            }
            events.extend(self.reasoning.push(&step.text));
        }
        Ok(Some(events))
    }

    /// Tokens so far.
    #[must_use]
    pub fn new_tokens(&self) -> usize {
        self.token_ids.len()
    }

    /// The whole answer; what was said so far, if it is not complete.
    #[must_use]
    pub fn finish(self) -> Outcome {
        let (last_events, transcript) = self.reasoning.finish();
        Outcome { transcript, last_events, text: self.text, token_ids: self.token_ids, stop: self.stop }
    }
}

/// The chat template from wherever the checkpoint keeps it; where it is in several places, from the one
/// that transformers 5 takes.
fn template_source(files: &CheckpointFiles) -> Result<String, RecognizerError> {
    for (file, text) in [
        ("processor_config.json", &files.processor),
        ("chat_template.json", &files.template_json),
        ("chat_template.jinja", &files.template_jinja),
        ("tokenizer_config.json", &files.tokenizer_config),
    ] {
        let Some(text) = text else { continue };
        if file == "chat_template.jinja" {
            return Ok(text.clone());
        }
        let fields: serde_json::Value =
            serde_json::from_str(text).map_err(|source| ConfigError::Json { file, source })?;
        let template = match fields.get("chat_template") {
            Some(serde_json::Value::Array(named)) => named
                .iter()
                .find(|entry| entry.get("name").and_then(|name| name.as_str()) == Some("default"))
                .and_then(|entry| entry.get("template")),
            other => other,
        };
        if let Some(template) = template.and_then(|template| template.as_str()) {
            return Ok(template.to_owned());
        }
    }
    Err(RecognizerError::TemplateMissing)
}
