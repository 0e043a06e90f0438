//! How does this model expect a conversation to be written?
//!
//! Renders the chat template that the GGUF file carries. The template never sees what the messages say:
//! it places a marker for each, and the contents are encoded apart, as data. So no content can end a turn
//! or open another. Deliberately absent: tools, and templates given by anyone but the model file.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, ErrorKind, State};

use crate::error::{Error, Result};
use crate::tokenizer::{Tokenizer, Tokens};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Standing instructions.
    System,
    /// The question.
    User,
    /// The model.
    Assistant,
}

/// A stretch of a message. Text and data are encoded without special tokens; the difference is for readers
/// and for the seams: parts are encoded one by one, so data cannot change how the words around it are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words of ours.
    Text(String),
    /// Words from logs, users or anywhere else.
    Data(String),
    /// A marker that this program was written with, such as `<tool_call>`: one special token where the model has it.
    Marker(&'static str),
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
}

impl Turn {
    /// A message of plain text of ours.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::Text(text.into())] }
    }
}

/// Enough for any real template and a long conversation; a template that loops stops here.
const FUEL: u64 = 1_000_000;
const MAX_RENDERED: usize = 1 << 20;
const NAME: &str = "chat";

pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    marker: String,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    pub(crate) fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        // As transformers renders them, which is what templates are written for.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|error| failed(&error))?;
        environment.set_syntax(syntax);
        environment.set_unknown_method_callback(method);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        // A fixed day: the same conversation must always be the same tokens.
        environment.add_function("strftime_now", |_: String| "26 Jul 2024");
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| failed(&error))?;
        let mut marker = "casemate-part".to_owned();
        while source.contains(&marker) {
            marker.push('-');
        }
        Ok(Self { environment, marker, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// The tokens of a conversation, ready for the assistant to go on when `open_assistant`.
    pub(crate) fn encode(
        &self,
        tokenizer: &Tokenizer,
        turns: &[Turn],
        open_assistant: bool,
    ) -> Result<Tokens> {
        let rendered = self.render(turns, open_assistant)?;
        let mut tokens = Tokens::new();
        let mut placed = vec![false; turns.len()];
        let marker = self.marker_start();
        let mut pieces = rendered.split(marker.as_str());
        tokenizer.encode_template(pieces.next().unwrap_or_default(), &mut tokens)?;
        for piece in pieces {
            let (index, rest) = piece.split_once('\u{1}').unwrap_or((piece, ""));
            let index = index.parse::<usize>().ok().filter(|index| placed.get(*index) == Some(&false));
            let Some(turn) = index.and_then(|index| turns.get(index)) else {
                return Err(Error::Template(
                    "it alters or repeats messages: use another model file".to_owned(),
                ));
            };
            if let Some(placed) = index.and_then(|index| placed.get_mut(index)) {
                *placed = true;
            }
            for part in &turn.parts {
                match part {
                    Part::Text(text) | Part::Data(text) => tokenizer.encode_part(text, &mut tokens)?,
                    Part::Marker(name) => tokenizer.encode_template(name, &mut tokens)?,
                }
            }
            tokenizer.encode_template(rest, &mut tokens)?;
        }
        if let Some(index) = placed.iter().position(|placed| !placed) {
            return Err(Error::Template(format!(
                "it leaves out message {index}: order or merge the messages differently"
            )));
        }
        if tokenizer.add_bos
            && let Some(bos) = tokenizer.bos
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        Ok(tokens)
    }

    fn marker_start(&self) -> String {
        format!("\u{1}{}:", self.marker)
    }

    fn render(&self, turns: &[Turn], open_assistant: bool) -> Result<String> {
        let message = |(index, turn): (usize, &Turn)| {
            let role = match turn.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            let content = format!("{}{index}\u{1}", self.marker_start());
            Value::from(BTreeMap::from([("role", Value::from(role)), ("content", Value::from(content))]))
        };
        let messages: Vec<Value> = turns.iter().enumerate().map(message).collect();
        let context = Value::from(BTreeMap::from([
            ("messages", Value::from(messages)),
            ("add_generation_prompt", Value::from(open_assistant)),
            ("bos_token", Value::from(self.bos.as_str())),
            ("eos_token", Value::from(self.eos.as_str())),
        ]));
        let template = self.environment.get_template(NAME).map_err(|error| failed(&error))?;
        let rendered = template.render(context).map_err(|error| failed(&error))?;
        if rendered.len() > MAX_RENDERED {
            return Err(Error::Template(format!(
                "it renders to {} bytes: use another model file",
                rendered.len()
            )));
        }
        Ok(rendered)
    }
}

fn failed(error: &minijinja::Error) -> Error {
    let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    Error::Template(format!("{}{line}", error.detail().map_or_else(|| error.to_string(), str::to_owned)))
}

/// JSON as Python's `json.dumps(..., ensure_ascii=False)`: nothing escaped for HTML.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands filters their own arguments")]
fn to_json(value: &Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.get::<Option<bool>>("ensure_ascii")?;
    options.assert_all_used()?;
    let json = match indent {
        Some(_) => serde_json::to_string_pretty(value),
        None => serde_json::to_string(value),
    };
    json.map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// The methods of Python's `str` and `dict` that templates use.
fn method(_: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, minijinja::Error> {
    let unknown = || {
        minijinja::Error::new(ErrorKind::UnknownMethod, format!("no method '{name}' with these arguments"))
    };
    if let Some(text) = value.as_str() {
        let argument = |index: usize| arguments.get(index).and_then(Value::as_str);
        let set: Vec<char> =
            argument(0).map_or_else(|| vec![' ', '\t', '\n', '\r'], |set| set.chars().collect());
        return Ok(match (name, argument(0), argument(1)) {
            ("strip", ..) => text.trim_matches(set.as_slice()).into(),
            ("lstrip", ..) => text.trim_start_matches(set.as_slice()).into(),
            ("rstrip", ..) => text.trim_end_matches(set.as_slice()).into(),
            ("upper", None, _) => text.to_uppercase().into(),
            ("lower", None, _) => text.to_lowercase().into(),
            ("startswith", Some(start), _) => text.starts_with(start).into(),
            ("endswith", Some(end), _) => text.ends_with(end).into(),
            ("split", Some(by), _) if !by.is_empty() => text.split(by).map(Value::from).collect(),
            ("split", None, _) => text.split_whitespace().map(Value::from).collect(),
            ("replace", Some(from), Some(to)) => text.replace(from, to).into(),
            _ => return Err(unknown()),
        });
    }
    match (name, arguments) {
        ("keys", []) => Ok(value.try_iter()?.collect()),
        ("values", []) => value.try_iter()?.map(|key| value.get_item(&key)).collect(),
        ("items", []) => {
            value.try_iter()?.map(|key| Ok(Value::from(vec![key.clone(), value.get_item(&key)?]))).collect()
        }
        ("get", [key, rest @ ..]) => {
            let found = value.get_item(key)?;
            Ok(if found.is_undefined() {
                rest.first().cloned().unwrap_or_else(|| Value::from(()))
            } else {
                found
            })
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &str) {
        let template = ChatTemplate::new(source, "<s>", "</s>").unwrap();
        let turns = [Turn::text(Role::System, "unseen"), Turn::text(Role::User, "unseen")];
        let rendered = template.render(&turns, true).unwrap();
        assert_eq!(rendered.replace('\u{1}', "|"), expected, "{source}");
    }

    #[test]
    fn templates_see_markers_only() {
        check(
            "{% for m in messages %}{{ m.role }}={{ m['content'] }};{% endfor %}",
            "system=|casemate-part:0|;user=|casemate-part:1|;",
        );
        check("{{ bos_token }}{{ messages[0].content | trim }}", "<s>|casemate-part:0|");
        check("{{ messages[1].content.strip() }}", "|casemate-part:1|");
        check("{% if add_generation_prompt %}go{% endif %}", "go");
        check("{% if tools %}tools{% endif %}{{ {'a': '<b>'} | tojson }}", r#"{"a":"<b>"}"#);
        check("{{ {'a': 1}.items() | length }}{{ 'a,b'.split(',')[1] }}{{ {'a': 1}.get('b', 2) }}", "1b2");
    }

    /// What the templates of the families do, each in a line.
    #[test]
    fn families_render() {
        // gemma: the system's words before the first user's, roles renamed.
        check(
            "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- if messages[0]['content'] is string -%}\
             {%- set before = messages[0]['content'] + '\\n\\n' -%}{%- endif -%}{%- set rest = messages[1:] -%}\
             {%- endif -%}{%- for m in rest -%}{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}\
             {{ raise_exception('order') }}{%- endif -%}{{ '<start_of_turn>' + m['role'] + '\\n' + (before if \
             loop.first else '') }}{{ m['content'] | trim }}{%- endfor -%}",
            "<s><start_of_turn>user\n|casemate-part:0|\n\n|casemate-part:1|",
        );
        // qwen3: the last question found from the end.
        check(
            "{%- set ns = namespace(open=true, last=messages|length - 1) %}{%- for m in messages[::-1] %}\
             {%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.open and m.role == 'user' and \
             m.content is string and not(m.content.startswith('<tool_response>') and \
             m.content.endswith('</tool_response>')) %}{%- set ns.open = false %}{%- set ns.last = index %}\
             {%- endif %}{%- endfor %}{{ ns.last }}{%- if enable_thinking is defined and enable_thinking is \
             false %}off{%- endif %}{{ messages[0].content.split('</think>')[-1].lstrip('\\n') }}",
            "1|casemate-part:0|",
        );
        // llama 3: dates, tools that are not there, defaults.
        check(
            "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}\
             {%- if not tools is defined %}{%- set tools = none %}{%- endif %}{{ date_string }}\
             {%- if tools is not none %}tools{%- endif %}{%- set system = messages[0]['content']|trim %}\
             {{- '<|start_header_id|>' + messages[0]['role'] + '<|end_header_id|>\\n\\n' + system }}",
            "26 Jul 2024<|start_header_id|>system<|end_header_id|>\n\n|casemate-part:0|",
        );
        // mistral and phi3: pairs, and what the last message gets.
        check(
            "{%- for m in messages | rejectattr('role', 'equalto', 'system') | list %}\
             {%- if m.role == 'user' %}{{ '[INST] ' ~ m.content ~ ' [/INST]' }}{%- elif loop.last %}\
             {{ eos_token }}{%- endif %}{%- endfor %}{%- for m in messages %}{%- if m['role'] in \
             ['system', 'user'] %}{{ '<|' + m['role'] + '|>\\n' }}{%- endif %}{%- endfor %}",
            "[INST] |casemate-part:1| [/INST]<|system|>\n<|user|>\n",
        );
    }

    #[test]
    fn hostile_templates_are_errors() {
        for source in [
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}",
            "{{ raise_exception('no') }}",
            "{{ messages[0].content.no_such() }}",
        ] {
            let template = ChatTemplate::new(source, "", "").unwrap();
            let error = template.render(&[Turn::text(Role::User, "x")], true).unwrap_err();
            assert!(matches!(error, Error::Template(_)), "{error}");
        }
        assert!(ChatTemplate::new("{% if %}", "", "").is_err());
    }
}
