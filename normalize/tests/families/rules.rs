//! The rules of the Defender device mappings that are easy to get wrong, each by name: docs/mappings.md states them.

use serde_json::{Map, Value, json};

use super::one_row::{expect, made_of};

fn made(name: &str, columns: Value) -> Map<String, Value> {
    let common = json!({
        "Timestamp": "2026-11-20T09:15:00.1234567Z", "DeviceId": DEVICE, "DeviceName": "wks-0417.contoso.example",
        "ReportId": 1,
    });
    made_of(name, common, columns)
}

const DEVICE: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn the_side_that_opened_a_network_session_is_its_source() {
    let ends = |action: &str, bag: &str| {
        made(
            "DeviceNetworkEvents",
            json!({
                "ActionType": action, "LocalIP": "192.0.2.31", "LocalPort": 50001, "RemoteIP": "198.51.100.9",
                "RemotePort": 443, "InitiatingProcessFileName": "a.exe", "InitiatingProcessId": 7,
                "InitiatingProcessAccountName": "kiosk", "AdditionalFields": bag,
            }),
        )
    };
    let from_device = |direction: &str| {
        json!({
            "NetworkDirection": direction, "SrcDvcId": DEVICE, "SrcIpAddr": "192.0.2.31", "SrcPortNumber": 50001,
            "SrcAppName": "a.exe", "SrcUsername": "kiosk", "DstIpAddr": "198.51.100.9", "DstDvcId": null,
            "DstUsername": null,
        })
    };
    let to_device = |direction: &str| {
        json!({
            "NetworkDirection": direction, "DstDvcId": DEVICE, "DstIpAddr": "192.0.2.31", "DstPortNumber": 50001,
            "DstAppName": "a.exe", "DstUsername": "kiosk", "SrcIpAddr": "198.51.100.9", "SrcDvcId": null,
            "SrcUsername": null,
        })
    };
    for action in ["ConnectionSuccess", "ConnectionFailed", "ConnectionAttempt", "ConnectionRequest"] {
        expect(&ends(action, ""), from_device("Outbound"));
    }
    for action in ["InboundConnectionAccepted", "InboundConnectionAttempt", "InboundInternetScanInspected"] {
        expect(&ends(action, ""), to_device("Inbound"));
    }
    expect(&ends("SslConnectionInspected", r#"{"direction":"Out"}"#), from_device("Outbound"));
    expect(&ends("SslConnectionInspected", r#"{"direction":"In"}"#), to_device("Inbound"));
    expect(&ends("ConnectionFound", ""), from_device("Unknown"));
    expect(&ends("ListeningConnectionCreated", ""), to_device("Listen"));

    let blocked = |action: &str| {
        made(
            "DeviceEvents_NetworkSession",
            json!({
                "ActionType": action, "LocalIP": "192.0.2.31", "LocalPort": 50001, "RemoteIP": "198.51.100.9",
                "RemotePort": 443, "InitiatingProcessFileName": "a.exe", "InitiatingProcessAccountName": "kiosk",
            }),
        )
    };
    expect(&blocked("FirewallOutboundConnectionBlocked"), from_device("Outbound"));
    expect(&blocked("FirewallInboundConnectionBlocked"), to_device("Inbound"));
}

#[test]
fn a_logon_goes_to_the_device_and_comes_from_the_remote_one_or_from_itself() {
    let remote = made(
        "DeviceLogonEvents",
        json!({
            "ActionType": "LogonSuccess", "LogonType": "RemoteInteractive", "RemoteDeviceName": "JUMP-01",
            "RemoteIP": "198.51.100.7", "AccountName": "dana",
        }),
    );
    expect(
        &remote,
        json!({
            "TargetDvcId": DEVICE, "TargetHostname": "wks-0417", "SrcHostname": "JUMP-01", "SrcIpAddr": "198.51.100.7",
            "SrcDvcId": null, "EventSubType": "RemoteInteractive",
        }),
    );
    let local = made(
        "DeviceLogonEvents",
        json!({
            "ActionType": "LogonSuccess", "LogonType": "Interactive", "RemoteIP": "127.0.0.1", "AccountName": "dana",
        }),
    );
    expect(&local, json!({"TargetDvcId": DEVICE, "SrcDvcId": DEVICE, "SrcHostname": "wks-0417"}));
}

#[test]
fn usernames_and_user_ids_say_of_which_kind_they_are() {
    let actor = |domain: &str, name: &str, upn: &str, sid: &str, object: &str| {
        made(
            "DeviceRegistryEvents",
            json!({
                "ActionType": "RegistryKeyCreated", "InitiatingProcessAccountDomain": domain,
                "InitiatingProcessAccountName": name, "InitiatingProcessAccountUpn": upn,
                "InitiatingProcessAccountSid": sid, "InitiatingProcessAccountObjectId": object,
            }),
        )
    };
    let sid = "S-1-5-21-1-2-3-1105";
    for (row, username, kind, id, id_kind, user) in [
        (actor("contoso", "dana", "", sid, ""), "contoso\\dana", "Windows", json!(sid), json!("SID"), "Regular"),
        (
            actor("contoso", "dana", "dana@contoso.example", sid, "bb"),
            "dana@contoso.example",
            "UPN",
            json!(sid),
            json!("SID"),
            "Regular",
        ),
        (
            actor("", "dana@contoso.example", "", "", "bb"),
            "dana@contoso.example",
            "UPN",
            json!("bb"),
            json!("AADID"),
            "Regular",
        ),
        (actor("", "dana", "", "", ""), "dana", "Simple", Value::Null, Value::Null, "Regular"),
        (
            actor("nt authority", "système", "", "S-1-5-18", ""),
            "nt authority\\système",
            "Windows",
            json!("S-1-5-18"),
            json!("SID"),
            "System",
        ),
        (
            actor("contoso", "wks-0417$", "", sid, ""),
            "contoso\\wks-0417$",
            "Windows",
            json!(sid),
            json!("SID"),
            "Machine",
        ),
        (
            actor("wks", "dana", "", "S-1-5-21-1-2-3-500", ""),
            "wks\\dana",
            "Windows",
            json!("S-1-5-21-1-2-3-500"),
            json!("SID"),
            "Admin",
        ),
        (
            actor("wks", "dana", "", "S-1-5-21-1-2-3-501", ""),
            "wks\\dana",
            "Windows",
            json!("S-1-5-21-1-2-3-501"),
            json!("SID"),
            "Guest",
        ),
        (actor("", "root", "", "", ""), "root", "Simple", Value::Null, Value::Null, "Admin"),
    ] {
        expect(
            &row,
            json!({
                "ActorUsername": username, "ActorUsernameType": kind, "ActorUserId": id, "ActorUserIdType": id_kind,
                "ActorUserType": user,
            }),
        );
    }
    let nobody = actor("contoso", "", "", "", "");
    expect(&nobody, json!({"ActorUsername": null, "ActorUsernameType": null, "ActorUserType": null}));
    assert_eq!(nobody["AdditionalFields"]["InitiatingProcessAccountDomain"], json!("contoso"));
}

#[test]
fn a_device_name_splits_at_its_first_dot_unless_it_is_an_address() {
    let device =
        |name: &str| made("DeviceRegistryEvents", json!({"ActionType": "RegistryKeyCreated", "DeviceName": name}));
    expect(
        &device("a.b.example"),
        json!({
            "DvcHostname": "a", "DvcDomain": "b.example", "DvcDomainType": "FQDN", "DvcFQDN": "a.b.example",
            "DvcIdType": "MDEid",
        }),
    );
    for whole in ["wks-0417", "192.0.2.44"] {
        expect(
            &device(whole),
            json!({
                "DvcHostname": whole, "DvcDomain": null, "DvcDomainType": null, "DvcFQDN": null,
            }),
        );
    }
}

#[test]
fn a_folder_path_holds_the_file_name_or_not() {
    let whole = r"C:\tools\a.exe";
    for (mapping, action, folder, column) in [
        ("DeviceFileEvents", "FileCreated", whole, "TargetFilePath"),
        ("DeviceImageLoadEvents", "ImageLoaded", whole, "TargetFilePath"),
        ("DeviceProcessEvents", "ProcessCreated", r"C:\tools\A.EXE", "TargetProcessName"),
        ("DeviceEvents_FileEvent", "SensitiveFileRead", r"C:\tools", "TargetFilePath"),
        ("DeviceEvents_FileEvent", "SensitiveFileRead", r"C:\tools\", "TargetFilePath"),
        ("DeviceEvents_AlertEvent", "AntivirusDetection", r"C:\tools", "FilePath"),
        ("DeviceEvents_ProcessEvent", "ProcessCreatedUsingWmiQuery", r"C:\tools", "TargetProcessName"),
    ] {
        let row = made(mapping, json!({"ActionType": action, "FileName": "a.exe", "FolderPath": folder}));
        let path = row[column].as_str().unwrap();
        assert!(path.eq_ignore_ascii_case(whole), "{mapping} makes `{path}` of `{folder}`");
    }
    let unix = json!({"ActionType": "PlistPropertyModified", "FileName": "a.plist", "FolderPath": "/Library"});
    expect(
        &made("DeviceEvents_FileEvent", unix),
        json!({
            "TargetFilePath": "/Library/a.plist", "TargetFilePathType": "Unix", "TargetFileDirectory": "/Library",
            "TargetFileExtension": "plist",
        }),
    );
}

#[test]
fn a_renamed_file_is_the_target_and_its_old_name_the_source() {
    let row = made(
        "DeviceFileEvents",
        json!({
            "ActionType": "FileRenamed", "FileName": "b.txt", "FolderPath": r"C:\new\b.txt", "PreviousFileName": "a.doc",
            "PreviousFolderPath": r"C:\old",
        }),
    );
    expect(
        &row,
        json!({
            "EventType": "FileRenamed", "TargetFileName": "b.txt", "TargetFilePath": r"C:\new\b.txt",
            "TargetFileDirectory": r"C:\new", "SrcFileName": "a.doc", "SrcFilePath": r"C:\old\a.doc",
            "SrcFileDirectory": r"C:\old", "SrcFilePathType": "Windows Local",
        }),
    );
}

#[test]
fn the_hash_type_names_the_strongest_hash_that_the_event_has() {
    let hashed = |sha256: &str, md5: &str, sha1: &str| {
        made(
            "DeviceImageLoadEvents",
            json!({
                "ActionType": "ImageLoaded", "FileName": "a.dll", "SHA256": sha256, "MD5": md5, "SHA1": sha1,
            }),
        )
    };
    expect(&hashed("a", "b", "c"), json!({"HashType": "SHA256", "TargetFileSHA256": "a", "TargetFileMD5": "b"}));
    expect(&hashed("", "b", "c"), json!({"HashType": "MD5", "TargetFileSHA256": null}));
    expect(&hashed("", "", "c"), json!({"HashType": "SHA", "TargetFileSHA1": "c"}));
    expect(&hashed("", "", ""), json!({"HashType": null}));
}

#[test]
fn registry_roots_are_written_out_and_value_types_named_as_the_schema_names_them() {
    let key = |action: &str, key: &str, previous: &str| {
        made(
            "DeviceRegistryEvents",
            json!({
                "ActionType": action, "RegistryKey": key, "PreviousRegistryKey": previous,
            }),
        )
    };
    for (raw, written) in [
        (r"HKEY_LOCAL_MACHINE\SOFTWARE", r"HKEY_LOCAL_MACHINE\SOFTWARE"),
        (r"HKLM\SOFTWARE", r"HKEY_LOCAL_MACHINE\SOFTWARE"),
        (r"HKCU\Environment", r"HKEY_CURRENT_USER\Environment"),
        (r"HKCR\.txt", r"HKEY_CLASSES_ROOT\.txt"),
        (r"HKCC\System", r"HKEY_CURRENT_CONFIG\System"),
        (r"HKU\S-1-5-18", r"HKEY_USERS\S-1-5-18"),
        (r"HKEY_CURRENT_USER\S-1-5-21-1-2-3-1105\Run", r"HKEY_USERS\S-1-5-21-1-2-3-1105\Run"),
        (r"\REGISTRY\MACHINE\SYSTEM", r"HKEY_LOCAL_MACHINE\SYSTEM"),
        (r"\REGISTRY\USER\S-1-5-18", r"HKEY_USERS\S-1-5-18"),
    ] {
        expect(&key("RegistryKeyCreated", raw, ""), json!({"RegistryKey": written}));
        let renamed = json!({"RegistryKey": r"HKEY_LOCAL_MACHINE\A", "RegistryPreviousKey": written});
        expect(&key("RegistryKeyRenamed", r"HKLM\A", raw), renamed);
    }
    expect(&key("RegistryKeyDeleted", "", r"HKLM\A"), json!({"RegistryKey": r"HKEY_LOCAL_MACHINE\A"}));

    for (raw, named) in [
        ("None", "Reg_None"),
        ("String", "Reg_Sz"),
        ("ExpandString", "Reg_Expand_Sz"),
        ("MultiString", "Reg_Multi_Sz"),
        ("Binary", "Reg_Binary"),
        ("Dword", "Reg_DWord"),
        ("Qword", "Reg_QWord"),
    ] {
        let row = made(
            "DeviceRegistryEvents",
            json!({
                "ActionType": "RegistryValueSet", "RegistryKey": r"HKLM\A", "RegistryValueName": "v",
                "RegistryValueType": raw, "RegistryValueData": "1", "PreviousRegistryValueData": "0",
            }),
        );
        expect(
            &row,
            json!({
                "RegistryValueType": named, "RegistryValue": "v", "RegistryValueData": "1",
                "RegistryPreviousValueData": "0",
            }),
        );
    }
}

#[test]
fn a_failed_logon_says_why_in_the_schemas_words_and_keeps_its_own() {
    for (reason, details) in [
        ("InvalidUserNameOrPassword", "No such user or password"),
        ("UnknownUser", "No such user"),
        ("WrongPassword", "Incorrect password"),
        ("AccountDisabled", "User disabled"),
        ("AccountLockedOut", "User locked"),
        ("AccountExpired", "Account expired"),
        ("PasswordExpired", "Password expired"),
        ("LogonTypeNotGranted", "Logon violates policy"),
        ("ReasonOfTomorrow", "Other"),
    ] {
        let row = made("DeviceLogonEvents", json!({"ActionType": "LogonFailed", "FailureReason": reason}));
        expect(
            &row,
            json!({
                "EventResult": "Failure", "EventResultDetails": details, "EventOriginalResultDetails": reason,
                "EventSeverity": "Low",
            }),
        );
    }
    let success = made("DeviceLogonEvents", json!({"ActionType": "LogonSuccess", "FailureReason": ""}));
    expect(&success, json!({"EventResult": "Success", "EventResultDetails": null, "EventSeverity": "Informational"}));
}

#[test]
fn the_severity_of_an_alert_is_that_of_what_happened() {
    for (action, severity, denied) in [
        ("AntivirusMalwareActionFailed", "High", Value::Null),
        ("TamperingAttempt", "High", Value::Null),
        ("AntivirusDetection", "Medium", Value::Null),
        ("AsrRansomwareBlocked", "Medium", json!("Deny")),
        ("AsrRansomwareAudited", "Low", json!("Allow")),
        ("ExploitGuardAcgEnforced", "Medium", json!("Deny")),
        ("AppControlExecutableBlocked", "Low", json!("Deny")),
        ("AppControlExecutableAudited", "Informational", json!("Allow")),
        ("SmartScreenUrlWarning", "Low", Value::Null),
        ("SmartScreenUserOverride", "Medium", json!("Allow")),
    ] {
        let row = made("DeviceEvents_AlertEvent", json!({"ActionType": action}));
        expect(&row, json!({"EventSeverity": severity, "DvcAction": denied, "EventType": "Alert"}));
    }
}

#[test]
fn an_ipv4_address_mapped_into_ipv6_is_an_ipv4_address() {
    let mapped = "::ffff:198.51.100.9";
    for (mapping, action, column) in [
        ("DeviceNetworkEvents", "ConnectionSuccess", "DstIpAddr"),
        ("DeviceNetworkEvents_Dns", "DnsConnectionInspected", "DstIpAddr"),
        ("DeviceLogonEvents", "LogonSuccess", "SrcIpAddr"),
        ("DeviceEvents_NetworkSession", "FirewallInboundConnectionBlocked", "SrcIpAddr"),
        ("DeviceEvents_Dns", "DnsQueryRequest", "DstIpAddr"),
        ("DeviceEvents_Authentication", "ContainedUserLogonBlocked", "SrcIpAddr"),
        ("DeviceEvents_UserManagement", "PasswordChangeAttempt", "SrcIpAddr"),
        ("DeviceEvents_FileEvent", "ContainedUserSmbFileOpenBlocked", "SrcIpAddr"),
        ("DeviceEvents_AuditEvent", "NetworkShareObjectAccessChecked", "SrcIpAddr"),
    ] {
        let bag = r#"{"query":"a.example"}"#;
        let row = made(mapping, json!({"ActionType": action, "RemoteIP": mapped, "AdditionalFields": bag}));
        expect(&row, json!({column: "198.51.100.9"}));
        assert_eq!(row["AdditionalFields"]["RemoteIP"], json!(mapped), "{mapping}");
        let none = made(mapping, json!({"ActionType": action, "RemoteIP": "-", "AdditionalFields": bag}));
        expect(&none, json!({column: null}));
    }
    let request = json!({"ActionType": "FileCreated", "RequestSourceIP": mapped});
    expect(&made("DeviceFileEvents", request), json!({"SrcIpAddr": "198.51.100.9"}));
}

#[test]
fn the_address_of_the_device_is_its_local_one_but_for_the_loopback() {
    for (mapping, action) in [
        ("DeviceEvents_AlertEvent", "NetworkProtectionUserBypassEvent"),
        ("DeviceEvents_AuditEvent", "LdapSearch"),
        ("DeviceEvents_Authentication", "ContainedUserLogonBlocked"),
        ("DeviceEvents_FileEvent", "ContainedUserSmbFileOpenBlocked"),
        ("DeviceEvents_ProcessEvent", "ProcessCreatedUsingWmiQuery"),
        ("DeviceEvents_UserManagement", "PasswordChangeAttempt"),
    ] {
        for (local, device) in [
            ("192.0.2.31", json!("192.0.2.31")),
            ("::ffff:192.0.2.31", json!("192.0.2.31")),
            ("2001:db8::31", json!("2001:db8::31")),
            ("127.0.0.1", Value::Null),
            ("::1", Value::Null),
            ("-", Value::Null),
        ] {
            let row = made(mapping, json!({"ActionType": action, "LocalIP": local, "FileName": "a.exe"}));
            expect(&row, json!({"DvcIpAddr": device}));
            let is_kept = json!(row).to_string().contains(&format!("\"{local}\""));
            // `-` says that there is none.
            assert!(is_kept || local == "-", "{mapping}: {local} is kept in {row:?}");
        }
    }
}

#[test]
fn a_dns_record_type_that_is_told_by_its_number_has_its_name() {
    for (told, name, number) in [("TYPE65", "HTTPS", 65), ("Type64", "SVCB", 64), ("TYPE65400", "TYPE65400", 65400)] {
        let bag = json!({"DnsQueryType": told, "DnsQueryString": "a.example"}).to_string();
        let row = made("DeviceEvents_Dns", json!({"ActionType": "DnsQueryRequest", "AdditionalFields": bag}));
        expect(&row, json!({"DnsQueryTypeName": name, "DnsQueryType": number}));
        let bag = json!({"qtype_name": told, "query": "a.example"}).to_string();
        let row =
            made("DeviceNetworkEvents_Dns", json!({"ActionType": "DnsConnectionInspected", "AdditionalFields": bag}));
        expect(&row, json!({"DnsQueryTypeName": name}));
    }
}
