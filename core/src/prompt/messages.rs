//! The conversation: messages of text and images, as Hugging Face chat templates expect them.
//!
//! Follows <https://github.com/huggingface/transformers/blob/16814c44251e8ef1059b53950799a214cefe2b36/docs/source/en/chat_templating_multimodal.md>;
//! image parts in the spelling of OpenAI (`image_url`) are read too.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use super::PromptError;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whoever set the model up.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        })
    }
}

/// One piece of a message.
///
/// Serialises to what a template looks at: `{"type": "image", "image": …}` or
/// `{"type": "text", "text": …}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// An image: its path or URL, or nothing where the image travels beside the messages.
    Image {
        /// Path or URL, as written.
        image: Option<String>,
    },
    /// A text.
    Text {
        /// The text itself.
        text: String,
    },
}

impl Part {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// An image part that says where its image is.
    pub fn image(image: impl Into<String>) -> Self {
        Self::Image { image: Some(image.into()) }
    }

    /// An image part whose image travels beside the messages.
    pub fn unnamed_image() -> Self {
        Self::Image { image: None }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Image { image } => {
                map.serialize_entry("type", "image")?;
                if let Some(image) = image {
                    map.serialize_entry("image", image)?;
                }
            }
            Self::Text { text } => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
            }
        }
        map.end()
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// A plain string.
    Text(String),
    /// Images and texts, in order.
    Parts(Vec<Part>),
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

impl Message {
    /// A plain text by `role`.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: Content::Text(text.into()) }
    }

    /// A question of images and texts.
    pub fn user(parts: impl IntoIterator<Item = Part>) -> Self {
        Self { role: Role::User, content: Content::Parts(parts.into_iter().collect()) }
    }

    /// The pieces of the message; a plain string has none.
    pub fn parts(&self) -> &[Part] {
        match &self.content {
            Content::Text(_) => &[],
            Content::Parts(parts) => parts,
        }
    }

    /// Where the images of this message are, in order; unnamed images are passed over.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.parts().iter().filter_map(|part| match part {
            Part::Image { image } => image.as_deref(),
            Part::Text { .. } => None,
        })
    }
}

/// Where the images of a conversation are, in order; unnamed images are passed over.
pub fn images(messages: &[Message]) -> impl Iterator<Item = &str> {
    messages.iter().flat_map(Message::images)
}

/// How many image parts a conversation has, named or unnamed.
pub fn image_count(messages: &[Message]) -> usize {
    messages.iter().flat_map(Message::parts).filter(|part| matches!(part, Part::Image { .. })).count()
}

/// Reads a conversation from JSON: a list of messages, or an object with the list under `messages`.
///
/// An image part says where its image is under `image`, `url` or `path` (the first of these that
/// is there), or says nothing; `{"type": "image_url", "image_url": {"url": …}}` means the same.
/// Keys that are not named here are passed over.
pub fn parse_messages(json: &str) -> Result<Vec<Message>, PromptError> {
    // Some editors begin a file with a mark of its encoding.
    let value: Value = serde_json::from_str(json.trim_start_matches('\u{feff}'))
        .map_err(|error| PromptError::MessagesSyntax { reason: error.to_string() })?;
    messages_from_value(&value)
}

/// Reads a conversation from JSON that is already parsed: see [`parse_messages`].
pub fn messages_from_value(value: &Value) -> Result<Vec<Message>, PromptError> {
    let expected = "a list of messages, or an object with a list under \"messages\"";
    let list = match value {
        Value::Object(object) => match object.get("messages") {
            Some(Value::Array(list)) => list,
            Some(other) => return Err(shape("messages", "a list of messages", describe(other))),
            None => return Err(shape("the conversation", expected, describe(value))),
        },
        Value::Array(list) => list,
        other => return Err(shape("the conversation", expected, describe(other))),
    };
    if list.is_empty() {
        return Err(shape("messages", "at least one message", describe(value)));
    }
    list.iter().enumerate().map(|(index, value)| message(index, value)).collect()
}

fn message(index: usize, value: &Value) -> Result<Message, PromptError> {
    let at = format!("messages[{index}]");
    let object = object(&at, "an object with \"role\" and \"content\"", value)?;
    let role = match string(object, &at, "role")? {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => {
            return Err(PromptError::UnknownRole { message: index, found: other.to_owned() });
        }
    };
    let content = match object.get("content") {
        Some(Value::String(text)) => Content::Text(text.clone()),
        Some(Value::Array(parts)) => Content::Parts(
            parts
                .iter()
                .enumerate()
                .map(|(number, value)| part(index, number, value))
                .collect::<Result<_, _>>()?,
        ),
        other => {
            return Err(shape(
                format!("{at}.content"),
                "a string or a list of parts",
                describe_option(other),
            ));
        }
    };
    Ok(Message { role, content })
}

fn part(message: usize, number: usize, value: &Value) -> Result<Part, PromptError> {
    let at = format!("messages[{message}].content[{number}]");
    let object = object(&at, "an object with \"type\"", value)?;
    match string(object, &at, "type")? {
        "text" => Ok(Part::text(string(object, &at, "text")?)),
        "image" => {
            let key = ["image", "url", "path"].into_iter().find(|key| object.contains_key(*key));
            match key {
                Some(key) => Ok(Part::image(string(object, &at, key)?)),
                None => Ok(Part::unnamed_image()),
            }
        }
        "image_url" => match object.get("image_url") {
            Some(Value::Object(inner)) => Ok(Part::image(string(inner, &format!("{at}.image_url"), "url")?)),
            Some(Value::String(url)) => Ok(Part::image(url)),
            other => Err(shape(format!("{at}.image_url"), "an object with \"url\"", describe_option(other))),
        },
        "video" | "video_url" => Err(PromptError::VideoPart { message, part: number }),
        other => Err(shape(format!("{at}.type"), "text, image or image_url", format!("{other:?}"))),
    }
}

fn object<'a>(
    at: &str,
    expected: &'static str,
    value: &'a Value,
) -> Result<&'a Map<String, Value>, PromptError> {
    value.as_object().ok_or_else(|| shape(at, expected, describe(value)))
}

fn string<'a>(object: &'a Map<String, Value>, at: &str, key: &str) -> Result<&'a str, PromptError> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text),
        other => Err(shape(format!("{at}.{key}"), "a string", describe_option(other))),
    }
}

fn shape(at: impl Into<String>, expected: &'static str, found: String) -> PromptError {
    PromptError::MessagesShape { at: at.into(), expected, found }
}

fn describe_option(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), describe)
}

fn describe(value: &Value) -> String {
    /// Longest piece of the user's own text in an error.
    const SHOWN_CHARS: usize = 40;

    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("{flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > SHOWN_CHARS => {
            let shown: String = text.chars().take(SHOWN_CHARS).collect();
            format!("the string {shown:?}…")
        }
        Value::String(text) => format!("the string {text:?}"),
        Value::Array(list) if list.is_empty() => "an empty list".to_owned(),
        Value::Array(list) => format!("a list of length {}", list.len()),
        Value::Object(object) if object.is_empty() => "an empty object".to_owned(),
        Value::Object(object) => {
            let keys: Vec<_> = object.keys().map(String::as_str).collect();
            format!("an object with {}", keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONVERSATION: &str = r#"[
        {"role": "system", "content": "Be exact."},
        {"role": "user", "content": [
            {"type": "image", "image": "a.jpg"},
            {"type": "image", "url": "https://b"},
            {"type": "image", "path": "c.png"},
            {"type": "image"},
            {"type": "image_url", "image_url": {"url": "data:d"}},
            {"type": "text", "text": "Which bird?"}
        ]},
        {"role": "assistant", "content": "A robin."}
    ]"#;

    #[test]
    fn reads_every_spelling_of_an_image() {
        let messages = parse_messages(CONVERSATION).unwrap();
        assert_eq!(messages[0], Message::text(Role::System, "Be exact."));
        assert_eq!(
            messages[1],
            Message::user([
                Part::image("a.jpg"),
                Part::image("https://b"),
                Part::image("c.png"),
                Part::unnamed_image(),
                Part::image("data:d"),
                Part::text("Which bird?"),
            ])
        );
        assert_eq!(images(&messages).collect::<Vec<_>>(), ["a.jpg", "https://b", "c.png", "data:d"]);
        assert_eq!(image_count(&messages), 5);
    }

    #[test]
    fn reads_a_list_under_messages() {
        assert_eq!(parse_messages(&format!("\u{feff}{CONVERSATION}")), parse_messages(CONVERSATION));
        let wrapped = format!(r#"{{"id": 7, "messages": {CONVERSATION}}}"#);
        assert_eq!(parse_messages(&wrapped), parse_messages(CONVERSATION));
    }

    #[test]
    fn writes_what_it_reads() {
        let messages = parse_messages(CONVERSATION).unwrap();
        let json = serde_json::to_string(&messages).unwrap();
        assert_eq!(parse_messages(&json).unwrap(), messages);
        assert!(json.contains(r#"{"type":"image","image":"a.jpg"}"#));
        assert!(json.contains(r#"{"type":"image"}"#));
        assert!(json.contains(r#"{"role":"assistant","content":"A robin."}"#));
    }

    #[test]
    fn says_where_what_and_what_instead() {
        let cases = [
            (
                "3",
                "the conversation: expected a list of messages, or an object with a list under \"messages\", found the number 3",
            ),
            (
                r#"{"prompt": "hi"}"#,
                "the conversation: expected a list of messages, or an object with a list under \"messages\", found an object with prompt",
            ),
            (r#"{"messages": "hi"}"#, "messages: expected a list of messages, found the string \"hi\""),
            ("[]", "messages: expected at least one message, found an empty list"),
            (
                r#"["hi"]"#,
                "messages[0]: expected an object with \"role\" and \"content\", found the string \"hi\"",
            ),
            (r#"[{"content": "hi"}]"#, "messages[0].role: expected a string, found nothing"),
            (
                r#"[{"role": "user", "content": "hi"}, {"role": "tool", "content": "hi"}]"#,
                "messages[1].role: expected system, user or assistant, found \"tool\"",
            ),
            (
                r#"[{"role": "user", "content": null}]"#,
                "messages[0].content: expected a string or a list of parts, found null",
            ),
            (
                r#"[{"role": "user", "content": ["hi"]}]"#,
                "messages[0].content[0]: expected an object with \"type\", found the string \"hi\"",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "text", "text": 1}]}]"#,
                "messages[0].content[0].text: expected a string, found the number 1",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "image", "image": {"bytes": []}}]}]"#,
                "messages[0].content[0].image: expected a string, found an object with bytes",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]"#,
                "messages[0].content[0].image_url.url: expected a string, found nothing",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "image_url"}]}]"#,
                "messages[0].content[0].image_url: expected an object with \"url\", found nothing",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "audio"}]}]"#,
                "messages[0].content[0].type: expected text, image or image_url, found \"audio\"",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "image"}, {"type": "video", "video": "v.mp4"}]}]"#,
                "messages[0].content[1]: video parts are not supported",
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(parse_messages(json).unwrap_err().to_string(), expected);
        }
        let error = parse_messages("[{").unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
