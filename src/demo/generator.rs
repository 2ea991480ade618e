//! Makes events that look like a real organisation's: what `weir demo` and the benches read.
//!
//! A [`Generator`] holds an organisation of 400 devices and 520 people. Processes run on the devices and start each
//! other; each event names a process that an earlier event started, with the same ids, hashes and times. Records come as
//! Defender XDR publishes them to Event Hubs: whole messages `{"records":[…]}` with all tables mixed, every column of a
//! table present, `null` where it has no value. CloudTrail comes as the log files that its service delivers.
//!
//! The same seed and start give the same bytes. Nothing is real: names are Contoso's, addresses are private or from the
//! blocks reserved for documentation.

mod clock;
mod cloudtrail;
mod device;
mod dice;
mod file_events;
mod fleet;
mod logon_events;
mod network_events;
mod organisation;
mod other_tables;
mod process_events;
mod process_tree;
mod programs;
mod registry_events;
mod row;
mod scene;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;

use self::clock::{Clock, SECOND, happened_before, push_time, ticks_of, time_at};
use self::device::Device;
use self::dice::Dice;
use self::organisation::{Organisation, TENANT_ID};
use self::row::Row;
use self::scene::Scene;

/// Share of each table in the stream, per ten thousand records.
const TABLES: [(u32, Table); 11] = [
    (3100, Table::Network),
    (2450, Table::Process),
    (1950, Table::File),
    (950, Table::Registry),
    (650, Table::Logon),
    (520, Table::Device),
    (120, Table::Email),
    (140, Table::CloudApp),
    (85, Table::IdentityLogon),
    (25, Table::UrlClick),
    (10, Table::Alert),
];

/// Most records of one message. Real messages hold one to several hundred.
const MESSAGE_RECORDS: u32 = 240;

/// A message is closed when it reaches this size: the limit of Event Hubs is 1 MB.
const MESSAGE_BYTES: usize = 900_000;

/// Records in one CloudTrail file.
const FILE_RECORDS: u64 = 400;

/// The tables that this generator writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Process,
    Network,
    File,
    Registry,
    Logon,
    Device,
    Email,
    UrlClick,
    CloudApp,
    IdentityLogon,
    Alert,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Process => "DeviceProcessEvents",
            Self::Network => "DeviceNetworkEvents",
            Self::File => "DeviceFileEvents",
            Self::Registry => "DeviceRegistryEvents",
            Self::Logon => "DeviceLogonEvents",
            Self::Device => "DeviceEvents",
            Self::Email => "EmailEvents",
            Self::UrlClick => "UrlClickEvents",
            Self::CloudApp => "CloudAppEvents",
            Self::IdentityLogon => "IdentityLogonEvents",
            Self::Alert => "AlertInfo",
        }
    }
}

/// Makes events from a seed; see the module's head.
pub(crate) struct Generator {
    dice: Dice,
    clock: Clock,
    organisation: Organisation,
    devices: Vec<Device>,
    bad_record_every: Option<u64>,
    message: Vec<u8>,
    inner: String,
}

/// What a call has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Good records per table.
    pub(crate) records_per_table: BTreeMap<String, u64>,
    /// Records that no reader can decode, each of them a message of its own. They are in no table's count.
    pub(crate) bad_records: u64,
    /// Bytes before compression.
    pub(crate) bytes: u64,
    /// Publication of the first record.
    pub(crate) from: DateTime<Utc>,
    /// Publication of the last record: `bytes` came in the time between.
    pub(crate) until: DateTime<Utc>,
}

impl Written {
    /// Good records of all tables.
    pub(crate) fn records(&self) -> u64 {
        self.records_per_table.values().sum()
    }
}

impl Generator {
    /// An organisation drawn from `seed`, at `start`. Events are published from then on, at the rate of 400 devices.
    pub(crate) fn new(seed: u64, start: DateTime<Utc>) -> Self {
        let mut dice = Dice::new(seed);
        let mut organisation = Organisation::new(&mut dice);
        let devices = fleet::devices(&mut organisation, &mut dice, ticks_of(start));
        let clock = Clock::new(start, devices.len());
        Self {
            dice,
            clock,
            organisation,
            devices,
            bad_record_every: None,
            message: Vec::with_capacity(MESSAGE_BYTES + 65_536),
            inner: String::new(),
        }
    }

    /// Adds a record that no reader can decode about every `records` good ones: cut off in the middle, with bytes that
    /// are not UTF-8, or not an object.
    pub(crate) fn with_bad_records(mut self, records: u64) -> Self {
        self.bad_record_every = Some(records.max(1));
        self
    }

    /// When the last record was published; the start before the first one.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        time_at(self.clock.now())
    }

    /// Writes `records` good records of the Defender tables to `out`, one message per line.
    ///
    /// # Errors
    ///
    /// What `out` reports.
    pub(crate) fn write_defender(&mut self, out: &mut impl Write, records: u64) -> io::Result<Written> {
        let mut counts = [0u64; TABLES.len()];
        let mut written = Written { from: self.now(), ..Written::default() };
        let mut left = records;
        while left > 0 {
            // Most messages hold tens of records, some one, some hundreds.
            let most = self.dice.between(1, MESSAGE_RECORDS);
            let mut length = u64::from(self.dice.between(1, most)).min(left);
            self.message.clear();
            self.message.extend_from_slice(b"{\"records\":[");
            let mut in_message = 0;
            while in_message < length {
                if in_message > 0 {
                    self.message.push(b',');
                }
                let table = self.push_record();
                counts[table as usize] += 1;
                in_message += 1;
                if self.message.len() > MESSAGE_BYTES {
                    length = in_message;
                }
            }
            self.message.extend_from_slice(b"]}\n");
            out.write_all(&self.message)?;
            written.bytes += self.message.len() as u64;
            left -= length;
            let bad = self.bad_records_after(length);
            for _ in 0..bad {
                self.fill_bad_message();
                out.write_all(&self.message)?;
                written.bytes += self.message.len() as u64;
            }
            written.bad_records += bad;
        }
        for (_, table) in &TABLES {
            let count = counts[*table as usize];
            if count > 0 {
                written.records_per_table.insert(table.name().to_owned(), count);
            }
        }
        written.until = self.now();
        Ok(written)
    }

    /// Writes one CloudTrail log file of `records` records to `out`, not compressed.
    ///
    /// # Errors
    ///
    /// What `out` reports.
    #[cfg(test)]
    pub(crate) fn write_cloudtrail(&mut self, out: &mut impl Write, records: u64) -> io::Result<Written> {
        let place = cloudtrail::place(&mut self.dice);
        self.write_cloudtrail_of(out, place, records)
    }

    /// Writes `records` CloudTrail records as gzip files below `directory`, named as the service names them.
    ///
    /// # Errors
    ///
    /// A folder or file that cannot be made or written.
    pub(crate) fn write_cloudtrail_files(&mut self, directory: &Path, records: u64) -> io::Result<Written> {
        let mut written = Written { from: self.now(), ..Written::default() };
        let mut left = records;
        while left > 0 {
            let place = cloudtrail::place(&mut self.dice);
            let name = cloudtrail::file_name(&mut self.dice, place.0, place.1, self.clock.now());
            let path = directory.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let mut out = BufWriter::new(GzEncoder::new(File::create(path)?, Compression::fast()));
            let file = self.write_cloudtrail_of(&mut out, place, left.min(FILE_RECORDS))?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
            left -= file.records();
            written.bytes += file.bytes;
            written.until = file.until;
            for (table, count) in file.records_per_table {
                *written.records_per_table.entry(table).or_default() += count;
            }
        }
        Ok(written)
    }

    fn write_cloudtrail_of(&mut self, out: &mut impl Write, place: (&str, &str), records: u64) -> io::Result<Written> {
        let from = self.now();
        let mut bytes = 0;
        self.message.clear();
        self.message.extend_from_slice(b"{\"Records\":[");
        for number in 0..records {
            if number > 0 {
                self.message.push(b',');
            }
            let published = self.clock.advance(&mut self.dice);
            let at = happened_before(published, &mut self.dice);
            cloudtrail::push_record(&mut self.message, &self.organisation, &mut self.dice, place, at);
            if self.message.len() > MESSAGE_BYTES {
                out.write_all(&self.message)?;
                bytes += self.message.len() as u64;
                self.message.clear();
            }
        }
        self.message.extend_from_slice(b"]}");
        out.write_all(&self.message)?;
        bytes += self.message.len() as u64;
        Ok(Written {
            records_per_table: BTreeMap::from([("AWSCloudTrail".to_owned(), records)]),
            bad_records: 0,
            bytes,
            from,
            until: self.now(),
        })
    }

    /// Appends one record to the message.
    fn push_record(&mut self) -> Table {
        let table = self.dice.weighted(&TABLES);
        let published = self.clock.advance(&mut self.dice);
        let at = happened_before(published, &mut self.dice);
        let mut device = self.dice.index(self.devices.len());
        if table == Table::Registry {
            while self.devices[device].is_linux {
                device = self.dice.index(self.devices.len());
            }
        }
        let out = &mut self.message;
        out.extend_from_slice(b"{\"time\":\"");
        push_time(out, published, false);
        out.extend_from_slice(b"Z\",\"tenantId\":\"");
        out.extend_from_slice(TENANT_ID.as_bytes());
        out.extend_from_slice(b"\",\"operationName\":\"Publish\",\"category\":\"AdvancedHunting-");
        out.extend_from_slice(table.name().as_bytes());
        out.extend_from_slice(b"\",\"_TimeReceivedBySvc\":\"");
        push_time(out, published.min(at + 47 * SECOND), false);
        // On the tables of mail, and only there, the export leaves out the zone.
        let end: &[u8] = if table == Table::Email { b"\",\"properties\":" } else { b"Z\",\"properties\":" };
        out.extend_from_slice(end);
        let mut row = Row::open(out);
        let mut scene = Scene {
            organisation: &self.organisation,
            device: &mut self.devices[device],
            dice: &mut self.dice,
            at,
            inner: &mut self.inner,
        };
        let write = match table {
            Table::Process => process_events::write,
            Table::Network => network_events::write,
            Table::File => file_events::write,
            Table::Registry => registry_events::write,
            Table::Logon => logon_events::write,
            Table::Device => other_tables::device_events,
            Table::Email => other_tables::email_events,
            Table::UrlClick => other_tables::url_click_events,
            Table::CloudApp => other_tables::cloud_app_events,
            Table::IdentityLogon => other_tables::identity_logon_events,
            Table::Alert => other_tables::alert_info,
        };
        write(&mut scene, &mut row);
        row.close();
        out.extend_from_slice(b",\"Tenant\":\"DefaultTenant\"}");
        table
    }

    /// How many bad records follow `good` good ones.
    fn bad_records_after(&mut self, good: u64) -> u64 {
        let Some(every) = self.bad_record_every else { return 0 };
        let rest = (good % every) as u32;
        good / every + u64::from(self.dice.below(every.min(u64::from(u32::MAX)) as u32) < rest)
    }

    /// Replaces the message by one whose only record is bad.
    fn fill_bad_message(&mut self) {
        self.message.clear();
        self.message.extend_from_slice(b"{\"records\":[");
        match self.dice.below(3) {
            0 => {
                self.push_record();
                let half = self.message.len() / 2;
                self.message.truncate(half);
            }
            1 => {
                self.push_record();
                self.message.extend_from_slice(b"]}");
                // 0xFF stands in no UTF-8 text. The place is within the text `DefaultTenant` at the record's end.
                let place = self.message.len() - 5;
                self.message[place] = 0xff;
            }
            _ => self.message.extend_from_slice(b"\"AdvancedHunting-DeviceEvents\"]}"),
        }
        self.message.push(b'\n');
    }
}
