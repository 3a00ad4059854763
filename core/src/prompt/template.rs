//! The checkpoint's own chat template: messages in, the text that the model was trained on out.
//!
//! Jinja is set up as transformers sets it up:
//! <https://github.com/huggingface/transformers/blob/5e43e2e892453b405ce6d2cb94387b3a3213f30a/src/transformers/utils/chat_template_utils.py>.
//! Two things differ on purpose: `strftime_now` is refused, because no clock is read here, and the
//! `{% generation %}` block of transformers does not parse.

use std::{collections::BTreeMap, error::Error as _};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, context,
    value::{Kwargs, ValueKind},
};
use minijinja_contrib::pycompat;
use serde_json::ser::PrettyFormatter;

use super::{Message, PromptError, python};

/// What to ask of a chat template besides the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Open the assistant's turn at the end, so that the model answers.
    pub add_generation_prompt: bool,
    /// Number the images: "Picture 1: " and so on.
    pub add_vision_id: bool,
}

impl Default for RenderOptions {
    /// A question that waits for its answer, with images that are not numbered.
    fn default() -> Self {
        Self { add_generation_prompt: true, add_vision_id: false }
    }
}

/// A chat template that parsed.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: String,
    environment: Environment<'static>,
    special_tokens: BTreeMap<String, String>,
}

impl ChatTemplate {
    /// Parses the Jinja source, as it stands under `chat_template` in the checkpoint.
    pub fn new(source: String) -> Result<Self, PromptError> {
        let environment = environment();
        environment.template_from_str(&source).map_err(|error| PromptError::TemplateSyntax {
            line: error.line().unwrap_or(1),
            reason: reason(&error),
        })?;
        Ok(Self { source, environment, special_tokens: BTreeMap::new() })
    }

    /// Lets the template see special tokens by name: `("bos_token", "<s>")`.
    pub fn with_special_tokens<Name: Into<String>, Token: Into<String>>(
        mut self,
        tokens: impl IntoIterator<Item = (Name, Token)>,
    ) -> Self {
        self.special_tokens.extend(tokens.into_iter().map(|(name, token)| (name.into(), token.into())));
        self
    }

    /// The Jinja source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes the messages down as the model was trained to read them.
    pub fn render(&self, messages: &[Message], options: &RenderOptions) -> Result<String, PromptError> {
        let nothing = Value::from(());
        self.environment
            .template_from_str(&self.source)
            .and_then(|template| {
                template.render(context! {
                    messages => messages,
                    tools => nothing,
                    documents => nothing,
                    add_generation_prompt => options.add_generation_prompt,
                    add_vision_id => options.add_vision_id,
                    ..Value::from_serialize(&self.special_tokens)
                })
            })
            .map_err(|error| render_error(&error))
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(false);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(python::write_value);
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment
}

/// What a template can ask for that ends the rendering; travels as the source of a Jinja error.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("{message}")]
    Refusal { message: String },
    #[error("strftime_now({format:?})")]
    Clock { format: String },
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(stop(Stop::Refusal { message: message.to_string() }))
}

fn strftime_now(format: &Value) -> Result<Value, Error> {
    Err(stop(Stop::Clock { format: format.to_string() }))
}

fn stop(stop: Stop) -> Error {
    Error::new(ErrorKind::InvalidOperation, "the template ended the rendering").with_source(stop)
}

fn render_error(error: &Error) -> PromptError {
    let mut cause = error.source();
    while let Some(source) = cause {
        match source.downcast_ref::<Stop>() {
            Some(Stop::Refusal { message }) => {
                return PromptError::TemplateRefusal { message: message.clone() };
            }
            Some(Stop::Clock { format }) => {
                return PromptError::TemplateClock { format: format.clone() };
            }
            None => cause = source.source(),
        }
    }
    PromptError::TemplateRender { line: error.line().unwrap_or(1), reason: reason(error) }
}

fn reason(error: &Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}

/// `json.dumps(value, ensure_ascii=False, …)`: nothing is escaped for HTML, and a space stands
/// after commas and colons.
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let sort_keys: Option<bool> = options.get("sort_keys")?;
    let ensure_ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    if ensure_ascii == Some(true) {
        return Err(Error::new(ErrorKind::InvalidOperation, "tojson(ensure_ascii=true) is not supported"));
    }
    if value.kind() == ValueKind::Undefined {
        return Err(Error::new(ErrorKind::UndefinedError, "tojson of an undefined value"));
    }
    let mut json = serde_json::to_value(value).map_err(not_json)?;
    if sort_keys == Some(true) {
        json.sort_all_objects();
    }
    Ok(match indent {
        Some(indent) => {
            python::dumps_with(&json, PrettyFormatter::with_indent(" ".repeat(indent).as_bytes()))
        }
        None => python::dumps(&json),
    })
}

fn not_json(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::BadSerialization, "tojson of a value that JSON cannot hold").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{Part, Role};

    /// Says what the published template of Qwen2-VL and Qwen2.5-VL says, in its own layout; the
    /// expected texts below are what jinja2 3.1 makes of the published one.
    const VISION: &str = "\
{% set pictures = namespace(count=0) %}
{% for message in messages %}
    {% if loop.first and message['role'] != 'system' %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' ~ message['role'] ~ '\\n' }}
    {%- if message['content'] is string %}
        {{- message['content'] }}
    {%- else %}
        {%- for part in message['content'] %}
            {%- if part['type'] == 'image' or 'image' in part or 'image_url' in part %}
                {%- set pictures.count = pictures.count + 1 %}
                {%- if add_vision_id %}{{ 'Picture ' ~ pictures.count ~ ': ' }}{% endif %}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
            {%- elif 'text' in part %}
                {{- part['text'] }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
";

    /// Says what the text template of Qwen2.5 says where no tools are given.
    const TEXT: &str = "\
{%- if tools %}
    {{- raise_exception('no tools here') }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == 'user') or (message.role == 'system' and not loop.first) or (message.role == 'assistant' and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
";

    fn render(source: &str, messages: &[Message], options: &RenderOptions) -> String {
        ChatTemplate::new(source.to_owned()).unwrap().render(messages, options).unwrap()
    }

    fn render_hello(source: &str) -> Result<String, PromptError> {
        ChatTemplate::new(source.to_owned())?
            .render(&[Message::text(Role::User, "hello")], &RenderOptions::default())
    }

    #[test]
    fn a_picture_and_a_question() {
        let messages = [Message::user([Part::image("bird.jpg"), Part::text("Which <bird> & 'why'?")])];
        let rendered = render(VISION, &messages, &RenderOptions::default());
        assert_eq!(
            rendered,
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n\
             <|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Which <bird> & 'why'?<|im_end|>\n\
             <|im_start|>assistant\n"
        );
    }

    #[test]
    fn pictures_are_numbered_through_the_whole_conversation() {
        let messages = [
            Message::text(Role::System, "Be exact."),
            Message::user([
                Part::image("a"),
                Part::text("and "),
                Part::unnamed_image(),
                Part::text("\n  same?\n"),
            ]),
            Message::text(Role::Assistant, "No."),
            Message::user([Part::text("And "), Part::image("c")]),
        ];
        let options = RenderOptions { add_generation_prompt: false, add_vision_id: true };
        assert_eq!(
            render(VISION, &messages, &options),
            "<|im_start|>system\nBe exact.<|im_end|>\n\
             <|im_start|>user\nPicture 1: <|vision_start|><|image_pad|><|vision_end|>and \
             Picture 2: <|vision_start|><|image_pad|><|vision_end|>\n  same?\n<|im_end|>\n\
             <|im_start|>assistant\nNo.<|im_end|>\n\
             <|im_start|>user\nAnd Picture 3: <|vision_start|><|image_pad|><|vision_end|><|im_end|>\n"
        );
    }

    #[test]
    fn a_template_without_pictures() {
        let question = [Message::text(Role::User, "hi")];
        assert_eq!(
            render(TEXT, &question, &RenderOptions::default()),
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n\
             <|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        );
        let conversation = [
            Message::text(Role::System, "Be exact."),
            Message::text(Role::User, "hi"),
            Message::text(Role::Assistant, "Hello."),
        ];
        let options = RenderOptions { add_generation_prompt: false, add_vision_id: false };
        assert_eq!(
            render(TEXT, &conversation, &options),
            "<|im_start|>system\nBe exact.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n\
             <|im_start|>assistant\nHello.<|im_end|>\n"
        );
    }

    #[test]
    fn the_text_of_a_message_is_never_read_as_a_template() {
        let messages = [Message::text(Role::User, "{{ messages }} {% raw %}")];
        assert_eq!(
            render("{{ messages[0].content }}", &messages, &RenderOptions::default()),
            "{{ messages }} {% raw %}"
        );
    }

    #[test]
    fn blocks_take_their_line_with_them_and_the_last_newline_goes() {
        let source = "a\n  {% if true %}\nb\n  {% endif %}\nc\n";
        assert_eq!(render_hello(source).unwrap(), "a\nb\nc");
    }

    #[test]
    fn python_methods_loop_controls_and_undefined_names() {
        let source = "\
{%- for letter in messages[0].content -%}
{%- if letter == 'e' %}{% continue %}{% endif -%}
{%- if letter == 'o' %}{% break %}{% endif -%}
{{ letter.upper() }}
{%- endfor -%}
{{ ' x '.strip() }}{{ 'a</think>b'.split('</think>')[-1].lstrip('\\n') }}
{{- messages[0].get('name', '-') }}[{{ missing }}]{{ messages[::-1][0]['role'] }}";
        assert_eq!(render_hello(source).unwrap(), "HLLxb-[]user");
    }

    #[test]
    fn special_tokens_have_names() {
        let template = ChatTemplate::new("{{ bos_token }}{{ eos_token }}".to_owned())
            .unwrap()
            .with_special_tokens([("bos_token", "<s>")]);
        assert_eq!(template.render(&[], &RenderOptions::default()).unwrap(), "<s>");
    }

    #[test]
    fn json_is_spelled_as_python_spells_it() {
        let cases = [
            ("{{ messages | tojson }}", r#"[{"role": "user", "content": "hello"}]"#),
            (
                "{{ {'b': [1, 'é<&>\\'', true], 'a': none} | tojson }}",
                r#"{"b": [1, "é<&>'", true], "a": null}"#,
            ),
            (
                "{{ {'b': [], 'a': {}} | tojson(sort_keys=true, ensure_ascii=false) }}",
                r#"{"a": {}, "b": []}"#,
            ),
            ("{{ {'a': [1, 2]} | tojson(indent=2) }}", "{\n  \"a\": [\n    1,\n    2\n  ]\n}"),
        ];
        for (source, expected) in cases {
            assert_eq!(render_hello(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn a_template_can_refuse() {
        let source = "{% macro check() %}{{ raise_exception('roles must ' ~ 'alternate') }}{% endmacro %}\n{{ check() }}";
        assert_eq!(
            render_hello(source).unwrap_err(),
            PromptError::TemplateRefusal { message: "roles must alternate".to_owned() }
        );
    }

    #[test]
    fn a_template_cannot_ask_for_the_time() {
        assert_eq!(
            render_hello("{{ strftime_now('%d %b %Y') }}").unwrap_err(),
            PromptError::TemplateClock { format: "%d %b %Y".to_owned() }
        );
    }

    #[test]
    fn errors_name_the_line() {
        assert!(matches!(
            ChatTemplate::new("a\n{% if %}".to_owned()).unwrap_err(),
            PromptError::TemplateSyntax { line: 2, .. }
        ));
        assert!(matches!(
            render_hello("a\n\n{{ missing.name }}").unwrap_err(),
            PromptError::TemplateRender { line: 3, .. }
        ));
    }
}
