//! The rules of the identity, cloud, mail and alert mappings that are easy to get wrong, each by name.

use serde_json::{Map, Value, json};

use super::one_row::{expect, made_of};
use super::{compile, decode, mappings, normalizer};

fn made(name: &str, columns: Value) -> Map<String, Value> {
    made_of(name, json!({"Timestamp": "2026-11-20T09:15:00.1234567Z", "ReportId": "r-1"}), columns)
}

fn logon(columns: Value) -> Map<String, Value> {
    let mut all = json!({"ActionType": "LogonSuccess", "Application": "Active Directory"});
    all.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
    made("IdentityLogonEvents", all)
}

#[test]
fn a_logon_in_the_directory_goes_to_the_device_and_is_told_by_the_controller() {
    let controller = json!({"DestinationDeviceName": "dc01.contoso.example", "DestinationIPAddress": "192.0.2.10",
        "DestinationPort": 88, "DeviceName": "WKS-0417", "IPAddress": "192.0.2.44"});
    let validated = logon(controller.clone());
    expect(
        &validated,
        json!({
            "DvcHostname": "dc01", "DvcIpAddr": "192.0.2.10", "TargetHostname": "dc01", "TargetIpAddr": "192.0.2.10",
            "TargetPortNumber": 88, "SrcHostname": "WKS-0417", "SrcIpAddr": "192.0.2.44", "TargetAppType": "Service",
        }),
    );
    let mut resource = controller;
    resource["TargetDeviceName"] = json!("files-02.contoso.example");
    // The address and the port are the controller's, not those of the device that was reached.
    expect(
        &logon(resource),
        json!({
            "DvcHostname": "dc01", "DvcIpAddr": "192.0.2.10", "TargetFQDN": "files-02.contoso.example",
            "TargetIpAddr": null, "TargetPortNumber": null,
        }),
    );
    expect(
        &logon(json!({"Application": "Microsoft 365"})),
        json!({"TargetAppName": "Microsoft 365", "TargetAppType": "SaaS application", "DvcHostname": null}),
    );
}

#[test]
fn usernames_and_ids_say_what_they_are() {
    for (columns, name, name_type, id_type) in [
        (
            json!({"AccountName": "dana", "AccountDomain": "contoso", "AccountUpn": "d@contoso.example",
            "AccountSid": "S-1-5-21-1-2-3-4", "AccountObjectId": "b"}),
            "d@contoso.example",
            "UPN",
            json!("SID"),
        ),
        (
            json!({"AccountName": "dana", "AccountDomain": "contoso", "AccountObjectId": "b"}),
            "contoso\\dana",
            "Windows",
            json!("AADID"),
        ),
        (
            json!({"AccountName": "dana@contoso.example", "AccountDomain": "contoso"}),
            "dana@contoso.example",
            "UPN",
            Value::Null,
        ),
        (json!({"AccountName": "dana"}), "dana", "Simple", Value::Null),
        (json!({"AccountDisplayName": "WKS-0417$"}), "WKS-0417$", "Simple", Value::Null),
    ] {
        expect(
            &logon(columns),
            json!({"TargetUsername": name, "TargetUsernameType": name_type, "TargetUserIdType": id_type}),
        );
    }
    expect(&logon(json!({"AccountDisplayName": "WKS-0417$"})), json!({"TargetUserType": "Machine"}));
}

#[test]
fn mapped_addresses_are_written_as_ipv4_and_kept_as_they_came() {
    let row = logon(json!({"IPAddress": "::ffff:192.0.2.44", "DestinationIPAddress": "::ffff:192.0.2.10"}));
    expect(&row, json!({"SrcIpAddr": "192.0.2.44", "DvcIpAddr": "192.0.2.10"}));
    assert_eq!(row["AdditionalFields"]["IPAddress"], "::ffff:192.0.2.44");
    expect(&logon(json!({"IPAddress": "::ffff:0:1"})), json!({"SrcIpAddr": "::ffff:0:1"}));
    expect(&logon(json!({"IPAddress": "-"})), json!({"SrcIpAddr": null}));
}

#[test]
fn reasons_of_failure_become_words_of_the_schema() {
    for (reason, details) in [
        ("WrongPassword", json!("Incorrect password")),
        ("Wrong password", json!("Incorrect password")),
        ("UnknownUser", json!("No such user")),
        ("AccountLocked", json!("User locked")),
        ("Account disabled", json!("User disabled")),
        ("General", json!("Other")),
        ("", Value::Null),
    ] {
        expect(
            &logon(json!({"ActionType": "LogonFailed", "FailureReason": reason})),
            json!({"EventResult": "Failure", "EventResultDetails": details}),
        );
    }
    for (code, result, details) in [
        (json!(0), "Success", Value::Null),
        (json!(50126), "Failure", json!("No such user or password")),
        (json!(50053), "Failure", json!("User locked")),
        (json!(50074), "Failure", json!("MFA not satisfied")),
        (json!(53003), "Failure", json!("Logon violates policy")),
        (json!(7000215), "Failure", json!("Incorrect key")),
        (json!(99), "Failure", json!("Other")),
        (Value::Null, "NA", Value::Null),
    ] {
        expect(
            &made("EntraIdSignInEvents", json!({"ErrorCode": code})),
            json!({"EventResult": result, "EventResultDetails": details}),
        );
    }
}

#[test]
fn a_change_of_the_directory_tells_its_direction_and_its_values() {
    let change = |action: &str, bag: Value| {
        made("IdentityDirectoryEvents_UserManagement", json!({"ActionType": action, "AdditionalFields": bag}))
    };
    let added = change("Group Membership changed", json!({"TO.GROUP": "Server Operators"}));
    expect(&added, json!({"EventType": "UserAddedToGroup", "GroupName": "Server Operators"}));
    let removed = change("Group Membership changed", json!({"FROM.GROUP": "Server Operators"}));
    expect(&removed, json!({"EventType": "UserRemovedFromGroup", "GroupName": "Server Operators"}));
    expect(&change("Group Membership changed", json!({})), json!({"EventType": "GroupModified", "GroupName": null}));
    let flag = |from: &str, to: &str| {
        change("Account Disabled changed", json!({"FROM Account Disabled": from, "TO Account Disabled": to}))
    };
    expect(
        &flag("False", "True"),
        json!({"EventType": "UserDisabled", "PreviousPropertyValue": "False", "NewPropertyValue": "True"}),
    );
    expect(&flag("True", "False"), json!({"EventType": "UserEnabled"}));
    expect(&flag("", ""), json!({"EventType": "UserModified"}));
}

#[test]
fn a_cloud_activity_has_one_schema() {
    for (action, claimed_by) in [
        ("UserLoggedIn", "CloudAppEvents_Authentication"),
        ("Add member to group.", "CloudAppEvents_UserManagement"),
        ("Add member to role.", "CloudAppEvents_Audit"),
        ("FileRenamed", "CloudAppEvents_FileEvent"),
        ("New-InboxRule", "CloudAppEvents_Audit"),
        ("an action that nobody knows", "CloudAppEvents_Audit"),
    ] {
        let all = normalizer(compile(mappings()));
        let record = json!({
            "time": "2026-11-20T09:16:00Z", "tenantId": "t", "category": "AdvancedHunting-CloudAppEvents",
            "properties": {"Timestamp": "2026-11-20T09:15:00Z", "ActionType": action},
        });
        for batch in decode(&format!("{record}\n")) {
            let normalized = all.normalize(batch);
            let claims: Vec<_> =
                normalized.outcomes.iter().filter(|o| o.rows_in > 0).map(|o| o.mapping.to_string()).collect();
            assert_eq!(claims, [format!("microsoft/defender-xdr/{claimed_by}")], "{action}");
            normalized.batches.into_iter().for_each(|batch| batch.ack.done());
        }
    }
}

#[test]
fn a_renamed_file_is_the_target_under_its_new_name() {
    let site = "https://contoso.example/personal/dana/";
    let file = |raw: Value| made("CloudAppEvents_FileEvent", json!({"ActionType": "FileRenamed", "RawEventData": raw}));
    expect(
        &file(json!({
            "ObjectId": format!("{site}Documents/a.txt"), "SiteUrl": site, "SourceFileName": "a.txt",
            "DestinationRelativeUrl": "Documents", "DestinationFileName": "b.txt",
        })),
        json!({
            "TargetFilePath": format!("{site}Documents/b.txt"), "TargetFileName": "b.txt",
            "SrcFilePath": format!("{site}Documents/a.txt"), "SrcFileName": "a.txt", "TargetFilePathType": "URL",
        }),
    );
    // Without the new folder it is the old one, without the new name the old name.
    expect(
        &file(json!({"ObjectId": format!("{site}Documents/a.txt"), "DestinationFileName": "b.txt"})),
        json!({"TargetFilePath": format!("{site}Documents/b.txt"), "SrcFileName": "a.txt"}),
    );
    expect(
        &file(json!({"ObjectId": format!("{site}a.txt"), "SiteUrl": site, "DestinationRelativeUrl": "Old"})),
        json!({"TargetFilePath": format!("{site}Old/a.txt"), "TargetFileName": "a.txt"}),
    );
}

#[test]
fn a_click_past_the_warning_was_let_through() {
    let click = |action: &str, past: bool| {
        made("UrlClickEvents", json!({"ActionType": action, "IsClickedThrough": past, "Url": "https://a.example/x"}))
    };
    expect(&click("ClickAllowed", false), json!({"EventResult": "Success", "DvcAction": "Allow"}));
    expect(&click("ClickBlocked", false), json!({"EventResult": "Failure", "DvcAction": "Deny"}));
    expect(&click("ClickBlocked", true), json!({"EventResult": "Success", "DvcAction": "Allow"}));
    expect(&click("UrlScanInProgress", false), json!({"EventResult": "NA", "DvcAction": null}));
}

#[test]
fn alerts_keep_their_severity_and_say_how_they_were_found() {
    for (severity, expected) in
        [("High", json!("High")), ("informational", json!("Informational")), ("Unspecified", Value::Null)]
    {
        expect(
            &made("AlertInfo", json!({"AlertId": "da1", "Severity": severity, "DetectionSource": "EDR"})),
            json!({
                "EventSeverity": expected, "EventOriginalSeverity": severity, "EventUid": "da1", "AlertId": "da1",
                "DetectionMethod": "EDR",
            }),
        );
    }
    let tactic = made("AlertInfo", json!({"AlertId": "da1", "Category": "Execution"}));
    expect(&tactic, json!({"AttackTactics": "Execution", "ThreatCategory": null}));
    let threat = made("AlertInfo", json!({"AlertId": "da1", "Category": "Ransomware"}));
    expect(&threat, json!({"AttackTactics": null, "ThreatCategory": "Ransomware", "EventSubType": "Threat"}));
}

#[test]
fn rows_of_one_alert_differ_in_identity_and_share_the_alert() {
    let evidence = |file: &str| {
        made("AlertEvidence", json!({"AlertId": "da1", "EntityType": "File", "FileName": file, "FolderPath": "C:\\x"}))
    };
    let (one, other) = (evidence("a.exe"), evidence("b.exe"));
    expect(&one, json!({"EventUid": "da1", "FilePath": "C:\\x\\a.exe", "IndicatorType": "File"}));
    assert_ne!(one["EventOriginalUid"], other["EventOriginalUid"]);
    assert_eq!(one["EventOriginalUid"], evidence("a.exe")["EventOriginalUid"], "on every replay the same");
    // The folder column holds the folder only here, and the whole path elsewhere.
    let whole = made("AlertEvidence", json!({"AlertId": "da1", "FileName": "a.exe", "FolderPath": "C:\\x\\a.exe"}));
    expect(&whole, json!({"FilePath": "C:\\x\\a.exe"}));
}

#[test]
fn mail_says_where_it_went_and_why_it_was_stopped() {
    let mail = |action: &str, place: &str, threats: &str| {
        made(
            "EmailEvents",
            json!({
                "DeliveryAction": action, "DeliveryLocation": place, "ThreatTypes": threats, "EmailDirection": "Intra-org",
                "RecipientEmailAddress": "dana@contoso.example", "SenderIPv4": "::ffff:203.0.113.77",
                "AuthenticationDetails": r#"{"SPF":"softfail","DKIM":"none","DMARC":"bestguesspass"}"#,
            }),
        )
    };
    expect(
        &mail("Delivered", "Inbox/folder", ""),
        json!({
            "EventResult": "Success", "DvcAction": "Delivered", "EmailDeliveryLocation": "Inbox",
            "EmailDirection": "Internal", "EmailToRecipients": ["dana@contoso.example"], "Dst": "contoso.example",
            "SrcIpAddr": "203.0.113.77", "EmailSpfResult": "SoftFail", "EmailDkimResult": "None",
            "EmailDmarcResult": "BestGuessPass", "EventResultDetails": null,
        }),
    );
    expect(
        &mail("Blocked", "Quarantine", "Phish, Spam"),
        json!({"EventResult": "Failure", "DvcAction": "Quarantined", "EventResultDetails": "PhishingDetected"}),
    );
    expect(&mail("Junked", "Junk folder", "Spam"), json!({"EventResult": "Success", "DvcAction": "Redirected"}));
}
