//! Raw records to typed Arrow rows.
//!
//! A [`Decoder`] copies the payloads of a raw batch into one buffer, the chunk. simd-json parses each document there,
//! unescaping strings in place, and the rows' text columns are views into that same buffer: no string is copied or
//! allocated. The original bytes stay beside it until the batch is decoded: numbers and nested values are taken from
//! them as they were written, and refused records keep them.
//!
//! One raw batch gives one batch per table. A document that cannot be parsed whole is split into its records, so that
//! one damaged record does not take its neighbours with it. A record at which the decoder panics is found by halving
//! (`apart`) and refused too. Decoding is pure computation: it runs on any thread, and many at once.

mod apart;
mod columns;
mod csv;
mod event;
mod json;
mod locate;
mod route;
mod table;
mod values;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow::buffer::Buffer;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Tape};
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, Framing, RawBatch, RawRecord, RowKind};
use weir_contract::dead_letter::{DEAD_LETTERS, DeadLetter, Form, PANIC, Stage, TOO_LARGE};
use weir_contract::memory::MemoryBudget;
use weir_contract::panics::Panic;
use weir_contract::position::{Offset, Origin, RowPosition};
use weir_contract::pushed::{Kind, Pushed};

use crate::decode::columns::ChunkBase;
use crate::decode::csv::{Header, Row};
use crate::decode::json::{Document, Item, Object, add_unknown, join_halves};
use crate::decode::route::{Route, Router};
use crate::decode::table::{Field, MissingTime, TableBuilder, UnknownTableBuilder};
use crate::decode::values::{Value, Written};
use crate::json_text::{MAX_DEPTH, compact_into, parts, without_lone_surrogates};
use crate::metrics::IngestMetrics;
use crate::schema::{RawTable, RawTables};

pub use locate::{Located, Origins};
pub use route::UNROUTED;
pub(crate) use route::table_name_fault;
pub use table::{RAW_RECORD, unknown_table_schema};

/// Largest sum of payloads in one raw batch. Views hold 32-bit positions; text that must be rewritten may grow sixfold.
pub const MAX_CHUNK_BYTES: usize = 512 << 20;

/// How often a damaged document is split: lines or array elements in a message, and the records of each.
const SPLITS: usize = 2;

/// Pieces of one document that are refused one by one. Behind them what is odd is refused together with the rest of its
/// array: a letter costs some hundred bytes, and a message of nothing but commas would make millions.
const MAX_REFUSALS: usize = 1000;

/// Keys under which records of unknown tables were seen to hold their time.
const TIME_KEYS: [&str; 5] = ["TimeGenerated", "Timestamp", "time", "eventTime", "timestamp"];

/// Turns raw batches into typed rows. Shared by all threads that decode.
#[derive(Debug)]
pub struct Decoder {
    router: Router,
    metrics: IngestMetrics,
}

/// What became of a raw batch.
#[derive(Debug)]
pub struct Decoded {
    /// Rows, one batch per table (several where a record at which the decoder panicked lay between), of kind [`RowKind::Raw`] or [`RowKind::Unknown`]; each holds a part of the
    /// acknowledgement.
    pub batches: Vec<Batch>,
    /// The refused records, in order. The caller writes them and holds `ack` until they are durable.
    pub dead_letters: Vec<DeadLetter>,
    /// Where the batch came from.
    pub origin: Arc<Origin>,
    /// The part of the acknowledgement that no batch holds; to be answered last.
    pub ack: Ack,
    /// Records found: rows of all batches plus dead letters.
    pub records: u64,
}

impl Decoder {
    /// A decoder for `tables`.
    pub fn new(tables: Arc<RawTables>, metrics: IngestMetrics) -> Self {
        Self { router: Router::new(tables), metrics }
    }

    /// Decodes `raw`: every record becomes a row or a dead letter, never an error.
    ///
    /// Rows are in input order within their table. Their bytes are charged to `budget`; those of `raw` are released.
    pub fn decode(&self, raw: RawBatch, budget: &MemoryBudget) -> Decoded {
        let started = Instant::now();
        let records = Origins::of(&raw);
        let reads = apart::read(&records.records, raw.framing, &|part, framing| self.read(&records, part, framing));

        let source = raw.origin.source.as_ref();
        let mut batches = Vec::new();
        let (mut letters, mut refused_bytes, mut count) = (Vec::new(), 0, 0);
        for read in reads {
            let read = match read {
                apart::Part::Read(read) => read,
                apart::Part::Panicked(record, framing, panic) => {
                    refused_bytes += record.payload.len() as u64;
                    letters.push(records.panicked(&record, framing, &panic));
                    continue;
                }
            };
            for made in read.made {
                let (table, rows) = (&*made.table, made.rows.num_rows() as u64);
                count += rows;
                self.metrics.records.with_label_values(&[source, table]).inc_by(rows);
                self.metrics.bytes.with_label_values(&[source, table]).inc_by(made.raw_bytes);
                for (column, values) in &made.unknown_columns {
                    self.metrics.count_unknown_column(table, column, *values);
                }
                if made.mistyped > 0 {
                    self.metrics.mistyped_values.with_label_values(&[table]).inc_by(made.mistyped);
                }
                if made.kind == RowKind::Unknown {
                    self.metrics.unknown_tables.with_label_values(&[table]).inc_by(rows);
                }
                let held = made.held + size_of_val(&*made.positions);
                batches.push(Batch {
                    table: made.table,
                    kind: made.kind,
                    rows: made.rows,
                    origin: Arc::clone(&raw.origin),
                    positions: made.positions.into(),
                    mapping: None,
                    has_more: false,
                    raw_bytes: made.raw_bytes,
                    ack: raw.ack.split(),
                    permit: budget.charge(held),
                });
            }
            letters.extend(read.letters);
            refused_bytes += read.refused_bytes;
        }
        if !letters.is_empty() {
            self.metrics.records.with_label_values(&[source, DEAD_LETTERS]).inc_by(letters.len() as u64);
            self.metrics.bytes.with_label_values(&[source, DEAD_LETTERS]).inc_by(refused_bytes);
            self.metrics.dead_letters.count(&letters);
        }
        self.metrics.decode_seconds.with_label_values(&[source]).observe(started.elapsed().as_secs_f64());
        let records = count + letters.len() as u64;
        Decoded { batches, dead_letters: letters, origin: raw.origin, ack: raw.ack, records }
    }

    /// Reads some of a batch's records, and leaves no trace elsewhere.
    fn read(&self, from: &Origins, records: &[RawRecord], framing: Framing) -> Read {
        let mut work = Work {
            router: &self.router,
            origin: &from.origin,
            default_table: from.default_table.as_deref(),
            received_us: None,
            tables: Vec::new(),
            unknown_tables: Vec::new(),
            letters: Vec::new(),
            refused_bytes: 0,
            refusals_left: MAX_REFUSALS,
            buffers: Buffers::with_max_depth(16 << 10, MAX_DEPTH),
            tape: Tape::null().reset(),
            bytes: records.iter().map(|record| record.payload.len()).sum(),
            at: RowPosition { offset: Offset(0), partition: 0, row: 0 },
        };
        let chunk = work.read(records, framing);
        let Work { mut tables, unknown_tables, letters, refused_bytes, bytes, .. } = work;
        let mut made = Vec::with_capacity(tables.len() + unknown_tables.len());
        let chunk = Buffer::from_vec(chunk);
        tables.retain(|table| table.rows() > 0);
        for mut builder in tables {
            let (table, raw_bytes) = (Arc::clone(builder.table().name()), builder.raw_bytes);
            let positions = std::mem::take(&mut builder.positions);
            let counts = builder.unknown_values.counts();
            let unknown_columns = counts.map(|(column, values)| (column.to_owned(), values)).collect();
            let mistyped = builder.mistyped_values;
            let (rows, held) = builder.finish(&chunk).expect("views were made from valid text of the chunk");
            // Each table keeps the whole chunk alive; its share is charged, so that the sum is the chunk.
            let share = chunk.len() as u64 * raw_bytes / (bytes as u64).max(1);
            let held = held + share as usize;
            made.push(Made { table, kind: RowKind::Raw, rows, positions, raw_bytes, held, unknown_columns, mistyped });
        }
        for mut builder in unknown_tables {
            let (table, raw_bytes) = (builder.name.clone(), builder.raw_bytes);
            let positions = std::mem::take(&mut builder.positions);
            let (rows, held) = builder.finish().expect("records were written as valid text");
            let (kind, unknown_columns) = (RowKind::Unknown, Vec::new());
            made.push(Made { table, kind, rows, positions, raw_bytes, held, unknown_columns, mistyped: 0 });
        }
        Read { made, letters, refused_bytes }
    }
}

/// What some records were read into, before anything is counted.
#[derive(Debug)]
struct Read {
    made: Vec<Made>,
    letters: Vec<DeadLetter>,
    refused_bytes: u64,
}

/// Rows of one table.
#[derive(Debug)]
struct Made {
    table: Arc<str>,
    kind: RowKind,
    rows: RecordBatch,
    /// Where each row came from.
    positions: Vec<RowPosition>,
    raw_bytes: u64,
    /// Bytes that they keep in memory.
    held: usize,
    /// Values without a column, by the name that they came under.
    unknown_columns: Vec<(String, u64)>,
    /// Values that do not fit their column.
    mistyped: u64,
}

impl Origins {
    /// The dead letter of a record at which the decoder panicked.
    fn panicked(&self, record: &RawRecord, framing: Framing, panic: &Panic) -> DeadLetter {
        DeadLetter {
            source: self.origin.source.clone(),
            partition: self.partition(record),
            offset: record.offset,
            table: None,
            mapping: None,
            stage: Stage::Decode,
            reason: PANIC,
            detail: format!("the decoder failed at this record: {panic}; this is a defect of Weir, please report it"),
            form: if framing == Framing::Csv { Form::Csv } else { Form::Document },
            payload: Bytes::copy_from_slice(apart::as_sent(record, framing)),
        }
    }
}

/// One raw batch at work.
struct Work<'w> {
    router: &'w Router,
    origin: &'w Origin,
    default_table: Option<&'w str>,
    /// When an event of the HTTP Event Collector was received; none while other records are read.
    received_us: Option<i64>,
    tables: Vec<TableBuilder>,
    unknown_tables: Vec<UnknownTableBuilder>,
    letters: Vec<DeadLetter>,
    refused_bytes: u64,
    /// How many more pieces of this document are refused one by one.
    refusals_left: usize,
    buffers: Buffers,
    tape: Tape<'static>,
    bytes: usize,
    /// Of the next row.
    at: RowPosition,
}

/// Where a piece of text came from.
#[derive(Debug, Clone, Copy)]
struct Place<'w> {
    record: &'w RawRecord,
    /// The payload from the piece's beginning on, as it was received: what a dead letter keeps.
    received: &'w [u8],
    /// Whether offsets count bytes, so that the offset of a part is known.
    is_bytes: bool,
    /// Position of the piece within the payload; for CSV, within the rows.
    position: usize,
    /// Position of the piece's copy within the chunk.
    in_chunk: usize,
    /// What a dead letter of the piece is.
    form: Form,
    /// What stands before the piece in its dead letter: the header of a CSV file.
    header: &'w [u8],
}

impl<'w> Place<'w> {
    /// All of `record`, whose copy begins at `in_chunk`.
    fn of(record: &'w RawRecord, is_bytes: bool, in_chunk: usize) -> Self {
        let received = &record.payload;
        Self { record, received, is_bytes, position: 0, in_chunk, form: Form::Document, header: &[] }
    }

    fn of_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The place and the length of an object of the document that begins here.
    fn of_object(self, document: &Document<'_>, object: Object) -> (Self, usize) {
        match document.object_text(object) {
            // Where an empty object stands is not known.
            b"{}" => (Self { received: b"{}", ..self }, 2),
            text => (self.part(document.start_in_text(text)), text.len()),
        }
    }

    /// The offset of what stands here, as far as it has one of its own.
    fn offset(&self) -> Offset {
        let inside = if self.is_bytes { self.position as u64 } else { 0 };
        Offset(self.record.offset.0 + inside)
    }

    fn part(self, position: usize) -> Self {
        let received = self.received.get(position..).unwrap_or_default();
        Self { received, position: self.position + position, in_chunk: self.in_chunk + position, ..self }
    }
}

impl<'w> Work<'w> {
    /// Reads all records and returns the chunk that the rows' views point into.
    fn read(&mut self, records: &'w [RawRecord], framing: Framing) -> Vec<u8> {
        let too_large = match framing {
            Framing::Oversized => {
                Some("the record is larger than `max_record_size`; it is kept in pieces, in order of offset".to_owned())
            }
            _ if self.bytes > MAX_CHUNK_BYTES => Some(format!("batch of {} bytes", self.bytes)),
            _ => None,
        };
        if let Some(detail) = too_large {
            for record in records {
                let place = Place::of(record, false, 0);
                let form = if framing == Framing::Oversized { Form::Piece } else { Form::Document };
                self.refuse(place.of_form(form), record.payload.len(), None, TOO_LARGE, detail.clone());
            }
            return Vec::new();
        }
        let mut chunk = Vec::with_capacity(self.bytes + INPUT_PADDING);
        for record in records {
            chunk.extend_from_slice(&record.payload);
        }
        chunk.resize(self.bytes + INPUT_PADDING, 0);
        let mut start = 0;
        for record in records {
            let end = start + record.payload.len();
            let copy = &mut chunk[start..end + INPUT_PADDING];
            let is_bytes = matches!(framing, Framing::Lines | Framing::Csv);
            let place = Place::of(record, is_bytes, start);
            self.refusals_left = MAX_REFUSALS;
            self.begin(place);
            match framing {
                Framing::Document => self.read_document(copy, &record.payload, place, SPLITS),
                Framing::Lines => self.read_lines(copy, &record.payload, place),
                Framing::Csv => self.read_csv(copy, &record.payload, place),
                Framing::Pushed => self.read_pushed(copy, &record.payload, place),
                Framing::Oversized => unreachable!("refused above"),
            }
            start = end;
        }
        chunk
    }

    /// Reads a record that a push source kept; its place in the order is the buffer's.
    fn read_pushed(&mut self, copy: &mut [u8], original: &'w [u8], place: Place<'_>) {
        let Some(pushed) = Pushed::parse(original) else {
            let detail = "the buffer's record has not the form that this build knows; was it written by a newer one?";
            return self.refuse(place, original.len(), None, "unknown_form", detail.to_owned());
        };
        let before = original.len() - pushed.body.len();
        let place = Place { position: 0, ..place.part(before) };
        let of_batch = self.default_table;
        self.default_table = pushed.table.or(of_batch);
        let copy = &mut copy[before..];
        match pushed.kind {
            Kind::Document => self.read_document(copy, pushed.body, place, SPLITS),
            Kind::Lines => self.read_lines(copy, pushed.body, place),
            Kind::Event => {
                self.received_us = Some(pushed.received_us);
                self.read_document(copy, pushed.body, place, 0);
                self.received_us = None;
            }
        }
        self.default_table = of_batch;
    }

    fn read_lines(&mut self, copy: &mut [u8], original: &[u8], place: Place<'_>) {
        let mut start = 0;
        while start < original.len() {
            let end = memchr::memchr(b'\n', &original[start..]).map_or(original.len(), |length| start + length);
            let line = original[start..end].strip_suffix(b"\r").unwrap_or(&original[start..end]);
            let line_end = start + line.len();
            self.refusals_left = MAX_REFUSALS;
            // Where offsets count records, the lines of one are rows of the same.
            if place.is_bytes {
                self.begin(place.part(start));
            }
            self.read_document(&mut copy[start..line_end + INPUT_PADDING], line, place.part(start), SPLITS);
            start = end + 1;
        }
    }

    /// Reads a document. `copy` is its copy in the chunk, with [`INPUT_PADDING`] bytes of whatever follows. A document
    /// that cannot be parsed is repaired, or split into its parts and those into theirs, `splits` levels deep.
    fn read_document(&mut self, copy: &mut [u8], original: &[u8], place: Place<'_>, splits: usize) {
        let blanks = original.strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
        if blanks == original.len() || original[blanks..].iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let (copy, original, place) = (&mut copy[blanks..], &original[blanks..], place.part(blanks));
        let address = copy.as_ptr() as usize;
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(copy, original.len(), &mut self.buffers, &mut tape);
        let Err(error) = parsed else {
            let document = Document { nodes: &tape.0, text: original, address };
            self.read_item(&document, 0, original.len() as u64, place);
            self.tape = tape.reset();
            return;
        };
        self.tape = tape.reset();
        copy[..original.len()].copy_from_slice(original);
        if let Some(repaired) = without_lone_surrogates(original) {
            copy[..original.len()].copy_from_slice(&repaired);
            return self.read_document(copy, &repaired, place, splits);
        }
        let parts = if splits > 0 { parts(original) } else { Vec::new() };
        match &*parts {
            [] => self.refuse_unparsed(original, place, &error),
            [part] if part.len() == original.trim_ascii().len() => self.refuse_unparsed(original, place, &error),
            _ => {
                for part in parts {
                    if self.refusals_left == 0 {
                        return self.refuse_unparsed(&original[part.start..], place.part(part.start), &error);
                    }
                    let copy = &mut copy[part.start..part.end + INPUT_PADDING];
                    self.read_document(copy, &original[part.clone()], place.part(part.start), splits - 1);
                }
            }
        }
    }

    fn refuse_unparsed(&mut self, original: &[u8], place: Place<'_>, error: &simd_json::Error) {
        let (reason, detail) = match std::str::from_utf8(original) {
            Err(fault) => ("invalid_utf8", format!("byte {} of the record is not UTF-8", fault.valid_up_to())),
            Ok(_) if matches!(error.error(), ErrorType::DepthLimitExceeded) => {
                ("too_deep", format!("nested deeper than {MAX_DEPTH} levels"))
            }
            Ok(_) => ("invalid_json", format!("no valid JSON near byte {}: {:?}", error.index(), error.error())),
        };
        self.refuse(place, original.len(), None, reason, detail);
    }

    fn read_item(&mut self, document: &Document<'_>, at: usize, bytes: u64, place: Place<'_>) {
        if let Some(received_us) = self.received_us {
            return self.read_event(document, at, received_us, bytes, place);
        }
        match document.item(at) {
            Item::Record(record) => self.read_record(document, record, bytes, place),
            Item::Items { at, len, key } => {
                self.read_items(document, (at, len), document.array_text(key), bytes, place);
            }
            Item::Other => {
                let length = document.text.len();
                self.refuse(place, length, None, "not_an_object", "the record is no JSON object".to_owned());
            }
        }
    }

    /// Reads the elements of an array, `text`; they share its `bytes` by where each begins.
    fn read_items(
        &mut self,
        document: &Document<'_>,
        array: (usize, usize),
        text: &[u8],
        bytes: u64,
        place: Place<'_>,
    ) {
        // Where the elements stand in `text`; only asked for where the parser does not tell.
        let mut ranges: Option<Vec<Range<usize>>> = None;
        let from = document.start_in_text(text);
        let elements: Vec<usize> = document.elements(array.0, array.1).collect();
        let mut left = bytes;
        let mut begin = None;
        for (index, at) in elements.iter().enumerate() {
            let next = elements.get(index + 1).map(|next| document.start(*next));
            let here = begin.take().or_else(|| document.start(*at));
            let share = match (next, here) {
                (None, _) => left,
                (Some(Some(next)), Some(here)) => ((next - here) as u64).min(left),
                _ => 0,
            };
            left -= share;
            begin = next.flatten();
            let item = document.item(*at);
            if matches!(item, Item::Record(_) | Item::Items { key: Some(_), .. }) {
                self.read_item(document, *at, share, place);
                continue;
            }
            // A valid array has as many parts as elements.
            let ranges = ranges.get_or_insert_with(|| parts(text));
            let range = ranges.get(index).cloned().unwrap_or(text.len()..text.len());
            if self.refusals_left == 0 {
                let end = ranges.last().map_or(range.end, |last| last.end);
                let detail = format!("elements {index} and on: too many of the document's records are no JSON objects");
                return self.refuse(place.part(from + range.start), end - range.start, None, "not_an_object", detail);
            }
            match item {
                Item::Items { at, len, .. } => self.read_items(document, (at, len), &text[range], share, place),
                _ => {
                    let detail = format!("element {index} of the array is no JSON object");
                    self.refuse(place.part(from + range.start), range.len(), None, "not_an_object", detail);
                }
            }
        }
    }

    fn read_record(&mut self, document: &Document<'_>, record: Object, bytes: u64, place: Place<'_>) {
        let (hints, properties) = document.hints(record);
        let router = self.router;
        let route = router.route(&hints, self.default_table, |call| document.filled_keys(record, call));
        let table = match route {
            Route::Known(table) => table,
            Route::Unknown(name) => {
                let inner = properties.and_then(|at| document.object(at));
                let time = inner.and_then(|inner| document.text_of(inner, &TIME_KEYS[..2]));
                let time = time.or_else(|| document.text_of(record, &TIME_KEYS));
                let text = document.object_text(record);
                let position = self.next_position();
                self.unknown_table(name).add(position, time, bytes, |out| compact_into(text, out));
                return;
            }
        };
        let row = match properties {
            None => (record, None),
            Some(at) => match document.object(at) {
                Some(row) => (row, Some(record)),
                None => {
                    let detail = "`properties` of the record is no JSON object".to_owned();
                    let (place, length) = place.of_object(document, record);
                    return self.refuse(place, length, Some(table), "not_an_object", detail);
                }
            },
        };
        let base = Document::chunk_base(document.address, place.in_chunk);
        let position = self.next_position();
        let builder = builder_of(&mut self.tables, table, base, self.bytes, bytes);
        builder.positions.push(position);
        if document.add_row(row.0, row.1, builder, bytes) == Err(MissingTime) {
            builder.positions.pop();
            let time = document.text_of(row.0, &TIME_KEYS);
            let (place, length) = place.of_object(document, record);
            self.refuse(place, length, Some(table), "missing_time", missing_time(time));
        }
    }

    fn read_csv(&mut self, copy: &mut [u8], original: &[u8], place: Place<'_>) {
        let copy = &mut copy[..original.len()];
        let base = ChunkBase(copy.as_ptr() as usize - place.in_chunk);
        let mut row = Row::default();
        let rows_start = row.read(copy, 0).min(original.len());
        let header = {
            let text: Vec<_> = row.cells.iter().map(|cell| String::from_utf8_lossy(&copy[cell.clone()])).collect();
            Header::new(text.iter().map(|name| name.strip_prefix('\u{feff}').unwrap_or(name)))
        };
        let mut start = rows_start;
        while start < original.len() {
            let next = row.read(copy, start);
            let received = &place.received[start..];
            let place = Place {
                received,
                position: start - rows_start,
                in_chunk: place.in_chunk + start,
                form: Form::Csv,
                header: &place.record.payload[..rows_start],
                ..place
            };
            let bytes = (next.min(original.len()) - start) as u64;
            start = next;
            if row.is_blank() {
                continue;
            }
            self.begin(place);
            let length = row.span.len();
            let cells: Result<Vec<&str>, _> =
                row.cells.iter().map(|cell| std::str::from_utf8(&copy[cell.clone()])).collect();
            let Ok(cells) = cells else {
                self.refuse(place, length, None, "invalid_utf8", "the row is not UTF-8".to_owned());
                continue;
            };
            if row.is_open || cells.len() != header.columns.len() {
                let (found, expected) = (cells.len(), header.columns.len());
                let open = if row.is_open { ", a quote is never closed" } else { "" };
                let detail = format!("the row has {found} cells, the header has {expected}{open}");
                self.refuse(place, length, None, "invalid_csv", detail);
                continue;
            }
            self.read_csv_row(&header, &cells, base, (bytes, length), place);
        }
    }

    fn read_csv_row(
        &mut self,
        header: &Header,
        cells: &[&str],
        base: ChunkBase,
        (bytes, length): (u64, usize),
        place: Place<'_>,
    ) {
        let hints = header.hints(cells);
        let router = self.router;
        let filled = || header.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        let route =
            router.route(&hints, self.default_table, |call| filled().for_each(|(column, _)| call(&column.name)));
        let cell_of = |names: &[&str]| {
            names.iter().find_map(|name| filled().find(|(column, _)| &*column.name == *name).map(|(_, cell)| *cell))
        };
        let table = match route {
            Route::Known(table) => table,
            Route::Unknown(name) => {
                let position = self.next_position();
                let table = self.unknown_table(name);
                table.add(position, cell_of(&TIME_KEYS), bytes, |out| header.append_json(cells, out));
                return;
            }
        };
        let position = self.next_position();
        let builder = builder_of(&mut self.tables, table, base, self.bytes, bytes);
        builder.positions.push(position);
        let mut halves = Vec::new();
        for (column, cell) in header.columns.iter().zip(cells) {
            let value = if cell.is_empty() { Value::Null } else { Value::Text(cell) };
            let written = Written::Cell { text: cell, offset_us: column.offset_us };
            let field = Field { key: &column.name, value, written };
            match builder.slot(table.keys(), &column.name).map(|slot| slot.column) {
                Some(Some(column)) => builder.put(column, &field),
                Some(None) => builder.keep_unknown(&field),
                None => add_unknown(field, builder, &mut halves),
            }
        }
        join_halves(&halves, table.keys(), builder);
        if builder.end_row(bytes) == Err(MissingTime) {
            builder.positions.pop();
            self.refuse(place, length, Some(table), "missing_time", missing_time(cell_of(&TIME_KEYS)));
        }
    }

    /// Notes that what follows comes from the record at `place`.
    fn begin(&mut self, place: Place<'_>) {
        self.at = RowPosition { offset: place.offset(), partition: place.record.partition, row: 0 };
    }

    /// The position of the next row. A row that is undone leaves a gap, so that its neighbours keep their numbers.
    fn next_position(&mut self) -> RowPosition {
        let position = self.at;
        self.at.row += 1;
        position
    }

    fn unknown_table(&mut self, name: &str) -> &mut UnknownTableBuilder {
        let at = match self.unknown_tables.iter().position(|builder| &*builder.name == name) {
            Some(at) => at,
            None => {
                self.unknown_tables.push(UnknownTableBuilder::new(name));
                self.unknown_tables.len() - 1
            }
        };
        &mut self.unknown_tables[at]
    }

    /// Refuses the first `length` bytes of `place`.
    fn refuse(
        &mut self,
        place: Place<'_>,
        length: usize,
        table: Option<&Arc<RawTable>>,
        reason: &'static str,
        mut detail: String,
    ) {
        let offset = place.offset();
        if !place.is_bytes && place.position > 0 {
            detail = format!("{detail} (at byte {} of the document)", place.position);
        }
        let range = usize::try_from(place.record.partition).ok().and_then(|index| self.origin.ranges.get(index));
        let bytes = place.received.get(..length).unwrap_or(place.received);
        self.refused_bytes += length as u64;
        self.refusals_left = self.refusals_left.saturating_sub(1);
        self.letters.push(DeadLetter {
            source: self.origin.source.clone(),
            partition: range.map_or_else(|| "unknown".into(), |range| range.partition.clone()),
            offset,
            table: table.map(|table| table.name().clone()),
            mapping: None,
            stage: Stage::Decode,
            reason,
            detail,
            form: place.form,
            // A copy, so that a small letter does not keep its whole chunk in memory.
            payload: match bytes.len() == place.record.payload.len() && bytes.len() >= self.bytes / 2 {
                true => place.record.payload.clone(),
                false => [place.header, bytes].concat().into(),
            },
        });
    }
}

/// The builder of `table`; a new one is made for as many rows as the batch may have if all are like its first.
fn builder_of<'b>(
    tables: &'b mut Vec<TableBuilder>,
    table: &Arc<RawTable>,
    base: ChunkBase,
    batch_bytes: usize,
    record_bytes: u64,
) -> &'b mut TableBuilder {
    let at = match tables.iter().position(|builder| Arc::ptr_eq(builder.table(), table)) {
        Some(at) => at,
        None => {
            let rows = batch_bytes / usize::try_from(record_bytes).unwrap_or(usize::MAX).max(256);
            tables.push(TableBuilder::new(table.clone(), base, rows + rows / 8 + 1));
            tables.len() - 1
        }
    };
    &mut tables[at]
}

fn missing_time(found: Option<&str>) -> String {
    match found {
        Some(text) => {
            let shown: String = text.chars().take(64).collect();
            format!("`{shown}` is no time; a row of this table needs its event time")
        }
        None => "the row has no event time, which rows of this table need".to_owned(),
    }
}
