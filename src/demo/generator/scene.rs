//! What the writers of all device tables share: the moment and the device of an event, and the columns that stand in
//! every one of them. Columns and encodings are those of the stream (Microsoft's advanced hunting schema plus what the
//! export adds); columns that have no value are written as null, as the stream writes them.

use super::device::{Device, Process};
use super::dice::Dice;
use super::organisation::{Account, Build, Installed, Organisation};
use super::row::Row;

/// One event that is about to be written.
pub(crate) struct Scene<'a> {
    /// The organisation.
    pub(crate) organisation: &'a Organisation,
    /// The device that reports.
    pub(crate) device: &'a mut Device,
    /// Chance.
    pub(crate) dice: &'a mut Dice,
    /// When it happened, in ticks.
    pub(crate) at: i64,
    /// Room for JSON that stands in a string.
    pub(crate) inner: &'a mut String,
}

impl Scene<'_> {
    /// The account at a position.
    pub(crate) fn account(&self, position: usize) -> &Account {
        &self.organisation.accounts[position]
    }

    /// The program at a position, and the build of it that this device has.
    pub(crate) fn installed(&self, program: usize) -> (&Installed, &Build) {
        let installed = &self.organisation.programs[program];
        (installed, &installed.builds[self.device.build])
    }

    /// Columns that begin every row.
    pub(crate) fn head(&self, row: &mut Row<'_>, action: &str) {
        row.time("Timestamp", self.at);
        row.plain("DeviceId", &self.device.id);
        row.plain("DeviceName", &self.device.name);
        row.plain("ActionType", action);
    }

    /// The account columns `<prefix>AccountDomain`, `…Name`, `…Sid`, `…Upn` and `…ObjectId`, whose names are `keys`.
    pub(crate) fn account_columns(&self, row: &mut Row<'_>, keys: &[&str; 5], position: usize) {
        let account = self.account(position);
        match &account.domain {
            Some(domain) => row.plain(keys[0], domain.as_str()),
            None => row.plain(keys[0], &self.device.short_name),
        }
        row.text(keys[1], Some(&account.name));
        row.text(keys[2], account.sid.as_ref());
        row.text(keys[3], account.upn.as_ref());
        row.text(keys[4], account.object_id.as_ref());
    }

    /// The acting process, or what stands there when the sensor saw traffic without knowing whose it was.
    pub(crate) fn acting_process(&self, row: &mut Row<'_>, process: Option<usize>) {
        let Some(process) = process.map(|position| &self.device.processes[position]) else {
            row.nulls(&UNKNOWN_PROCESS_NULLS);
            row.number("InitiatingProcessId", 0);
            row.number("InitiatingProcessParentId", 0);
            row.null("InitiatingProcessSessionId");
            row.bool("IsInitiatingProcessRemoteSession", false);
            row.nulls(&["InitiatingProcessRemoteSessionDeviceName", "InitiatingProcessRemoteSessionIP"]);
            row.plain("InitiatingProcessUniqueId", "0");
            return;
        };
        let (installed, build) = self.installed(process.program);
        row.plain("InitiatingProcessSHA1", &build.sha1);
        row.plain("InitiatingProcessSHA256", &build.sha256);
        row.plain("InitiatingProcessMD5", &build.md5);
        row.text("InitiatingProcessFileName", Some(&installed.name_lower));
        row.number("InitiatingProcessFileSize", build.size);
        for (key, text) in VERSION_INFO.iter().zip(&installed.version_info) {
            row.text(key, text.as_ref());
        }
        row.number("InitiatingProcessId", process.id);
        row.text("InitiatingProcessCommandLine", Some(&process.command_line));
        row.time("InitiatingProcessCreationTime", process.created);
        row.text("InitiatingProcessFolderPath", Some(&process.path_lower));
        row.number("InitiatingProcessParentId", process.parent_id);
        row.text("InitiatingProcessParentFileName", Some(&self.organisation.programs[process.parent_program].name));
        row.time("InitiatingProcessParentCreationTime", process.parent_created);
        self.account_columns(row, &ACTING_ACCOUNT, process.account);
        row.number("InitiatingProcessSessionId", process.session);
        row.bool("IsInitiatingProcessRemoteSession", process.remote_session.is_some());
        row.null("InitiatingProcessRemoteSessionDeviceName");
        row.text("InitiatingProcessRemoteSessionIP", process.remote_session.as_ref());
        row.number_text("InitiatingProcessUniqueId", process.unique_id);
    }

    /// Integrity level and token of the acting process, in the tables that have them.
    pub(crate) fn acting_process_rights(&self, row: &mut Row<'_>, process: Option<usize>) {
        let process = process.map(|position| &self.device.processes[position]);
        match process.and_then(|process| process.integrity) {
            Some(level) => row.plain("InitiatingProcessIntegrityLevel", level),
            None => row.null("InitiatingProcessIntegrityLevel"),
        }
        row.plain("InitiatingProcessTokenElevation", process.map_or("None", |process| process.elevation));
    }

    /// Columns that end every row.
    pub(crate) fn tail(&mut self, row: &mut Row<'_>) {
        let report_id = self.device.next_report_id(self.dice);
        row.number("ReportId", report_id);
        row.plain("AppGuardContainerId", "");
        row.plain("MachineGroup", self.device.group);
    }

    /// `AdditionalFields` with the JSON text that stands in `inner`; null if it is empty.
    pub(crate) fn additional_fields(&mut self, row: &mut Row<'_>) {
        row.escaped_or_null("AdditionalFields", (!self.inner.is_empty()).then_some(self.inner));
        self.inner.clear();
    }

    /// Puts the POSIX identity of `process` into `inner`, as sensors on Linux report it; `prefix` begins its keys.
    pub(crate) fn posix_identity(&mut self, prefix: &str, process: &Process) {
        let name = self.organisation.accounts[process.account].name.as_str();
        let id = match name {
            "root" => 0,
            "www-data" => 33,
            _ => 1000,
        };
        let separator = if self.inner.is_empty() { '{' } else { ',' };
        self.inner.push(separator);
        self.inner.push_str(&format!(
            concat!(
                r#""{p}PosixEffectiveUser":{{"Name":"{n}","DomainName":"{d}","LogonId":0,"PosixUserId":{i},"#,
                r#""PrimaryPosixGroup":{{"Name":"{n}","PosixGroupId":{i}}}}},"#,
                r#""{p}PosixEffectiveGroup":{{"Name":"{n}","PosixGroupId":{i}}},"{p}PosixProcessGroupId":{g},"#,
                r#""{p}PosixSessionId":{g},"{p}CurrentWorkingDirectory":"/","{p}PosixFilePermissions":["OthersExecute"]"#
            ),
            p = prefix,
            n = name,
            d = self.device.short_name,
            i = id,
            g = process.id,
        ));
    }
}

/// `InitiatingProcessVersionInfo*`, in the order of [`Installed::version_info`].
const VERSION_INFO: [&str; 6] = [
    "InitiatingProcessVersionInfoCompanyName",
    "InitiatingProcessVersionInfoProductName",
    "InitiatingProcessVersionInfoProductVersion",
    "InitiatingProcessVersionInfoInternalFileName",
    "InitiatingProcessVersionInfoOriginalFileName",
    "InitiatingProcessVersionInfoFileDescription",
];

const ACTING_ACCOUNT: [&str; 5] = [
    "InitiatingProcessAccountDomain",
    "InitiatingProcessAccountName",
    "InitiatingProcessAccountSid",
    "InitiatingProcessAccountUpn",
    "InitiatingProcessAccountObjectId",
];

const UNKNOWN_PROCESS_NULLS: [&str; 21] = [
    "InitiatingProcessSHA1",
    "InitiatingProcessSHA256",
    "InitiatingProcessMD5",
    "InitiatingProcessFileName",
    "InitiatingProcessFileSize",
    "InitiatingProcessVersionInfoCompanyName",
    "InitiatingProcessVersionInfoProductName",
    "InitiatingProcessVersionInfoProductVersion",
    "InitiatingProcessVersionInfoInternalFileName",
    "InitiatingProcessVersionInfoOriginalFileName",
    "InitiatingProcessVersionInfoFileDescription",
    "InitiatingProcessCommandLine",
    "InitiatingProcessCreationTime",
    "InitiatingProcessFolderPath",
    "InitiatingProcessParentFileName",
    "InitiatingProcessParentCreationTime",
    "InitiatingProcessAccountDomain",
    "InitiatingProcessAccountName",
    "InitiatingProcessAccountSid",
    "InitiatingProcessAccountUpn",
    "InitiatingProcessAccountObjectId",
];
