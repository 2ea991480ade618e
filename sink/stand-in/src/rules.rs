//! Data collection rules (DCRs): reading the JSON that ARM exports or takes, and refusing what ARM would refuse.
//!
//! A rule says which streams may be posted, with which columns, and into which table each stream flows. All faults of
//! a rule are reported at once, with ARM's codes where they are known. The stand-in runs no `transformKql` but
//! `source`: Weir shapes its rows before it sends them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tables::{ColumnType, NativeTable, custom_table, native_table};

/// Most stream declarations, data flows and destinations that a rule may have (each).
pub const MAX_PER_RULE: usize = 10;
/// Longest column name that Log Analytics takes, in characters.
const MAX_COLUMN_NAME: usize = 45;

/// A rule that was found good.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) immutable_id: String,
    /// ARM name, if the JSON had one.
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) streams: IndexMap<String, Stream>,
    /// What the service accepts but loses data by; told to the person who loads the rule.
    pub(crate) warnings: Vec<String>,
}

/// One stream that the rule takes in.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) columns: Vec<Column>,
    /// Position of each column in `columns`.
    pub(crate) index: HashMap<String, usize>,
    /// Tables that the stream flows into.
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: ColumnType,
}

/// A table that a stream flows into.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) table: String,
    pub(crate) native: &'static NativeTable,
    /// By column of the stream: whether the table stores it.
    pub(crate) stored: Vec<bool>,
    /// By column of the stream: whether the table forbids it.
    pub(crate) forbidden: Vec<bool>,
}

/// Why a rule was refused: every fault that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct RuleError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One fault of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// ARM's code, such as `InvalidOutputTable`, or `InvalidRule`.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
    /// Where in the JSON.
    pub target: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data collection rule is refused")?;
        for problem in &self.problems {
            write!(f, "; {} at {}: {}", problem.code, problem.target, problem.message)?;
        }
        Ok(())
    }
}

/// The parts of a rule's JSON that matter here; ARM's other properties are left alone.
#[derive(Deserialize)]
struct Document {
    name: Option<String>,
    kind: Option<String>,
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    immutable_id: Option<String>,
    #[serde(default)]
    stream_declarations: IndexMap<String, Declaration>,
    #[serde(default)]
    destinations: Destinations,
    #[serde(default)]
    data_flows: Vec<Flow>,
}

#[derive(Deserialize)]
struct Declaration {
    columns: Vec<DeclaredColumn>,
}

#[derive(Deserialize)]
struct DeclaredColumn {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Destinations {
    #[serde(default)]
    log_analytics: Vec<Destination>,
}

#[derive(Deserialize)]
struct Destination {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Flow {
    #[serde(default)]
    streams: Vec<String>,
    #[serde(default)]
    destinations: Vec<String>,
    transform_kql: Option<String>,
    transform: Option<Value>,
    output_stream: Option<String>,
}

impl Rule {
    /// Checks a rule's JSON. A rule without `properties.immutableId` gets `fresh_id`.
    pub(crate) fn read(json: &Value, fresh_id: String) -> Result<Self, RuleError> {
        let document = Document::deserialize(json).map_err(|cause| {
            let message = format!("the JSON does not have the shape of a data collection rule: {cause}");
            RuleError { problems: vec![Problem { code: "InvalidRule", message, target: "$".to_owned() }] }
        })?;
        let properties = document.properties;
        let mut problems = Problems::default();
        let mut warnings = Vec::new();

        problems.check_counts(&properties);
        let immutable_id = properties.immutable_id.unwrap_or(fresh_id);
        if !is_immutable_id(&immutable_id) {
            let message = format!("`{immutable_id}` is no immutable id; it is `dcr-` and 32 lower-case hex digits");
            problems.add("InvalidRule", message, "properties.immutableId".to_owned());
        }
        let mut streams = IndexMap::new();
        for (name, declaration) in properties.stream_declarations {
            let stream = problems.read_stream(&name, declaration);
            streams.insert(name, stream);
        }
        let destinations: HashSet<&str> =
            properties.destinations.log_analytics.iter().map(|destination| destination.name.as_str()).collect();
        for (at, flow) in properties.data_flows.iter().enumerate() {
            problems.read_flow(at, flow, &destinations, &mut streams, &mut warnings);
        }
        for (name, stream) in &streams {
            if stream.targets.is_empty() {
                warnings.push(format!("no data flow takes stream `{name}` in: what is posted to it goes nowhere"));
            }
        }
        if problems.0.is_empty() {
            Ok(Self { immutable_id, name: document.name, kind: document.kind, streams, warnings })
        } else {
            Err(RuleError { problems: problems.0 })
        }
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, code: &'static str, message: String, target: String) {
        self.0.push(Problem { code, message, target });
    }

    fn check_counts(&mut self, properties: &Properties) {
        let counts = [
            ("streamDeclarations", properties.stream_declarations.len()),
            ("dataFlows", properties.data_flows.len()),
            ("destinations.logAnalytics", properties.destinations.log_analytics.len()),
        ];
        for (part, count) in counts {
            let target = format!("properties.{part}");
            if count == 0 {
                self.add("InvalidRule", format!("`{part}` is missing or empty"), target);
            } else if count > MAX_PER_RULE {
                let message = format!("{count} entries; a rule has at most {MAX_PER_RULE}: use several rules");
                self.add("InvalidRule", message, target);
            }
        }
    }

    fn read_stream(&mut self, name: &str, declaration: Declaration) -> Stream {
        let target = format!("properties.streamDeclarations['{name}']");
        if !name.starts_with("Custom-") || name.len() == "Custom-".len() {
            let message = format!("stream '{name}' must begin with `Custom-`, such as `Custom-{name}`");
            self.add("InvalidStream", message, target.clone());
        }
        if declaration.columns.is_empty() {
            self.add("InvalidStream", format!("stream '{name}' declares no columns"), target.clone());
        }
        let mut stream = Stream { columns: Vec::new(), index: HashMap::new(), targets: Vec::new() };
        for column in declaration.columns {
            if !is_column_name(&column.name) {
                let message = format!(
                    "`{}` is no column name: a letter or `_`, then letters, digits and `_`, at most {MAX_COLUMN_NAME}",
                    column.name
                );
                self.add("InvalidStream", message, target.clone());
            }
            let Some(kind) = ColumnType::from_declaration(&column.kind) else {
                let message = format!(
                    "column `{}` has type `{}`; streams know string, int, long, real, boolean, datetime, dynamic",
                    column.name, column.kind
                );
                self.add("InvalidStream", message, target.clone());
                continue;
            };
            if stream.index.insert(column.name.clone(), stream.columns.len()).is_some() {
                self.add("InvalidStream", format!("column `{}` is declared twice", column.name), target.clone());
                continue;
            }
            stream.columns.push(Column { name: column.name, kind });
        }
        stream
    }

    fn read_flow(
        &mut self,
        at: usize,
        flow: &Flow,
        destinations: &HashSet<&str>,
        streams: &mut IndexMap<String, Stream>,
        warnings: &mut Vec<String>,
    ) {
        let target = format!("properties.dataFlows[{at}]");
        let transform = flow.transform_kql.as_deref().map_or("source", str::trim);
        if transform != "source" || flow.transform.is_some() {
            let message = "the stand-in runs no transformation: leave `transformKql` out or set it to `source`, and \
                           send rows in the shape of the table"
                .to_owned();
            self.add("InvalidTransformQuery", message, format!("{target}.transformKql"));
        }
        if flow.streams.is_empty() {
            self.add("InvalidRule", "the flow names no stream".to_owned(), format!("{target}.streams"));
        }
        if flow.transform_kql.is_some() && flow.streams.len() > 1 {
            let message = "a flow with a transformation takes exactly one stream".to_owned();
            self.add("InvalidRule", message, format!("{target}.streams"));
        }
        if flow.destinations.is_empty() {
            self.add("InvalidRule", "the flow names no destination".to_owned(), format!("{target}.destinations"));
        }
        for name in flow.destinations.iter().filter(|name| !destinations.contains(name.as_str())) {
            let message = format!("destination `{name}` is not among `destinations.logAnalytics`");
            self.add("InvalidRule", message, format!("{target}.destinations"));
        }
        for name in &flow.streams {
            let Some(stream) = streams.get_mut(name) else {
                let message = format!("'Streams' stream '{name}' must be a custom stream that the rule declares");
                self.add("InvalidStream", message, format!("{target}.streams"));
                continue;
            };
            let output = flow.output_stream.as_deref().unwrap_or(name);
            let native = output.strip_prefix("Microsoft-").and_then(|table| Some((table, native_table(table)?)));
            let custom = || output.strip_prefix("Custom-").and_then(|table| Some((table, custom_table(table)?)));
            let found = native.or_else(custom);
            let Some((table, native)) = found else {
                let destination = flow.destinations.first().map_or("", String::as_str);
                let message = format!(
                    "Table for output stream '{output}' is not available for destination '{destination}'; the \
                     stand-in has the native ASIM tables, such as `Microsoft-ASimProcessEventLogs`, and \
                     `Custom-ASimEmailEventLogs_CL`"
                );
                self.add("InvalidOutputTable", message, format!("{target}.outputStream"));
                continue;
            };
            self.check_types(stream, native, &target);
            for column in &stream.columns {
                if native.forbidden.contains(&column.name) {
                    warnings.push(format!(
                        "stream `{name}` declares `{}`, which {table} forbids (alias, constant or reserved): its \
                         values will be dropped",
                        column.name
                    ));
                } else if !native.columns.contains_key(&column.name) {
                    warnings.push(format!(
                        "stream `{name}` declares `{}`, a column that {table} does not have: its values will be dropped",
                        column.name
                    ));
                }
            }
            stream.targets.push(Target {
                table: table.to_owned(),
                native,
                stored: stream.columns.iter().map(|column| native.columns.contains_key(&column.name)).collect(),
                forbidden: stream.columns.iter().map(|column| native.forbidden.contains(&column.name)).collect(),
            });
        }
    }

    /// With the transformation `source`, the stream's columns are what reaches the table.
    fn check_types(&mut self, stream: &Stream, native: &NativeTable, target: &str) {
        let mut wrong = BTreeMap::new();
        for column in &stream.columns {
            match native.columns.get(&column.name) {
                Some(stored) if *stored != column.kind => {
                    let types =
                        format!("[produced:'{}', output:'{}']", column.kind.in_refusals(), stored.in_refusals());
                    wrong.insert(column.name.as_str(), types);
                }
                _ => {}
            }
        }
        if !wrong.is_empty() {
            let columns: Vec<String> = wrong.iter().map(|(name, types)| format!("{name} {types}")).collect();
            let message = format!(
                "Types of transform output columns do not match the ones defined by the output stream: {}",
                columns.join(", ")
            );
            self.add("InvalidTransformOutput", message, target.to_owned());
        }
    }
}

fn is_immutable_id(text: &str) -> bool {
    let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("dcr-").is_some_and(|rest| rest.len() == 32 && rest.bytes().all(is_lower_hex))
}

fn is_column_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && name.len() <= MAX_COLUMN_NAME && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
