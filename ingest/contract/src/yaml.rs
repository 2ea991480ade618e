//! YAML with the line of every value: so that an error in a config or a mapping can name it.

use std::collections::HashMap;

use saphyr::Scalar;
use saphyr_parser::{Event, Parser, Span, StrInput};
use serde_json::{Map, Number, Value};

/// A parsed YAML document: its value as JSON knows it, and the line of every node.
#[derive(Debug, Clone)]
pub struct Document {
    /// The value. An empty document is `null`.
    pub value: Value,
    lines: HashMap<String, usize>,
}

/// Text that is no YAML document, or one that has no JSON counterpart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Document {
    /// Parses the first document of `text`.
    ///
    /// A key given twice and an alias are refused: both make a config mean something else than what a reader sees.
    pub fn parse(text: &str) -> Result<Self, YamlError> {
        let mut reader = Reader { events: Parser::new_from_str(text), lines: HashMap::new() };
        loop {
            let (event, span) = reader.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(Self { value: Value::Null, lines: reader.lines }),
                event => {
                    let value = reader.node(event, span, String::new(), 0)?;
                    return Ok(Self { value, lines: reader.lines });
                }
            }
        }
    }

    /// The line (from 1) of the node at a JSON pointer (RFC 6901), or of its nearest parent that is there.
    ///
    /// For an entry of a mapping this is the line of its key.
    pub fn line(&self, pointer: &str) -> usize {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.lines.get(pointer) {
                return *line;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return 1,
            }
        }
    }
}

/// Appends a key to a JSON pointer, escaped.
pub fn pointer_to(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Deeper nesting is refused: no config needs it, and each level takes stack.
const MAX_DEPTH: usize = 64;

struct Reader<'input> {
    events: Parser<'input, StrInput<'input>>,
    lines: HashMap<String, usize>,
}

impl<'input> Reader<'input> {
    fn next(&mut self) -> Result<(Event<'input>, Span), YamlError> {
        match self.events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(YamlError { line: error.marker().line(), message: error.info().to_owned() }),
            None => Err(YamlError { line: 1, message: "the document ends early".to_owned() }),
        }
    }

    fn node(&mut self, event: Event<'input>, span: Span, pointer: String, depth: usize) -> Result<Value, YamlError> {
        let line = span.start.line();
        let fail = |message: String| YamlError { line, message };
        if depth > MAX_DEPTH {
            return Err(fail(format!("more than {MAX_DEPTH} levels of nesting")));
        }
        self.lines.entry(pointer.clone()).or_insert(line);
        match event {
            Event::Scalar(text, style, _, tag) => Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref())
                .and_then(|scalar| convert_scalar(&scalar))
                .ok_or_else(|| fail("a value that does not fit its tag, or a number that JSON cannot hold".to_owned())),
            Event::SequenceStart(..) => {
                let mut values = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        return Ok(Value::Array(values));
                    }
                    values.push(self.node(event, span, format!("{pointer}/{}", values.len()), depth + 1)?);
                }
            }
            Event::MappingStart(..) => {
                let mut map = Map::new();
                loop {
                    let (event, span) = self.next()?;
                    let line = span.start.line();
                    let fail = |message: String| YamlError { line, message };
                    let name = match event {
                        Event::MappingEnd => return Ok(Value::Object(map)),
                        Event::Scalar(text, ..) => text.into_owned(),
                        _ => return Err(fail("a key that is no text".to_owned())),
                    };
                    if map.contains_key(&name) {
                        return Err(fail(format!("the key `{name}` stands here twice; keep one")));
                    }
                    let child = pointer_to(&pointer, &name);
                    self.lines.insert(child.clone(), line);
                    let (event, span) = self.next()?;
                    let value = self.node(event, span, child, depth + 1)?;
                    map.insert(name, value);
                }
            }
            Event::Alias(_) => Err(fail("an alias (`*name`); write the value out".to_owned())),
            other => Err(fail(format!("something unexpected ({other:?})"))),
        }
    }
}

fn convert_scalar(scalar: &Scalar<'_>) -> Option<Value> {
    Some(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::Number((*value).into()),
        Scalar::FloatingPoint(value) => Value::Number(Number::from_f64(value.into_inner())?),
        Scalar::String(text) => Value::String(text.clone().into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_its_line() {
        let text = "a: 1\nlist:\n  - x: yes please\n    y: |\n      first\n      second\n  - z: 2\n";
        let document = Document::parse(text).expect("valid");
        assert_eq!(document.value["list"][0]["y"], "first\nsecond\n");
        assert_eq!(document.line("/a"), 1);
        assert_eq!(document.line("/list"), 2);
        assert_eq!(document.line("/list/0/y"), 4);
        assert_eq!(document.line("/list/1"), 7);
        assert_eq!(document.line("/list/1/missing/deeper"), 7);
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let error = Document::parse("a: 1\nb: [1, 2\nc: 3\n").expect_err("invalid");
        assert!(error.line >= 2, "{error}");
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let error = Document::parse("a: 1\na: 2\n").expect_err("ambiguous");
        assert!(error.to_string().contains("twice"), "{error}");
    }
}
