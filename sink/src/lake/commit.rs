//! One table's log: what makes files visible.
//!
//! Appends need little of Delta's machinery. A commit is one JSON object, put under the next version's number if no
//! other writer has taken it, so rows become visible together or not at all. We keep the version and the schema of our
//! last commit and try the next number straight away; only when it is taken, by another worker, do we load the log's
//! news, merge schemas, and try again. (deltalake's own commit builder does the same, but holds the list of all the
//! table's files in memory to look for conflicts that appends can't have.)
//!
//! A put whose answer was lost may have succeeded. Each commit carries an id, so a writer that finds its number taken
//! looks whether the entry there is its own. And should it commit the same files again after all, nothing doubles: the
//! log's files are a set of paths.
//!
//! A commit carries how far it brings each stream of rows (`progress`). Before each attempt that is held against what
//! the log has by then: rows that another writer has committed meanwhile are never committed a second time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::kernel::{
    Action, Add, Metadata, MetadataExt, Protocol, Snapshot, StructType, Transaction, Version, new_metadata,
};
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::json;
use uuid::Uuid;
use weir_contract::position::Offset;

use crate::lake::config::LakeConfig;
use crate::lake::error;
use crate::lake::layout::DATE_COLUMN;
use crate::lake::progress::Reach;
use crate::lake::retry::{Decision, decide_now};
use crate::lake::schema::{INDEXED_PROPERTY, TableColumns};
use crate::lake::store::TableStore;
use crate::metrics::SinkMetrics;
use crate::sink::{SinkError, chain};

/// The key under which a commit's id stands in its `commitInfo`.
const COMMIT_ID: &str = "weirCommit";
/// Conflicts of one commit before the sink gives up: with so many, the workers do little but collide.
const MAX_CONFLICTS: u32 = 100;

/// A table's log, as of the last commit that we know.
pub(crate) struct TableLog {
    table: Arc<str>,
    store: TableStore,
    log: LogStoreRef,
    config: Arc<LakeConfig>,
    metrics: SinkMetrics,
    /// `None` before the table exists.
    head: Option<Head>,
    /// By transaction id, the next offset of each stream that was asked for or seen.
    reached: HashMap<String, Offset>,
}

struct Head {
    version: Version,
    columns: TableColumns,
    metadata: Metadata,
    /// What the head was loaded from, to load only the news next time.
    snapshot: Option<Arc<Snapshot>>,
}

/// What one commit makes visible.
#[derive(Debug, Default)]
pub(crate) struct Append {
    /// Columns of the files; the table gets those that it lacks.
    pub(crate) columns: TableColumns,
    /// The files.
    pub(crate) adds: Vec<Add>,
    /// How far the rows bring each stream, by transaction id.
    pub(crate) progress: BTreeMap<String, Reach>,
}

/// What became of a commit.
#[derive(Debug)]
pub(crate) enum Committed {
    /// The rows are visible, in this version.
    At(Version),
    /// Nothing is committed: the table has some of the rows already. By transaction id, the next offset of the streams
    /// concerned.
    Overtaken(HashMap<String, Offset>),
}

impl TableLog {
    /// Loads the head of the log of `table`; a table that does not exist yet is made by its first commit.
    pub(crate) async fn open(
        table: Arc<str>,
        store: TableStore,
        config: Arc<LakeConfig>,
        metrics: SinkMetrics,
    ) -> Result<Self, SinkError> {
        let log = store.log();
        let mut opened = Self { table, store, log, config, metrics, head: None, reached: HashMap::new() };
        let mut attempt = 1;
        while let Err(error) = opened.refresh().await {
            opened.pause(&mut attempt, error).await?;
        }
        Ok(opened)
    }

    /// The table's columns; none if it does not exist.
    pub(crate) fn columns(&self) -> TableColumns {
        self.head.as_ref().map(|head| head.columns.clone()).unwrap_or_default()
    }

    /// The next offset of each stream in `ids`, as the table has it; 0 for one that it has no rows of.
    pub(crate) async fn reached(&mut self, ids: &[String]) -> Result<HashMap<String, Offset>, SinkError> {
        let mut attempt = 1;
        while let Err(error) = self.look_up(ids).await {
            self.pause(&mut attempt, error).await?;
        }
        Ok(ids.iter().map(|id| (id.clone(), self.reached.get(id).copied().unwrap_or_default())).collect())
    }

    async fn look_up(&mut self, ids: &[String]) -> Result<(), SinkError> {
        let unknown: Vec<String> = ids.iter().filter(|id| !self.reached.contains_key(*id)).cloned().collect();
        let Some(version) = self.head.as_ref().map(|head| head.version).filter(|_| !unknown.is_empty()) else {
            return Ok(());
        };
        let (url, engine) = (self.store.url(), self.log.engine(None));
        let root = url.clone();
        let found = tokio::task::spawn_blocking(move || {
            let snapshot = delta_kernel::Snapshot::builder_for(root).at_version(version).build(engine.as_ref())?;
            let look_up = |id: String| {
                let next = snapshot.get_app_id_version(&id, engine.as_ref())?;
                Ok((id, Offset(next.and_then(|next| u64::try_from(next).ok()).unwrap_or(0))))
            };
            unknown.into_iter().map(look_up).collect::<Result<Vec<_>, delta_kernel::Error>>()
        })
        .await
        .map_err(|error| self.broken(error))?
        .map_err(|error| self.failed("read the log of", error.into()))?;
        self.reached.extend(found);
        Ok(())
    }

    /// Commits, and returns the version once it lasts.
    ///
    /// Conflicts and passing errors are tried again. Writing a checkpoint when one is due is part of it, but a
    /// checkpoint that fails is only logged: the rows are there.
    pub(crate) async fn commit(&mut self, append: &Append) -> Result<Committed, SinkError> {
        let id = Uuid::new_v4().to_string();
        let mut attempt = 1;
        let mut conflicts = 0;
        let version = loop {
            match self.try_commit(append, &id).await {
                Ok(Outcome::Committed(version)) => break version,
                Ok(Outcome::Overtaken(reached)) => return Ok(Committed::Overtaken(reached)),
                Ok(Outcome::Taken) => {
                    conflicts += 1;
                    self.metrics.retries.with_label_values(&["lake", "conflict"]).inc();
                    if conflicts >= MAX_CONFLICTS {
                        return Err(SinkError::GaveUp {
                            attempts: conflicts,
                            source: Box::new(self.unavailable("other writers take every version")),
                        });
                    }
                    tokio::time::sleep(Duration::from_millis(rand::random_range(0..20))).await;
                }
                Err(error) => self.pause(&mut attempt, error).await?,
            }
        };
        self.make_checkpoint_if_due(version).await;
        Ok(Committed::At(version))
    }

    async fn try_commit(&mut self, append: &Append, id: &str) -> Result<Outcome, SinkError> {
        let ids: Vec<String> = append.progress.keys().cloned().collect();
        self.look_up(&ids).await?;
        let has = |(id, reach): (&String, &Reach)| {
            self.reached.get(id).filter(|reached| **reached > reach.from).map(|reached| (id.clone(), *reached))
        };
        let overtaken: HashMap<String, Offset> = append.progress.iter().filter_map(has).collect();
        if !overtaken.is_empty() {
            return Ok(Outcome::Overtaken(overtaken));
        }
        let (version, columns, metadata, actions) = self.prepare(append)?;
        let bytes = self.entry(actions, id, &transactions(&append.progress))?;
        let operation = Uuid::new_v4();
        match self.log.write_commit_entry(version, CommitOrBytes::LogBytes(bytes), operation).await {
            Ok(()) => {}
            Err(TransactionError::VersionAlreadyExists(_)) => {
                if !self.is_ours(version, id).await? {
                    self.refresh().await?;
                    return Ok(Outcome::Taken);
                }
            }
            Err(error) => return Err(error::from_transaction("commit to", self.store.url().as_str(), error)),
        }
        self.store.sync(&format!("_delta_log/{version:020}.json")).await?;
        let snapshot = self.head.take().and_then(|head| head.snapshot);
        self.head = Some(Head { version, columns, metadata, snapshot });
        self.reached.extend(append.progress.iter().map(|(id, reach)| (id.clone(), reach.next)));
        Ok(Outcome::Committed(version))
    }

    /// The next version, the table's columns and metadata in it, and the commit's actions.
    fn prepare(&self, append: &Append) -> Result<(Version, TableColumns, Metadata, Vec<Action>), SinkError> {
        let mut actions = Vec::with_capacity(append.adds.len() + 2);
        let prepared = match &self.head {
            None => {
                let metadata = self.first_metadata(&append.columns)?;
                actions.push(Action::Protocol(first_protocol()));
                actions.push(Action::Metadata(metadata.clone()));
                (0, append.columns.clone(), metadata)
            }
            Some(head) => {
                let mut columns = head.columns.clone();
                let mut metadata = head.metadata.clone();
                if columns.merge(&self.table, &append.columns)? {
                    metadata = metadata.with_schema(&self.delta_schema(&columns)?).map_err(|e| self.broken(e))?;
                    actions.push(Action::Metadata(metadata.clone()));
                }
                (head.version + 1, columns, metadata)
            }
        };
        actions.extend(append.adds.iter().cloned().map(Action::Add));
        let (version, columns, metadata) = prepared;
        Ok((version, columns, metadata, actions))
    }

    fn entry(&self, actions: Vec<Action>, id: &str, transactions: &[Transaction]) -> Result<bytes::Bytes, SinkError> {
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![DATE_COLUMN.to_owned()]),
            predicate: None,
        };
        let info = HashMap::from([
            (COMMIT_ID.to_owned(), json!(id)),
            ("isBlindAppend".to_owned(), json!(true)),
            ("clientVersion".to_owned(), json!(format!("weir.{}", env!("CARGO_PKG_VERSION")))),
        ]);
        CommitData::new(actions, operation, info, transactions.to_vec())
            .get_bytes()
            .map_err(|error| SinkError::encode(&self.table, error))
    }

    async fn is_ours(&self, version: Version, id: &str) -> Result<bool, SinkError> {
        let entry = self.log.read_commit_entry(version).await.map_err(|error| self.failed("read the log of", error))?;
        // The id is random, so it stands nowhere else.
        Ok(entry.is_some_and(|entry| entry.windows(id.len()).any(|window| window == id.as_bytes())))
    }

    /// Loads the newest version of the log.
    async fn refresh(&mut self) -> Result<(), SinkError> {
        let before = self.head.as_ref().map(|head| head.version);
        let known = self.head.as_mut().and_then(|head| head.snapshot.take());
        let loaded = match known {
            Some(snapshot) => snapshot.update(self.log.engine(None), None).await,
            // Asked first, since deltalake reports a missing directory as a broken table.
            None if !self.store.exists().await? => {
                self.head = None;
                return Ok(());
            }
            None => Snapshot::try_new(self.log.as_ref(), None).await.map(Arc::new),
        };
        let snapshot = loaded.map_err(|error| self.failed("read the log of", error))?;
        self.check_protocol(&snapshot)?;
        self.see_progress(before, snapshot.version()).await?;
        self.head = Some(Head {
            version: snapshot.version(),
            columns: TableColumns::of_delta(&snapshot.schema(), snapshot.metadata().configuration()),
            metadata: snapshot.metadata().clone(),
            snapshot: Some(snapshot),
        });
        Ok(())
    }

    /// Takes in how far other writers have brought the streams, in the versions behind `before` up to `to`.
    async fn see_progress(&mut self, before: Option<Version>, to: Version) -> Result<(), SinkError> {
        let Some(before) = before else {
            // Whatever is known was true of no table.
            self.reached.clear();
            return Ok(());
        };
        for version in before + 1..=to {
            let entry = self.log.read_commit_entry(version).await;
            let Some(entry) = entry.map_err(|error| self.failed("read the log of", error))? else {
                // Cleaned away already; the checkpoint has it.
                self.reached.clear();
                return Ok(());
            };
            for (id, next) in progress_in(&entry) {
                self.reached.insert(id, next);
            }
        }
        Ok(())
    }

    /// Refuses a table that another program made in a way that our plain appends would break.
    fn check_protocol(&self, snapshot: &Snapshot) -> Result<(), SinkError> {
        let protocol = snapshot.protocol();
        let refused = |why: String| SinkError::Refused {
            operation: "append to",
            target: self.store.url().to_string(),
            advice: "another program made this table; move it away, or give the lake another `url`".into(),
            source: why.into(),
        };
        if protocol.min_writer_version() > 2 {
            return Err(refused(format!("it needs writer version {}, Weir has 2", protocol.min_writer_version())));
        }
        if *snapshot.metadata().partition_columns() != [DATE_COLUMN] {
            return Err(refused(format!("it is not partitioned by `{DATE_COLUMN}` alone")));
        }
        Ok(())
    }

    async fn make_checkpoint_if_due(&self, version: Version) {
        let interval = u64::from(self.config.checkpoint_interval);
        if !(version + 1).is_multiple_of(interval) {
            return;
        }
        let url = self.store.url();
        let engine = self.log.engine(None);
        let root = url.clone();
        let written = tokio::task::spawn_blocking(move || {
            let snapshot = delta_kernel::Snapshot::builder_for(root).at_version(version).build(engine.as_ref())?;
            snapshot.checkpoint(engine.as_ref(), None)
        })
        .await;
        match written {
            Ok(Ok(_)) => tracing::debug!(table = %self.table, version, "wrote a checkpoint"),
            Ok(Err(error)) => {
                tracing::warn!(table = %self.table, version, %error, "cannot write a checkpoint; the next one will do");
            }
            Err(error) => tracing::warn!(table = %self.table, version, %error, "cannot write a checkpoint"),
        }
    }

    async fn pause(&self, attempt: &mut u32, error: SinkError) -> Result<(), SinkError> {
        let shown = chain(&error);
        match decide_now(&self.config.retry, *attempt, error) {
            Decision::Again(pause) => {
                self.metrics.retries.with_label_values(&["lake", "commit"]).inc();
                tracing::warn!(table = %self.table, attempt, ?pause, error = shown, "trying the table's log again");
                *attempt += 1;
                tokio::time::sleep(pause).await;
                Ok(())
            }
            Decision::Stop(error) => Err(error),
        }
    }

    fn first_metadata(&self, columns: &TableColumns) -> Result<Metadata, SinkError> {
        let properties = [
            ("delta.checkpointInterval", self.config.checkpoint_interval.to_string()),
            ("delta.logRetentionDuration", "interval 30 days".to_owned()),
            ("delta.deletedFileRetentionDuration", "interval 7 days".to_owned()),
            (INDEXED_PROPERTY, columns.indexed().join(",")),
        ];
        let schema = self.delta_schema(columns)?;
        let metadata = new_metadata(&schema, [DATE_COLUMN], properties).map_err(|error| self.broken(error))?;
        metadata.with_name(self.table.to_string()).map_err(|error| self.broken(error))
    }

    fn delta_schema(&self, columns: &TableColumns) -> Result<StructType, SinkError> {
        StructType::try_new(columns.delta_fields()).map_err(|error| SinkError::encode(&self.table, error))
    }

    fn broken(&self, error: impl Into<crate::sink::Cause>) -> SinkError {
        SinkError::encode(&self.table, error)
    }

    fn failed(&self, operation: &'static str, error: DeltaTableError) -> SinkError {
        error::from_delta(operation, self.store.url().as_str(), error)
    }

    fn unavailable(&self, why: &str) -> SinkError {
        SinkError::Unavailable { operation: "commit to", target: self.store.url().to_string(), source: why.into() }
    }
}

enum Outcome {
    Committed(Version),
    Taken,
    Overtaken(HashMap<String, Offset>),
}

fn transactions(progress: &BTreeMap<String, Reach>) -> Vec<Transaction> {
    let now = chrono::Utc::now().timestamp_millis();
    let transaction = |(id, reach): (&String, &Reach)| {
        let next = i64::try_from(reach.next.0).unwrap_or(i64::MAX);
        Transaction::new_with_last_update(id, next, Some(now))
    };
    progress.iter().map(transaction).collect()
}

/// The application transactions in an entry of the log: one JSON object per line.
fn progress_in(entry: &[u8]) -> impl Iterator<Item = (String, Offset)> {
    #[derive(serde::Deserialize)]
    struct Line {
        txn: Option<Transaction>,
    }
    let lines = entry.split(|byte| *byte == b'\n');
    let transactions = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok()?.txn);
    transactions.map(|txn| (txn.app_id, Offset(u64::try_from(txn.version).unwrap_or(0))))
}

/// Reader version 1 and writer version 2: every engine reads and appends to it.
fn first_protocol() -> Protocol {
    serde_json::from_value(json!({ "minReaderVersion": 1, "minWriterVersion": 2 })).expect("a valid protocol")
}
