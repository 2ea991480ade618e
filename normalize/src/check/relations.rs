//! What two or more fields of a row say about each other.

use std::collections::HashMap;
use std::sync::Arc;

use weir_contract::datetime::DAY_US;

use crate::check::column::Column;
use crate::check::definition::{Class, Field, Fields};
use crate::check::rule::Rule;
use crate::check::tally::{Origin, Tally};
use crate::check::target::{Target, is_reserved};
use crate::check::text;

/// The columns of a batch by name, and where findings go.
struct Rows<'a> {
    columns: HashMap<&'a str, &'a Column>,
    rows: usize,
    origin: &'a Origin<'a>,
    tally: &'a mut Tally,
}

/// Checks every relation whose fields the batch has.
pub(super) fn check(
    target: &Target,
    fields: &'static Fields,
    columns: &[Column],
    rows: usize,
    origin: &Origin<'_>,
    tally: &mut Tally,
) {
    let by_name = columns.iter().map(|column| (&*column.name, column)).collect();
    let mut batch = Rows { columns: by_name, rows, origin, tally };
    for field in fields.iter() {
        if field.class == Class::Conditional && target.stores(field) {
            batch.check_conditional(field, fields);
        }
        if !field.alias_of.is_empty() {
            batch.check_alias(target, field);
        }
    }
    for column in columns {
        batch.check_typed(column);
        batch.check_fqdn(column);
        batch.check_file_name(column);
    }
    batch.check_hash_type(fields);
    batch.check_times();
}

impl<'a> Rows<'a> {
    fn get(&self, name: &str) -> Option<&'a Column> {
        self.columns.get(name).copied()
    }

    /// The columns of `names` that the batch has.
    fn all(&self, names: &[&str]) -> Vec<&'a Column> {
        names.iter().filter_map(|name| self.get(name)).collect()
    }

    fn found(&mut self, rule: Rule, field: &Arc<str>, row: usize, value: &str) {
        self.tally.value(rule, field, row, value, self.origin);
    }

    /// A field that qualifies others is filled where, and only where, one of them is.
    fn check_conditional(&mut self, field: &Field, fields: &Fields) {
        let Some(column) = self.get(field.name) else { return };
        let names: Vec<&str> = field.conditional_on.iter().flat_map(|name| fields.sources_of(name)).collect();
        if names.is_empty() {
            return;
        }
        let parents = self.all(&names);
        for row in 0..self.rows {
            let filled = parents.iter().find(|parent| !parent.is_empty(row));
            match (filled, column.is_empty(row)) {
                (Some(parent), true) => self.found(Rule::W3, &column.name, row, &parent.text(row)),
                (None, false) => self.found(Rule::W4, &column.name, row, &column.text(row)),
                _ => {}
            }
        }
        let detail = || format!("it qualifies {}", field.conditional_on.join(" or "));
        self.tally.explain(Rule::W3, &column.name, || format!("{}; the values are that field's", detail()));
        self.tally.explain(Rule::W4, &column.name, detail);
    }

    /// An alias has the value of a field that it stands for; a mandatory one needs such a field in every row.
    fn check_alias(&mut self, target: &Target, field: &Field) {
        let sources = self.all(&field.alias_of);
        let alias = self.get(field.name).filter(|_| target.forbidden(field.name).is_none());
        if let Some(alias) = alias {
            for row in 0..self.rows {
                if alias.is_empty(row) {
                    continue;
                }
                let value = alias.text(row);
                let mut filled = sources.iter().filter(|source| !source.is_empty(row)).peekable();
                if filled.peek().is_some() && filled.all(|source| source.text(row) != value) {
                    self.found(Rule::W25, &alias.name, row, &value);
                }
            }
            self.tally.explain(Rule::W25, &alias.name, || format!("it stands for {}", field.alias_of.join(" or ")));
        }
        if field.class != Class::Mandatory || is_reserved(field.name) {
            return;
        }
        let name: Arc<str> = field.name.into();
        for row in 0..self.rows {
            let has_value = alias.is_some_and(|alias| !alias.is_empty(row));
            if !has_value && sources.iter().all(|source| source.is_empty(row)) {
                self.tally.rows(Rule::W26, &name, 1, row, self.origin);
            }
        }
        self.tally.explain(Rule::W26, &name, || format!("fill one of {}", field.alias_of.join(", ")));
    }

    /// Fields whose form another field names.
    fn check_typed(&mut self, types: &Column) {
        let Some(name) = types.name.strip_suffix("Type") else { return };
        type Fits = fn(&str, &str) -> bool;
        let (rule, fits): (Rule, Fits) = match name {
            _ if name.ends_with("Username") || name.ends_with("UserName") => (Rule::W5, text::username_fits),
            _ if name.ends_with("UserId") => (Rule::W6, text::user_id_fits),
            _ if name.ends_with("DvcId") => (Rule::W7, text::device_id_fits),
            _ if name.ends_with("Domain") => (Rule::W8, text::domain_fits),
            _ if name.ends_with("FilePath") => (Rule::W36, text::path_fits),
            _ => return,
        };
        let Some(typed) = self.get(name) else { return };
        for row in 0..self.rows {
            let (Some(kind), Some(value)) = (types.str(row), typed.str(row)) else { continue };
            if !fits(kind, value) {
                self.found(rule, &typed.name, row, value);
                self.tally.explain(rule, &typed.name, || format!("{} is {kind}", types.name));
            }
        }
    }

    fn check_fqdn(&mut self, fqdn: &Column) {
        let Some(prefix) = fqdn.name.strip_suffix("FQDN") else { return };
        let parts = (self.get(&format!("{prefix}Hostname")), self.get(&format!("{prefix}Domain")));
        let (Some(hostname), Some(domain)) = parts else { return };
        for row in 0..self.rows {
            let (Some(whole), Some(host), Some(domain)) = (fqdn.str(row), hostname.str(row), domain.str(row)) else {
                continue;
            };
            let joined = whole.len() == host.len() + 1 + domain.len()
                && whole.get(..host.len()).is_some_and(|start| start.eq_ignore_ascii_case(host))
                && whole.as_bytes()[host.len()] == b'.'
                && whole.get(host.len() + 1..).is_some_and(|end| end.eq_ignore_ascii_case(domain));
            if !joined {
                self.found(Rule::W9, &fqdn.name, row, whole);
            }
        }
    }

    /// `…FilePath` with `…FileName`, and `…ProcessName` with `…ProcessFilename`.
    fn check_file_name(&mut self, path: &Column) {
        let name = match (path.name.strip_suffix("FilePath"), path.name.strip_suffix("ProcessName")) {
            (Some(prefix), _) => format!("{prefix}FileName"),
            (_, Some(prefix)) => format!("{prefix}ProcessFilename"),
            _ => return,
        };
        let Some(file) = self.get(&name) else { return };
        for row in 0..self.rows {
            let (Some(whole), Some(end)) = (path.str(row), file.str(row)) else { continue };
            let cut = whole.len().checked_sub(end.len());
            let ends_so =
                cut.and_then(|at| Some((whole.get(..at)?, whole.get(at..)?))).is_some_and(|(folder, last)| {
                    last.eq_ignore_ascii_case(end) && (folder.is_empty() || folder.ends_with(['/', '\\', ':']))
                });
            if !ends_so {
                self.found(Rule::W35, &path.name, row, whole);
                self.tally.explain(Rule::W35, &path.name, || format!("{name} has the name, such as {end}"));
            }
        }
    }

    /// The hash that `HashType` names is there.
    fn check_hash_type(&mut self, fields: &Fields) {
        let (Some(types), Some(hash)) = (self.get("HashType"), fields.get("Hash")) else { return };
        for row in 0..self.rows {
            let Some(kind) = types.str(row) else { continue };
            // One schema's list has `SHA` for SHA-1.
            let ending = if kind == "SHA" { "SHA1" } else { kind };
            let named: Vec<&str> = hash.alias_of.iter().copied().filter(|name| name.ends_with(ending)).collect();
            let is_there = self.all(&named).iter().any(|column| !column.is_empty(row));
            if !named.is_empty() && !is_there {
                self.found(Rule::W39, &types.name, row, kind);
            }
        }
    }

    fn check_times(&mut self) {
        let (Some(start), Some(end)) = (self.get("EventStartTime"), self.get("EventEndTime")) else { return };
        let generated = self.get("TimeGenerated");
        for row in 0..self.rows {
            let (Some(from), Some(to)) = (start.time(row), end.time(row)) else { continue };
            if to < from {
                self.found(Rule::W30, &end.name, row, &end.text(row));
            } else if let Some(column) = generated
                && let Some(time) = column.time(row)
                && !(from.saturating_sub(2 * DAY_US)..=to.saturating_add(2 * DAY_US)).contains(&time)
            {
                self.found(Rule::W31, &column.name, row, &column.text(row));
            }
        }
    }
}
