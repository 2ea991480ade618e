//! `DeviceProcessEvents`.

use super::process_tree;
use super::row::Row;
use super::scene::Scene;

const ACTIONS: [(u32, &str); 3] = [(985, "ProcessCreated"), (12, "ProcessCreatedAggregatedReport"), (3, "OpenProcess")];

const ACCOUNT: [&str; 5] = ["AccountDomain", "AccountName", "AccountSid", "AccountUpn", "AccountObjectId"];

const VERSION_INFO: [&str; 6] = [
    "ProcessVersionInfoCompanyName",
    "ProcessVersionInfoProductName",
    "ProcessVersionInfoProductVersion",
    "ProcessVersionInfoInternalFileName",
    "ProcessVersionInfoOriginalFileName",
    "ProcessVersionInfoFileDescription",
];

/// Starts a process and writes the event.
pub(crate) fn write(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let action = scene.dice.weighted(&ACTIONS);
    // The sensor sees the process a moment after the kernel has made it.
    let created = scene.at - i64::from(scene.dice.between(2_000, 300_000));
    let (parent, child) = process_tree::spawn(scene.device, scene.organisation, scene.dice, created);
    scene.head(row, action);
    let process = &scene.device.processes[child];
    let (installed, build) = scene.installed(process.program);
    row.text("FileName", Some(&installed.name));
    row.text("FolderPath", Some(&process.path));
    row.plain("SHA1", &build.sha1);
    row.plain("SHA256", &build.sha256);
    row.plain("MD5", &build.md5);
    row.number("FileSize", build.size);
    for (key, text) in VERSION_INFO.iter().zip(&installed.version_info) {
        row.text(key, text.as_ref());
    }
    row.number("ProcessId", process.id);
    row.text("ProcessCommandLine", Some(&process.command_line));
    match process.integrity {
        Some(level) => row.plain("ProcessIntegrityLevel", level),
        None => row.null("ProcessIntegrityLevel"),
    }
    row.plain("ProcessTokenElevation", process.elevation);
    row.time("ProcessCreationTime", process.created);
    scene.account_columns(row, &ACCOUNT, process.account);
    row.number("LogonId", process.logon_id);
    row.number("CreatedProcessSessionId", process.session);
    row.bool("IsProcessRemoteSession", process.remote_session.is_some());
    row.null("ProcessRemoteSessionDeviceName");
    row.text("ProcessRemoteSessionIP", process.remote_session.as_ref());
    row.number_text("ProcessUniqueId", process.unique_id);

    scene.acting_process(row, Some(parent));
    scene.acting_process_rights(row, Some(parent));
    let acting = &scene.device.processes[parent];
    row.number("InitiatingProcessLogonId", acting.logon_id);
    let signer = scene.organisation.programs[acting.program].signer;
    row.plain("InitiatingProcessSignerType", signer.unwrap_or("Unknown"));
    row.plain("InitiatingProcessSignatureStatus", if signer.is_some() { "Valid" } else { "Unknown" });

    if scene.device.is_linux {
        // The processes are taken out for the time of the call, since both borrow the scene.
        let processes = std::mem::take(&mut scene.device.processes);
        scene.posix_identity("Process", &processes[child]);
        scene.posix_identity("InitiatingProcess", &processes[parent]);
        scene.inner.push('}');
        scene.device.processes = processes;
    } else if action == "ProcessCreatedAggregatedReport" {
        let count = scene.dice.between(2, 340);
        scene.inner.push_str(&format!(r#"{{"uniqueEventsAggregated":{count}}}"#));
    }
    scene.additional_fields(row);
    scene.tail(row);
}
