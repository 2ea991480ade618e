//! Each known action type of a mapped Defender table has a sample that some mapping claims, or stands in the list of
//! those that no ASIM schema fits. Those pass through to the lake under their raw table's name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{made, mappings};

/// The action types that no mapping claims, and why none does.
const WITHOUT_SCHEMA: &[(&str, &str, &[&str])] = &[
    (
        "DeviceEvents",
        "one process calls another's memory, threads or tokens: process events know starts and ends only",
        &[
            "CreateRemoteThreadApiCall",
            "MemoryRemoteProtect",
            "NtAllocateVirtualMemoryApiCall",
            "NtAllocateVirtualMemoryRemoteApiCall",
            "NtMapViewOfSectionRemoteApiCall",
            "NtProtectVirtualMemoryApiCall",
            "OpenProcessApiCall",
            "PTraceDetected",
            "ProcessPrimaryTokenModified",
            "QueueUserApcRemoteApiCall",
            "ReadProcessMemoryApiCall",
            "SetThreadContextRemoteApiCall",
            "WriteProcessMemoryApiCall",
            "WriteToLsassProcessMemory",
        ],
    ),
    (
        "DeviceEvents",
        "a process uses the desktop or a pipe, or loads what is no file",
        &[
            "ClrUnbackedModuleLoaded",
            "GetAsyncKeyStateApiCall",
            "GetClipboardData",
            "NamedPipeEvent",
            "ScreenshotTaken",
        ],
    ),
    ("DeviceEvents", "the text of a script: content, not an event", &["AmsiScriptContent", "ScriptContent"]),
    (
        "DeviceEvents",
        "a peripheral or a network comes and goes, within policy or without its verdict",
        &[
            "BluetoothPolicyTriggered",
            "DlpPocPrintJob",
            "PnpDeviceAllowed",
            "PnpDeviceConnected",
            "UntrustedWifiConnection",
            "UsbDriveDriveLetterChanged",
            "UsbDriveMount",
            "UsbDriveMounted",
            "UsbDriveUnmount",
            "UsbDriveUnmounted",
        ],
    ),
    (
        "DeviceEvents",
        "a report on a state, a file or an alert, in which nobody does anything",
        &[
            "AppControlCodeIntegrityOriginAllowed",
            "AppControlCodeIntegritySigningInformation",
            "BitLockerAuditCompleted",
            "DeviceBootAttestationInfo",
            "OtherAlertRelatedActivity",
            "SafeDocFileScan",
            "TvmAxonTelemetryEvent",
        ],
    ),
    ("DeviceProcessEvents", "a handle, not a start", &["OpenProcess"]),
];

#[test]
fn each_known_action_type_of_a_device_is_mapped_or_left_to_the_lake_on_purpose() {
    let mut claimed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for mapping in mappings() {
        if !mapping.name.starts_with("microsoft/") {
            continue;
        }
        let table = claimed.entry(mapping.source_table.to_string()).or_default();
        table.extend(made(&mapping).iter().map(|row| text(row, "EventOriginalType")));
    }
    let left = |table: &str, action: &str| {
        WITHOUT_SCHEMA.iter().any(|(of, _, actions)| *of == table && actions.contains(&action))
    };
    let mut faults = Vec::new();
    let mut known = 0;
    for line in include_str!("../../../ingest/schemas/action_types.csv").lines().skip(1) {
        let Some((action, table)) = line.rsplit_once(',') else { continue };
        let Some(claimed) = claimed.get(table).filter(|_| table.starts_with("Device")) else { continue };
        known += 1;
        match (claimed.contains(&action.to_lowercase()), left(table, action)) {
            (true, true) => faults.push(format!("{table} {action}: claimed, though it is listed as without a schema")),
            (false, false) => faults.push(format!("{table} {action}: no sample of it is claimed")),
            _ => {}
        }
    }
    assert!(known > 200, "{known} action types are known");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A text of a row or sample in lower case: action types are compared without regard to case.
fn text(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_lowercase()
}
