//! A device and the processes on it: what changes from event to event.

use super::dice::Dice;
use super::row::JsonText;

/// A device and what runs on it.
pub(crate) struct Device {
    /// 40 hexadecimal digits.
    pub(crate) id: String,
    /// Name in lower case, with the DNS domain where the device is joined to one.
    pub(crate) name: String,
    /// Name without the domain.
    pub(crate) short_name: String,
    /// Device group.
    pub(crate) group: &'static str,
    /// Private IPv4 address.
    pub(crate) ip: String,
    /// IPv6 address.
    pub(crate) ipv6: String,
    /// Linux, else Windows.
    pub(crate) is_linux: bool,
    /// A server, else a workstation.
    pub(crate) is_server: bool,
    /// Position of the account that is logged on.
    pub(crate) user: usize,
    /// Logon session of that account.
    pub(crate) logon_id: i64,
    /// Which build of each program is installed.
    pub(crate) build: usize,
    /// Id of the last report.
    pub(crate) report_id: i64,
    /// What runs; the first ones since the device's start.
    pub(crate) processes: Vec<Process>,
    /// How many of `processes` run as long as the device does.
    pub(crate) resident: usize,
}

impl Device {
    /// The id of the next report.
    pub(crate) fn next_report_id(&mut self, dice: &mut Dice) -> i64 {
        self.report_id += i64::from(dice.between(1, 3));
        self.report_id
    }
}

/// A running process.
pub(crate) struct Process {
    /// Position of its program in [`super::organisation::Organisation::programs`].
    pub(crate) program: usize,
    /// Position of its account in [`super::organisation::Organisation::accounts`].
    pub(crate) account: usize,
    /// Process id, used again after the process ends.
    pub(crate) id: i64,
    /// Process id that never comes back on the device.
    pub(crate) unique_id: i64,
    /// Start, in ticks.
    pub(crate) created: i64,
    /// Full path of its file.
    pub(crate) path: JsonText,
    /// The same in lower case.
    pub(crate) path_lower: JsonText,
    /// Command line.
    pub(crate) command_line: JsonText,
    /// Integrity level; `None` on Linux.
    pub(crate) integrity: Option<&'static str>,
    /// Kind of token.
    pub(crate) elevation: &'static str,
    /// Logon session.
    pub(crate) logon_id: i64,
    /// Terminal session: 0 for services.
    pub(crate) session: i64,
    /// Address of the remote desktop client whose session this is.
    pub(crate) remote_session: Option<JsonText>,
    /// Process id of the parent.
    pub(crate) parent_id: i64,
    /// Position of the parent's program.
    pub(crate) parent_program: usize,
    /// Start of the parent, in ticks.
    pub(crate) parent_created: i64,
}
