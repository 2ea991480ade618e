//! The stand-in's own interface under `/stand-in/`: rules, roles, faults, counters, rows, tokens.
//!
//! JSON in and out; docs/stand-in.md describes it. Errors are 400 or 404 with `{"error": "…"}` that says what to do.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::counters::{TableCounters, Totals};
use crate::faults::Fault;
use crate::page;
use crate::workspace::Workspace;

/// Rows of one answer unless `limit` says otherwise.
const DEFAULT_LIMIT: usize = 100;

/// `PUT /stand-in/rules`: loads a rule, or an array of rules.
pub(crate) async fn put_rules(State(workspace): State<Workspace>, body: Bytes) -> Response<Body> {
    let rule: Value = match serde_json::from_slice(&body) {
        Ok(rule) => rule,
        Err(cause) => return wrong(StatusCode::BAD_REQUEST, &format!("the body is no JSON: {cause}")),
    };
    match workspace.add_rule(&rule) {
        Ok(mut loaded) if loaded.len() == 1 && rule.is_object() => answer(StatusCode::OK, &loaded.remove(0)),
        Ok(loaded) => answer(StatusCode::OK, &loaded),
        Err(error) => {
            let body = json!({"error": {
                "code": "InvalidPayload", "message": "Data collection rule is invalid", "details": error.problems,
            }});
            answer(StatusCode::BAD_REQUEST, &body)
        }
    }
}

/// `GET /stand-in/rules`.
pub(crate) async fn get_rules(State(workspace): State<Workspace>) -> Response<Body> {
    answer(StatusCode::OK, &workspace.rules())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    granted: bool,
}

/// `PUT /stand-in/rules/{id}/role` with `{"granted": false}`.
pub(crate) async fn put_role(
    State(workspace): State<Workspace>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response<Body> {
    match serde_json::from_slice::<Role>(&body) {
        Ok(role) if workspace.set_role(&id, role.granted) => no_content(),
        Ok(_) => wrong(StatusCode::NOT_FOUND, &format!("no rule `{id}`; GET /stand-in/rules lists them")),
        Err(cause) => wrong(StatusCode::BAD_REQUEST, &format!("send {{\"granted\": true}} or false: {cause}")),
    }
}

/// `POST /stand-in/faults`: appends a list of faults, or one, to the script.
pub(crate) async fn post_faults(State(workspace): State<Workspace>, body: Bytes) -> Response<Body> {
    let is_one = body.trim_ascii_start().starts_with(b"{");
    let faults =
        if is_one { serde_json::from_slice(&body).map(|fault| vec![fault]) } else { serde_json::from_slice(&body) };
    match faults {
        Ok::<Vec<Fault>, _>(faults) => {
            workspace.script_faults(faults);
            no_content()
        }
        Err(cause) => wrong(StatusCode::BAD_REQUEST, &format!("the body is no list of faults: {cause}")),
    }
}

/// `GET /stand-in/faults`: those still to come.
pub(crate) async fn get_faults(State(workspace): State<Workspace>) -> Response<Body> {
    answer(StatusCode::OK, &workspace.faults_left())
}

/// `DELETE /stand-in/faults`.
pub(crate) async fn delete_faults(State(workspace): State<Workspace>) -> Response<Body> {
    workspace.clear_faults();
    no_content()
}

#[derive(Serialize)]
struct Overview {
    tables: BTreeMap<String, TableCounters>,
    totals: Totals,
}

/// `GET /stand-in/tables`.
pub(crate) async fn get_tables(State(workspace): State<Workspace>) -> Response<Body> {
    answer(StatusCode::OK, &Overview { tables: workspace.tables(), totals: workspace.totals() })
}

/// What `GET /stand-in/tables/{table}/rows` asks for.
#[derive(Debug, PartialEq, Eq)]
struct RowQuery {
    limit: usize,
    offset: usize,
    /// Column and value; all must match.
    conditions: Vec<(String, String)>,
}

/// `GET /stand-in/tables/{table}/rows?limit=&offset=&where=Column:value`.
pub(crate) async fn get_rows(
    State(workspace): State<Workspace>,
    Path(table): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = match read_row_query(&query.unwrap_or_default()) {
        Ok(query) => query,
        Err(cause) => return wrong(StatusCode::BAD_REQUEST, &cause),
    };
    if !workspace.tables().contains_key(&table) {
        let known: Vec<String> = workspace.tables().into_keys().collect();
        let text = format!("no rule names a table `{table}`; there are: {}", known.join(", "));
        return wrong(StatusCode::NOT_FOUND, &text);
    }
    let rows = workspace.counters(&table).rows;
    let text = workspace.with_rows(&table, |kept_rows| {
        let (mut kept, mut matching, mut page) = (0usize, 0usize, String::new());
        for row in kept_rows {
            kept += 1;
            if !query.conditions.is_empty() && !matches(row, &query.conditions) {
                continue;
            }
            if matching >= query.offset && matching - query.offset < query.limit {
                if !page.is_empty() {
                    page.push(',');
                }
                page.push_str(row);
            }
            matching += 1;
        }
        let name = Value::from(table.as_str());
        format!("{{\"table\":{name},\"total\":{rows},\"kept\":{kept},\"matching\":{matching},\"rows\":[{page}]}}")
    });
    json_text(StatusCode::OK, text)
}

/// `DELETE /stand-in/rows`: forgets rows and counters.
pub(crate) async fn delete_rows(State(workspace): State<Workspace>) -> Response<Body> {
    workspace.clear_rows();
    no_content()
}

/// `DELETE /stand-in/tokens`: makes all tokens invalid.
pub(crate) async fn delete_tokens(State(workspace): State<Workspace>) -> Response<Body> {
    workspace.revoke_tokens();
    no_content()
}

/// `GET /`: a page for people.
pub(crate) async fn get_page(State(workspace): State<Workspace>) -> Response<Body> {
    let mut page =
        Response::new(Body::from(page::render(&workspace.tables(), &workspace.totals(), &workspace.rules())));
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    page
}

fn read_row_query(query: &str) -> Result<RowQuery, String> {
    let mut wanted = RowQuery { limit: DEFAULT_LIMIT, offset: 0, conditions: Vec::new() };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let number = || value.parse().map_err(|_| format!("`{name}` must be a whole number, not `{value}`"));
        match name.as_ref() {
            "limit" => wanted.limit = number()?,
            "offset" => wanted.offset = number()?,
            "where" => {
                let (column, text) =
                    value.split_once(':').ok_or_else(|| format!("write `where=Column:value`, not `{value}`"))?;
                wanted.conditions.push((column.to_owned(), text.to_owned()));
            }
            _ => return Err(format!("no parameter `{name}`; there are limit, offset and where")),
        }
    }
    Ok(wanted)
}

/// Whether a stored row has all the values: strings by their text, other values by their JSON; an empty text also
/// matches a column that is null.
fn matches(row: &str, conditions: &[(String, String)]) -> bool {
    let row: Map<String, Value> = serde_json::from_str(row).expect("rows are stored as the JSON that we wrote");
    conditions.iter().all(|(column, wanted)| match row.get(column) {
        None | Some(Value::Null) => wanted.is_empty(),
        Some(Value::String(text)) => text == wanted,
        Some(value) => serde_json::to_string(value).is_ok_and(|text| text == *wanted),
    })
}

fn no_content() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

fn wrong(status: StatusCode, message: &str) -> Response<Body> {
    answer(status, &json!({ "error": message }))
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    match serde_json::to_string(body) {
        Ok(text) => json_text(status, text),
        Err(error) => json_text(StatusCode::INTERNAL_SERVER_ERROR, json!({"error": error.to_string()}).to_string()),
    }
}

fn json_text(status: StatusCode, text: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_queries_are_read_and_misspelt_ones_refused() {
        let query = read_row_query("limit=5&offset=2&where=Dvc:a%3Ab&where=EventCount:3").unwrap();
        let conditions = vec![("Dvc".to_owned(), "a:b".to_owned()), ("EventCount".to_owned(), "3".to_owned())];
        assert_eq!(query, RowQuery { limit: 5, offset: 2, conditions });
        for bad in ["limit=x", "where=Dvc", "top=5"] {
            assert!(read_row_query(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn conditions_compare_text_numbers_and_missing_columns() {
        let matches = |column: &str, value: &str| {
            matches(r#"{"A":"x:y","N":12,"D":{"k":1}}"#, &[(column.to_owned(), value.to_owned())])
        };
        assert!(matches("A", "x:y") && matches("N", "12") && matches("D", r#"{"k":1}"#) && matches("Z", ""));
        assert!(!matches("A", "x") && !matches("N", "1") && !matches("Z", "1"));
    }
}
