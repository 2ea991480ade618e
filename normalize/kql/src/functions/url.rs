//! URLs, paths, CSV lines: text taken apart.

use std::collections::BTreeMap;

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Dynamic, String as Str};

use super::args::Args;
use super::arrays::write_list;
use super::{Function, Returns, Want, function};
use crate::json::write_string;

const T1: &[Want] = &[Want::Str];

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "parse_url",
        T1,
        Returns::Ty(Dynamic),
        |args| {
            let a = args.text(0);
            args.texts(|row, out| parse_url(a.get(row), out))
        },
        "`parse_url(text)`: Scheme, Host, Port, Path, Username, Password, Query Parameters, Fragment",
    ),
    function(
        "parse_urlquery",
        T1,
        Returns::Ty(Dynamic),
        |args| {
            let a = args.text(0);
            args.texts(|row, out| {
                out.push_str("{\"Query Parameters\":");
                write_query(a.get(row).trim_start_matches('?'), out);
                out.push('}');
            })
        },
        "`parse_urlquery(text)`: Query Parameters",
    ),
    function(
        "url_decode",
        T1,
        Returns::Ty(Str),
        |args| {
            let a = args.text(0);
            args.texts(|row, out| decode(a.get(row), out))
        },
        "`url_decode(text)`: `%41` and `+` decoded",
    ),
    function(
        "url_encode",
        T1,
        Returns::Ty(Str),
        |args| encode(args, true),
        "`url_encode(text)`: percent encoding, a blank becomes `+`",
    ),
    function(
        "url_encode_component",
        T1,
        Returns::Ty(Str),
        |args| encode(args, false),
        "`url_encode_component(text)`: percent encoding, a blank becomes `%20`",
    ),
    function(
        "parse_path",
        T1,
        Returns::Ty(Dynamic),
        |args| {
            let a = args.text(0);
            args.texts(|row, out| parse_path(a.get(row), out))
        },
        "`parse_path(text)`: Scheme, RootPath, DirectoryPath, DirectoryName, Filename, Extension, AlternateDataStreamName",
    ),
    function(
        "parse_csv",
        T1,
        Returns::Ty(Dynamic),
        |args| {
            let a = args.text(0);
            args.texts(|row, out| parse_csv(a.get(row), out))
        },
        "`parse_csv(text)`: an array of the first line's fields",
    ),
    function(
        "parse_version",
        T1,
        Returns::Ty(weir_contract::schema::ColumnType::Real),
        |args| {
            let a = args.text(0);
            args.reals(|row| parse_version(a.get(row)))
        },
        "`parse_version(text)`: a number that orders up to four parts of eight digits",
    ),
    function(
        "parse_command_line",
        &[Want::Text, Want::Str],
        Returns::Ty(Dynamic),
        |args| {
            let (a, kind) = (args.text(0), args.text(1));
            args.opt_texts(|row, out| {
                let known = kind.get(row).eq_ignore_ascii_case("windows");
                if known {
                    let words = command_line(a.get(row));
                    write_words(&words, out);
                }
                known
            })
        },
        "`parse_command_line(text, \"Windows\")`: an array of the arguments",
    ),
];

fn write_words(words: &[String], out: &mut String) {
    out.push('[');
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write_string(out, word);
    }
    out.push(']');
}

fn member(out: &mut String, name: &str, value: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    write_string(out, name);
    out.push(':');
    write_string(out, value);
}

/// `scheme://[user:password@]host[:port][path][?query][#fragment]`; of any other text, all parts are empty.
///
/// Nothing is decoded. A user without a password belongs to the host, and a path of one slash that ends the text is empty
/// (as Microsoft's emulator does it, by duckdb-kql's measurements).
fn parse_url(text: &str, out: &mut String) {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("", ""),
    };
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.find('/').map_or(rest, |slash| &rest[..slash]);
    let account = authority.split_once('@').and_then(|(account, _)| account.split_once(':'));
    let ((username, password), rest) = match account {
        Some((name, password)) => ((name, password), &rest[name.len() + password.len() + 2..]),
        None => (("", ""), rest),
    };
    let (host, rest) = rest.split_at(match rest.find(']').filter(|_| rest.starts_with('[')) {
        Some(bracket) => bracket + 1,
        None => rest.find([':', '/']).unwrap_or(rest.len()),
    });
    let (port, path) = match rest.strip_prefix(':') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
        None => ("", rest),
    };
    let path = if path == "/" && text.ends_with('/') { "" } else { path };
    out.push('{');
    for (name, value) in [
        ("Scheme", scheme),
        ("Host", host),
        ("Port", port),
        ("Path", path),
        ("Username", username),
        ("Password", password),
    ] {
        member(out, name, value);
    }
    out.push_str(",\"Query Parameters\":{");
    // By name; what is named several times has an array.
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if !name.is_empty() && !value.is_empty() {
            values.entry(name).or_default().push(value);
        }
    }
    for (number, (name, values)) in values.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        match values.as_slice() {
            [value] => write_string(out, value),
            values => {
                let mut items = Vec::with_capacity(values.len());
                for value in values {
                    let mut item = String::new();
                    write_string(&mut item, value);
                    items.push(item);
                }
                write_list(out, items.iter().map(String::as_str));
            }
        }
    }
    out.push('}');
    member(out, "Fragment", fragment);
    out.push('}');
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-'))
}

fn write_query(query: &str, out: &mut String) {
    out.push('{');
    let mut first = true;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !first {
            out.push(',');
        }
        first = false;
        let (mut decoded_name, mut decoded_value) = (String::new(), String::new());
        decode(name, &mut decoded_name);
        decode(value, &mut decoded_value);
        write_string(out, &decoded_name);
        out.push(':');
        write_string(out, &decoded_value);
    }
    out.push('}');
}

fn decode(text: &str, out: &mut String) {
    if !text.contains(['%', '+']) {
        out.push_str(text);
        return;
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let escape = (bytes[position] == b'%')
            .then(|| text.get(position + 1..position + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[position], escape) {
            (_, Some(byte)) => {
                decoded.push(byte);
                position += 3;
            }
            (b'+', _) => {
                decoded.push(b' ');
                position += 1;
            }
            (byte, _) => {
                decoded.push(byte);
                position += 1;
            }
        }
    }
    out.push_str(&String::from_utf8_lossy(&decoded));
}

fn encode(args: &Args<'_>, plus: bool) -> ArrayRef {
    let a = args.text(0);
    args.texts(|row, out| {
        for byte in a.get(row).bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
                b'!' | b'*' | b'(' | b')' if plus => out.push(char::from(byte)),
                b'~' if !plus => out.push('~'),
                b' ' if plus => out.push('+'),
                byte => {
                    let digits = if plus { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
                    out.push_str(&digits);
                }
            }
        }
    })
}

fn parse_path(text: &str, out: &mut String) {
    let (scheme, path) = match text.split_once("://") {
        Some((scheme, path)) => (scheme, path),
        None => ("", text),
    };
    let root = match path.as_bytes() {
        [drive, b':', ..] if drive.is_ascii_alphabetic() => &path[..2],
        _ => "",
    };
    let last = path.rfind(['/', '\\']);
    let (directory, file) = last.map_or(("", path), |last| (&path[..last], &path[last + 1..]));
    let (file, stream) = match file.split_once(':') {
        Some((file, stream)) if last.is_some() => (file, stream),
        _ => (file, ""),
    };
    let directory_name = directory.rsplit(['/', '\\']).next().unwrap_or("");
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    out.push('{');
    for (name, value) in [
        ("Scheme", scheme),
        ("RootPath", root),
        ("DirectoryPath", directory),
        ("DirectoryName", directory_name),
        ("Filename", file),
        ("Extension", extension),
        ("AlternateDataStreamName", stream),
    ] {
        member(out, name, value);
    }
    out.push('}');
}

fn parse_csv(text: &str, out: &mut String) {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            '\n' if !quoted => break,
            '\r' if !quoted && matches!(chars.peek(), Some('\n') | None) => {}
            c => field.push(c),
        }
    }
    fields.push(field);
    write_words(&fields, out);
}

fn parse_version(text: &str) -> Option<f64> {
    let mut parts = text.trim().split('.');
    let mut value = 0.0;
    for _ in 0..4 {
        let part = match parts.next() {
            Some(part) if part.len() <= 8 => part.parse::<u32>().ok()?,
            Some(_) => return None,
            None => 0,
        };
        value = value * 1e8 + f64::from(part);
    }
    parts.next().is_none().then_some(value)
}

/// Splits as Windows does (CommandLineToArgvW): quotes group, backslashes escape only before a quote.
fn command_line(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut backslashes = 0;
    for c in text.chars() {
        if c == '\\' {
            backslashes += 1;
            continue;
        }
        let current = word.take();
        let pending = std::mem::take(&mut backslashes);
        if c == '"' {
            let mut current = current.unwrap_or_default();
            current.extend(std::iter::repeat_n('\\', pending / 2));
            if pending % 2 == 1 {
                current.push('"');
            } else {
                quoted = !quoted;
            }
            word = Some(current);
            continue;
        }
        let mut current = current;
        if pending > 0 {
            current.get_or_insert_default().extend(std::iter::repeat_n('\\', pending));
        }
        if c.is_whitespace() && !quoted {
            words.extend(current);
        } else {
            current.get_or_insert_default().push(c);
            word = current;
        }
    }
    if backslashes > 0 {
        word.get_or_insert_default().extend(std::iter::repeat_n('\\', backslashes));
    }
    words.extend(word);
    words
}
