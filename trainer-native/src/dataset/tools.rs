//! Calls of tools as text, in the words of Qwen's templates: tools are told in the system message, calls are
//! part of what the assistant says, and answers of tools stand where a user speaks.
//!
//! <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/tool_utils.py>, `QwenToolUtils`.
//! Where we differ: arguments that are the text of a JSON object, as OpenAI's format has them, are written as
//! that object, not as a text within the text.

use super::{Cell, RowError, cell::kind};
use fine_r1_core::prompt::{Content, Message, Part, Role, dumps};
use serde_json::{Value, json};

/// What the template says where a row has tools and no system message.
const DEFAULT_SYSTEM: &str = "You are a helpful assistant.";

/// Tells of the tools of a row at the end of its system message. None are told where the list is empty.
///
/// # Errors
/// The field holds no list of tools.
pub fn introduce(messages: &mut Vec<Message>, field: &str, tools: &Cell) -> Result<(), RowError> {
    let error = || RowError::Tools { field: field.to_owned(), found: kind(Some(tools)) };
    let tools = match tools {
        Cell::Text(text) if text.trim().is_empty() => return Ok(()),
        Cell::Text(text) => serde_json::from_str(text).ok(),
        other => other.to_json(),
    };
    let tools = tools.as_ref().and_then(Value::as_array).ok_or_else(error)?;
    if tools.is_empty() {
        return Ok(());
    }
    let line = |tool: &Value| match tool.as_object()?.get("type") {
        Some(kind) if kind == "function" => Some(format!("\n{}", dumps(tool))),
        _ => Some(format!("\n{}", dumps(&json!({ "type": "function", "function": tool })))),
    };
    let list = tools.iter().map(line).collect::<Option<String>>().ok_or_else(error)?;
    let told = format!(
        "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with \
         function signatures within <tools></tools> XML tags:\n<tools>{list}\n</tools>\n\nFor each function call, \
         return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n\
         <tool_call>\n{{\"name\": <function-name>, \"arguments\": <args-json-object>}}\n</tool_call>"
    );
    if messages.first().is_none_or(|message| message.role != Role::System) {
        messages.insert(0, Message::text(Role::System, DEFAULT_SYSTEM));
    }
    let system = std::mem::replace(&mut messages[0].content, Content::Text(String::new()));
    messages[0].content = join([system, Content::Text(told)]);
    Ok(())
}

/// What the assistant writes to call tools: an object with `name` and `arguments` or a list of them, as
/// text, after a thought if there is one.
#[must_use]
pub fn calls_of_text(text: &str) -> Option<String> {
    let split = text.split_once("<think>").and_then(|(before, rest)| {
        let (thought, after) = rest.split_once("</think>")?;
        Some((format!("<think>{thought}</think>"), format!("{before}{after}")))
    });
    let (thought, calls) = split.unwrap_or_else(|| (String::new(), text.to_owned()));
    let calls = match serde_json::from_str(&calls).ok()? {
        Value::Array(calls) => calls,
        call => vec![call],
    };
    Some(thought + &write_calls(&calls)?)
}

/// The same of OpenAI's `tool_calls`: objects whose `function` has `name` and `arguments`.
#[must_use]
pub fn calls_of_list(calls: &[Cell]) -> Option<String> {
    let calls = calls.iter().map(|call| call.get("function")?.to_json()).collect::<Option<Vec<_>>>()?;
    write_calls(&calls)
}

fn write_calls(calls: &[Value]) -> Option<String> {
    let write = |call: &Value| {
        let arguments = match call.get("arguments")? {
            Value::String(text) => match serde_json::from_str(text) {
                Ok(object @ Value::Object(_)) => object,
                _ => Value::String(text.clone()),
            },
            arguments => arguments.clone(),
        };
        let call = json!({ "name": call.get("name")?.as_str()?, "arguments": arguments });
        Some(format!("<tool_call>\n{}\n</tool_call>", dumps(&call)))
    };
    Some(calls.iter().map(write).collect::<Option<Vec<_>>>()?.join("\n"))
}

/// What a tool answered, as it is shown to the model.
#[must_use]
pub fn response(content: Content) -> Content {
    let tag = |text: &str| Content::Text(text.to_owned());
    join([tag("<tool_response>\n"), content, tag("\n</tool_response>")])
}

/// The answer of another tool below those before.
#[must_use]
pub fn responses(before: Content, response: Content) -> Content {
    join([before, Content::Text("\n".to_owned()), response])
}

/// Contents one after another: one text where there are no images.
fn join<const N: usize>(contents: [Content; N]) -> Content {
    let mut parts: Vec<Part> = Vec::new();
    let pieces = contents.into_iter().flat_map(|content| match content {
        Content::Text(text) => vec![Part::Text { text }],
        Content::Parts(parts) => parts,
    });
    for piece in pieces {
        match (parts.last_mut(), piece) {
            (Some(Part::Text { text }), Part::Text { text: more }) => text.push_str(&more),
            (_, piece) => parts.push(piece),
        }
    }
    match parts.as_mut_slice() {
        [Part::Text { text }] => Content::Text(std::mem::take(text)),
        _ => Content::Parts(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_written_as_the_template_has_them() {
        let one = r#"{"name": "find", "arguments": {"text": "é\n", "limit": 3, "tags": ["a", "b"]}}"#;
        let written = format!("<tool_call>\n{one}\n</tool_call>");
        assert_eq!(calls_of_text(one), Some(written.clone()));
        assert_eq!(calls_of_text(&format!("[{one},{one}]")), Some(format!("{written}\n{written}")));
        assert_eq!(
            calls_of_text(&format!("<think>Hm.</think>{one}")),
            Some(format!("<think>Hm.</think>{written}"))
        );
        let call: Cell =
            json!({ "type": "function", "function": { "name": "f", "arguments": "{\"a\":1}" } }).into();
        assert_eq!(
            calls_of_list(&[call]).as_deref(),
            Some("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>")
        );
        for broken in ["no JSON", r#"{"name": "f"}"#, r#"{"name": 3, "arguments": {}}"#, "[3]"] {
            assert_eq!(calls_of_text(broken), None, "{broken}");
        }
    }

    #[test]
    fn tools_stand_at_the_end_of_the_system_message() {
        let tool = r#"{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}"#;
        let list = Cell::Text(format!("[{}]", tool.replace(": ", ":")));
        let expected = |system: &str| {
            format!(
                "{system}\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{{\"type\": \"function\", \"function\": {tool}}}\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{{\"name\": <function-name>, \"arguments\": <args-json-object>}}\n</tool_call>"
            )
        };
        for (system, shown) in [(None, DEFAULT_SYSTEM), (Some("Be kind."), "Be kind.")] {
            let mut messages: Vec<_> =
                system.map(|text| Message::text(Role::System, text)).into_iter().collect();
            introduce(&mut messages, "tools", &list).expect("tools");
            assert_eq!(messages, [Message::text(Role::System, expected(shown))]);
        }
        for none in ["", "[]"] {
            let mut messages = Vec::new();
            introduce(&mut messages, "tools", &Cell::Text(none.into())).expect("no tools");
            assert_eq!(messages, []);
        }
        for broken in
            [Cell::Text("{".into()), Cell::Text("{}".into()), Cell::Text("[3]".into()), Cell::Bool(true)]
        {
            let error = introduce(&mut Vec::new(), "tools", &broken).expect_err("no tools");
            assert!(error.to_string().contains("`tools` has"), "{error}");
        }
    }
}
