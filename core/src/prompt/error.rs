//! Everything that can be wrong with a conversation, a chat template or a tokenizer file.
//!
//! Every error has its facts in fields, a lower-case message, and a remedy in [`PromptError::hint`].

/// What went wrong between a conversation and its token ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The text of the conversation is not JSON.
    #[error("the messages are not JSON: {reason}")]
    MessagesSyntax {
        /// What the JSON reader said, with line and column.
        reason: String,
    },
    /// The JSON of the conversation has the wrong shape somewhere.
    #[error("{at}: expected {expected}, found {found}")]
    MessagesShape {
        /// Where, for example `messages[2].content[0].text`.
        at: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A message is spoken by somebody the model was not trained to hear.
    #[error("messages[{message}].role: expected system, user or assistant, found {found:?}")]
    UnknownRole {
        /// Index of the message.
        message: usize,
        /// The role as written.
        found: String,
    },
    /// A part of a message is a video.
    #[error("messages[{message}].content[{part}]: video parts are not supported")]
    VideoPart {
        /// Index of the message.
        message: usize,
        /// Index of the part inside the message.
        part: usize,
    },
    /// The chat template does not parse.
    #[error("the chat template does not parse at line {line}: {reason}")]
    TemplateSyntax {
        /// Line of the template, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// The chat template called `raise_exception`.
    #[error("the chat template refuses these messages: {message}")]
    TemplateRefusal {
        /// What the template said.
        message: String,
    },
    /// The chat template called `strftime_now`.
    #[error("the chat template asks for the current time with strftime_now({format:?})")]
    TemplateClock {
        /// The format that the template asked for.
        format: String,
    },
    /// The chat template failed while it was rendered.
    #[error("the chat template fails at line {line}: {reason}")]
    TemplateRender {
        /// Line of the template, from 1.
        line: usize,
        /// What the renderer said.
        reason: String,
    },
    /// The text has another number of image placeholders than there are images.
    #[error("the text has {placeholders} image placeholders, but {images} images were given")]
    PlaceholderCount {
        /// How often the image token stands in the text.
        placeholders: usize,
        /// How many images were given.
        images: usize,
    },
    /// The image token is the empty string.
    #[error("the image token is empty")]
    EmptyImageToken,
    /// The bytes are not a tokenizer.
    #[error("not a tokenizer.json: {reason}")]
    TokenizerFile {
        /// What the reader said.
        reason: String,
    },
    /// The tokenizer cannot encode a text.
    #[error("the tokenizer cannot encode the text: {reason}")]
    Encode {
        /// What the tokenizer said.
        reason: String,
    },
    /// The tokenizer cannot decode these ids.
    #[error("the tokenizer cannot decode the ids: {reason}")]
    Decode {
        /// What the tokenizer said.
        reason: String,
    },
}

impl PromptError {
    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::MessagesSyntax { .. } | Self::MessagesShape { .. } => {
                r#"messages look like [{"role": "user", "content": [{"type": "image", "image": "bird.jpg"}, {"type": "text", "text": "Which bird is this?"}]}]"#
            }
            Self::UnknownRole { .. } => {
                "the model knows no tools; put what a tool or another speaker said into a user message"
            }
            Self::VideoPart { .. } => "send single frames of the video as image parts",
            Self::TemplateSyntax { .. } | Self::TemplateRender { .. } => {
                "use the chat_template that was published with the checkpoint"
            }
            Self::TemplateRefusal { .. } => {
                "change the messages as the template asks; most templates want user and assistant to alternate"
            }
            Self::TemplateClock { .. } => {
                "no clock is read here; write the date into the system message and take strftime_now out of the template"
            }
            Self::PlaceholderCount { placeholders, images } => {
                if placeholders > images {
                    "there are more image placeholders than images; give the missing images, and keep the image token out of the text parts"
                } else {
                    "there are fewer image placeholders than images; add an image part for every image"
                }
            }
            Self::EmptyImageToken => "take the image token from the checkpoint's tokenizer",
            Self::TokenizerFile { .. } => {
                "download the checkpoint's tokenizer.json again, whole; vocab.json and merges.txt alone are not enough"
            }
            Self::Encode { .. } | Self::Decode { .. } => {
                "check that tokenizer.json belongs to this checkpoint"
            }
        }
    }
}
