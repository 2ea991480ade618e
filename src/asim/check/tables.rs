//! Rows of tables: of a lake, and of a stand-in workspace.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures::TryStreamExt as _;
use serde_json::{Map, Value};
use url::Url;
use weir_contract::schema::ColumnType;
use weir_normalize::check::Target;
use weir_sink::lake::DATE_COLUMN;
use weir_sink::lake::config::LakeConfig;
use weir_sink::lake::read::{Lake, LakeTable};

use super::{BATCH_ROWS, Rows, UsageError};

/// Rows that are asked of the stand-in at one time.
const PAGE_ROWS: usize = 1000;
/// Columns that the workspace adds to stored rows.
const ADDED_COLUMNS: [&str; 3] = ["Type", "_BilledSize", "_TimeReceived"];

/// Checks all ASIM tables of a lake, or the one called `only`.
pub(super) async fn check_lake(lake: &LakeConfig, only: Option<&str>, rows: &mut Rows) -> anyhow::Result<()> {
    let opened = Lake::open(lake)?;
    let names = match only {
        Some(name) => vec![name.to_owned()],
        None => opened.tables().await?,
    };
    if names.is_empty() {
        return Err(UsageError(format!("the lake `{}` has no tables", lake.url)).into());
    }
    for name in names {
        match rows.selection.of_table(&name) {
            Some(target) => {
                let table = opened.table(&name).await?;
                check_table(&table.with_context(|| format!("the table `{name}` is gone"))?, &target, rows).await?;
            }
            None => drop(rows.left_out.insert(name)),
        }
    }
    Ok(())
}

async fn check_table(table: &LakeTable, target: &Target, rows: &mut Rows) -> anyhow::Result<()> {
    let place: Arc<str> = table.name().into();
    let schema = table.schema();
    let stored = schema.fields().iter().filter(|field| field.name() != DATE_COLUMN);
    let columns: Vec<_> =
        stored.filter_map(|field| Some((field.name().as_str().into(), ColumnType::of_field(field)?))).collect();
    rows.checker.expect(target, &columns);
    let mut first = 1;
    let mut batches = std::pin::pin!(table.read(BATCH_ROWS));
    while let Some(mut batch) = batches.try_next().await? {
        // The lake's own column, made of `TimeGenerated`.
        if let Some((at, _)) = batch.schema().column_with_name(DATE_COLUMN) {
            batch.remove_column(at);
        }
        rows.columns(&place, target, &batch, first)?;
        first += batch.num_rows() as u64;
    }
    Ok(())
}

/// Checks the rows that a stand-in keeps of the ASIM tables.
pub(super) async fn check_stand_in(url: &Url, rows: &mut Rows) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let tables = get(&client, url, &["stand-in", "tables"], &[]).await?;
    let names: Vec<String> = tables["tables"].as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
    for name in names {
        let Some(target) = rows.selection.of_table(&name) else {
            rows.left_out.insert(name);
            continue;
        };
        let place: Arc<str> = name.as_str().into();
        let mut offset = 0;
        loop {
            let query = [("limit", PAGE_ROWS), ("offset", offset)];
            let mut page = get(&client, url, &["stand-in", "tables", &name, "rows"], &query).await?;
            let (total, kept) = (page["total"].as_u64().unwrap_or(0), page["kept"].as_u64().unwrap_or(0));
            if offset == 0 && total > kept {
                tracing::warn!(
                    table = name,
                    "the stand-in keeps the newest {kept} of {total} rows; only they are checked"
                );
            }
            let Some(list) = page["rows"].as_array_mut().map(std::mem::take) else {
                bail!("{url} answers in another form than a stand-in; give its address with `--url`");
            };
            let count = list.len();
            let numbered = (offset as u64 + 1..).zip(list).filter_map(|(number, row)| Some((number, sent(row)?)));
            rows.json(&place, Some(target.clone()), numbered.collect())?;
            offset += count;
            if count < PAGE_ROWS {
                break;
            }
        }
    }
    Ok(())
}

/// A stored row as it was sent.
fn sent(row: Value) -> Option<Map<String, Value>> {
    let Value::Object(mut row) = row else { return None };
    for column in ADDED_COLUMNS {
        row.remove(column);
    }
    Some(row)
}

async fn get(client: &reqwest::Client, url: &Url, path: &[&str], query: &[(&str, usize)]) -> anyhow::Result<Value> {
    let no_host = |()| UsageError(format!("`--url {url}` has no host; write http://HOST:PORT"));
    let mut place = url.clone();
    place.path_segments_mut().map_err(no_host)?.pop_if_empty().extend(path);
    let answer = client.get(place).query(query).send().await;
    let answer = answer.with_context(|| format!("no stand-in answers at {url}; start one with `weir stand-in`"))?;
    let answer = answer.error_for_status().with_context(|| format!("{url} refuses the request"))?;
    answer.json().await.with_context(|| format!("{url} answers with something else than JSON"))
}
