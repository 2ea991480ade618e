//! Text to tokens. Comments and blanks vanish; literal forms with their own inner syntax (`dynamic({…})`,
//! `datetime(2020-01-01)`) become one token each.

use weir_contract::schema::ColumnType;

use super::{literal, quoted};
use crate::diagnostic::{Diagnostic, Span};
use crate::scalar::Scalar;

#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    /// A word: keyword, name, or type.
    Word(String),
    Text(String),
    /// A number, timespan or typed literal.
    Literal(Scalar),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
    End,
}

/// Longest first, so that the first match is the right one.
const SYMBOLS: &[&str] = &[
    "!in~", "=~", "!~", "==", "!=", "<>", "<=", ">=", "=>", "..", "in~", "<", ">", "=", "+", "-", "*", "/", "%", "(",
    ")", "[", "]", "{", "}", ",", ";", "|", ".", ":", "!", "?", "~", "&", "@",
];

/// A text's tokens, and what stands between them.
pub(crate) struct Lexed {
    /// The last one is [`TokenKind::End`].
    pub(crate) tokens: Vec<Token>,
    /// `// …`, without the line's end.
    pub(crate) comments: Vec<Span>,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Splits `source` into tokens. What is no token is reported and left out.
pub(crate) fn lex(source: &str) -> Lexed {
    let mut lexed = Lexed { tokens: Vec::new(), comments: Vec::new(), errors: Vec::new() };
    let mut position = 0;
    while position < source.len() {
        let rest = &source[position..];
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() || first == '\u{feff}' {
            position += first.len_utf8();
            continue;
        }
        if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            lexed.comments.push(position..position + rest[..length].trim_end().len());
            position += length;
            continue;
        }
        match token(source, position, first) {
            Ok((kind, length)) => {
                lexed.tokens.push(Token { kind, span: position..position + length });
                position += length;
            }
            Err(error) => {
                // A text without an end takes its line with it; anything else only itself.
                let unclosed = first == '"' || first == '\'' || matches!(first, 'h' | 'H' | '@' | '`' | '~');
                let line = rest.find('\n').unwrap_or(rest.len()).max(first.len_utf8());
                let length = if unclosed { line } else { error.span.len().max(first.len_utf8()) };
                lexed.errors.push(error);
                // The rest is not read: a bracket or text without an end is searched for up to the end of the query,
                // so thousands of them would take seconds.
                let length = if lexed.errors.len() == MAX_ERRORS { rest.len() } else { length };
                let span = position..position + length;
                lexed.tokens.push(Token { kind: TokenKind::Word(String::new()), span });
                position += length;
            }
        }
    }
    let end = source.len();
    lexed.tokens.push(Token { kind: TokenKind::End, span: end..end });
    lexed
}

/// Most errors that are reported.
const MAX_ERRORS: usize = 20;

fn token(source: &str, position: usize, first: char) -> Result<(TokenKind, usize), Diagnostic> {
    let rest = &source[position..];
    if let Some(parsed) = quoted::string(rest) {
        let (text, length) = parsed.map_err(|message| Diagnostic::error(position..position + 1, message))?;
        return Ok((TokenKind::Text(text), length));
    }
    if first.is_ascii_digit() {
        let (scalar, length) =
            number(rest).map_err(|(message, length)| Diagnostic::error(position..position + length, message))?;
        return Ok((TokenKind::Literal(scalar), length));
    }
    if rest.starts_with("in~") {
        return Ok((TokenKind::Symbol("in~"), 3));
    }
    if first.is_alphabetic() || first == '_' || first == '$' {
        let length = word_length(rest);
        let word = &rest[..length];
        if let Some(ty) = typed_literal(word)
            && let Some(open) = rest[length..].find(|c: char| !c.is_whitespace())
            && rest[length + open..].starts_with('(')
        {
            let inner_start = length + open + 1;
            let inner_length = balanced(&rest[inner_start..]).ok_or_else(|| {
                Diagnostic::error(position..position + inner_start, format!("`{word}(` is never closed"))
            })?;
            let inner = &rest[inner_start..inner_start + inner_length];
            let span = position..position + inner_start + inner_length + 1;
            let scalar = literal::typed(ty, inner.trim())
                .ok_or_else(|| Diagnostic::error(span.clone(), format!("`{}` is no {word} literal", inner.trim())))?;
            return Ok((TokenKind::Literal(scalar), span.len()));
        }
        return Ok((TokenKind::Word(word.to_owned()), length));
    }
    match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        Some(symbol) => Ok((TokenKind::Symbol(symbol), symbol.len())),
        None => Err(Diagnostic::error(
            position..position + first.len_utf8(),
            format!("unexpected character `{}`", first.escape_default()),
        )),
    }
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(text.len())
}

/// The types whose parentheses hold literal text rather than an expression.
fn typed_literal(word: &str) -> Option<ColumnType> {
    Some(match word {
        "dynamic" => ColumnType::Dynamic,
        "datetime" | "date" => ColumnType::Datetime,
        "timespan" | "time" => ColumnType::Timespan,
        "guid" => ColumnType::Guid,
        "int" => ColumnType::Int,
        "long" => ColumnType::Long,
        "real" | "double" | "decimal" => ColumnType::Real,
        "bool" | "boolean" => ColumnType::Bool,
        _ => return None,
    })
}

/// Quotes within one literal that begin no text. Each is searched for its end up to the end of the line, so a literal of
/// nothing else would take the square of its length.
const MAX_BROKEN_TEXTS: usize = 16;

/// Length of `text` up to the `)` that closes an already opened parenthesis; quotes are skipped over.
fn balanced(text: &str) -> Option<usize> {
    let mut depth = 1;
    let mut broken = 0;
    let mut position = 0;
    while position < text.len() {
        let rest = &text[position..];
        match quoted::string(rest) {
            Some(Ok((_, length))) => {
                position += length;
                continue;
            }
            Some(Err(_)) if broken == MAX_BROKEN_TEXTS => return None,
            Some(Err(_)) => broken += 1,
            None => {}
        }
        let c = rest.chars().next()?;
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(position);
        }
        position += c.len_utf8();
    }
    None
}

/// Reads a number or timespan at the start of `text`.
fn number(text: &str) -> Result<(Scalar, usize), (String, usize)> {
    let bytes = text.as_bytes();
    if text.starts_with("0x") || text.starts_with("0X") {
        let length = 2 + text[2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        return match u64::from_str_radix(&text[2..length], 16) {
            Ok(value) => Ok((Scalar::Long(value.cast_signed()), length)),
            Err(_) => Err(("the number does not fit into 64 bits".into(), length)),
        };
    }
    let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut length = digits(0);
    let mut real = false;
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1) != Some(&b'.') && digits(length + 1) > 0 {
        real = true;
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        if digits(length + 1 + sign) > 0 {
            real = true;
            length += 1 + sign + digits(length + 1 + sign);
        }
    }
    let unit_length = text[length..].bytes().take_while(u8::is_ascii_alphanumeric).count();
    if unit_length > 0 {
        let unit = &text[length..length + unit_length];
        return match literal::timespan_of(&text[..length], unit) {
            Some(micros) => Ok((Scalar::Timespan(micros), length + unit_length)),
            None => Err((format!("`{unit}` is no unit of time; expected d, h, m, s, ms"), length + unit_length)),
        };
    }
    let digits = &text[..length];
    let scalar = if real { digits.parse().ok().map(Scalar::Real) } else { digits.parse().ok().map(Scalar::Long) };
    scalar.map(|scalar| (scalar, length)).ok_or(("the number does not fit into 64 bits".into(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_of_broken_texts_is_given_up_soon() {
        // Before, each quote of each literal was searched for its end: minutes for a text of this size.
        let source = "bool(".repeat(MAX_ERRORS) + &"'\\[".repeat(20_000);
        assert_eq!(lex(&source).errors.len(), MAX_ERRORS);
    }

    fn kinds(source: &str) -> Vec<TokenKind> {
        let lexed = lex(source);
        assert!(lexed.errors.is_empty(), "{source}");
        let mut kinds: Vec<_> = lexed.tokens.into_iter().map(|token| token.kind).collect();
        kinds.pop();
        kinds
    }

    #[test]
    fn every_form_of_text_is_read() {
        for (source, text) in [
            (r#""a\tb\\\"""#, "a\tb\\\""),
            (r#"@"C:\x""y""#, "C:\\x\"y"),
            ("'it''s'", "it"),
            ("h'secret'", "secret"),
            ("```a\nb```", "a\nb"),
            (r#""\u00e9\x41\101""#, "éAA"),
        ] {
            assert_eq!(kinds(source)[0], TokenKind::Text(text.into()), "{source}");
        }
    }

    #[test]
    fn numbers_ranges_and_timespans_do_not_mix() {
        assert_eq!(
            kinds("1..2"),
            [TokenKind::Literal(Scalar::Long(1)), TokenKind::Symbol(".."), TokenKind::Literal(Scalar::Long(2))]
        );
        assert_eq!(kinds("1.5h"), [TokenKind::Literal(Scalar::Timespan(5_400_000_000))]);
        assert_eq!(kinds("0xff"), [TokenKind::Literal(Scalar::Long(255))]);
        assert_eq!(lex("99999999999999999999").errors.len(), 1);
        assert_eq!(lex("5parsecs + 'x\n 7light").errors.len(), 3);
    }

    #[test]
    fn brackets_that_never_close_take_no_quadratic_time() {
        let started = std::time::Instant::now();
        for open in ["int (int ", "dynamic(", "datetime(dynamic({'a': ", "```x``"] {
            let lexed = lex(&open.repeat(50_000 / open.len()));
            assert!((1..=MAX_ERRORS).contains(&lexed.errors.len()), "{open}");
        }
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}
