//! `DeviceLogonEvents`.

use super::process_tree;
use super::row::Row;
use super::scene::Scene;

const ACTIONS: [(u32, &str); 5] = [
    (800, "LogonSuccess"),
    (150, "LogonFailed"),
    (30, "LogonAttempted"),
    (14, "LogonSuccessAggregatedReport"),
    (6, "LogonFailedAggregatedReport"),
];

const TYPES: [(u32, &str); 9] = [
    (360, "Network"),
    (180, "Interactive"),
    (130, "Service"),
    (110, "Unlock"),
    (80, "CachedInteractive"),
    (70, "Batch"),
    (50, "RemoteInteractive"),
    (15, "NewCredentials"),
    (5, "Unknown"),
];

const FAILURES: [(u32, &str); 4] =
    [(80, "InvalidUserNameOrPassword"), (8, "UnknownError"), (7, "AccountDisabled"), (5, "AccountLockedOut")];

/// Writes one logon.
pub(crate) fn write(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let action = scene.dice.weighted(&ACTIONS);
    let kind = scene.dice.weighted(&TYPES);
    let is_failure = action.starts_with("LogonFailed");
    let is_remote = matches!(kind, "Network" | "RemoteInteractive");
    let position = match kind {
        "Service" | "Batch" => {
            let services = scene.organisation.services.clone();
            services.start + scene.dice.index(services.len())
        }
        "Network" if scene.device.is_server => {
            let people = scene.organisation.people.clone();
            people.start + scene.dice.index(people.len())
        }
        _ => scene.device.user,
    };

    scene.head(row, action);
    row.plain("LogonType", kind);
    let is_guess = is_failure && is_remote && scene.dice.percent(30);
    if is_guess {
        // Someone tries names that do not exist.
        row.null("AccountDomain");
        row.plain("AccountName", scene.dice.pick(&["administrator", "admin", "test", "backup"]));
        row.null("AccountSid");
    } else {
        let account = scene.account(position);
        match &account.domain {
            Some(domain) => row.plain("AccountDomain", domain.as_str()),
            None => row.plain("AccountDomain", &scene.device.short_name),
        }
        row.text("AccountName", Some(&account.name));
        row.text("AccountSid", account.sid.as_ref().filter(|_| !is_failure));
    }
    let protocol = match (is_remote, is_guess) {
        (true, true) => Some("NTLM"),
        (true, false) => Some(scene.dice.pick(&["Kerberos", "Kerberos", "NTLM", "Negotiate"])),
        (false, _) => scene.dice.percent(50).then_some("Negotiate"),
    };
    row.escaped_or_null("Protocol", protocol);
    row.escaped_or_null("FailureReason", is_failure.then(|| scene.dice.weighted(&FAILURES)));
    if action == "LogonSuccess" && matches!(kind, "Interactive" | "RemoteInteractive") {
        row.bool("IsLocalAdmin", scene.dice.percent(12));
    } else {
        row.null("IsLocalAdmin");
    }
    if is_failure {
        row.null("LogonId");
    } else {
        row.number("LogonId", i64::from(scene.dice.between(200_000, 4_000_000_000)));
    }
    remote_columns(scene, row, is_remote, is_guess);

    let acting = (!is_remote).then(|| process_tree::acting(scene.device, scene.dice, scene.at));
    scene.acting_process(row, acting);
    scene.acting_process_rights(row, acting);
    scene.inner.push_str(if is_remote { r#"{"IsLocalLogon":false"# } else { r#"{"IsLocalLogon":true"# });
    if action.ends_with("AggregatedReport") {
        let count = scene.dice.between(2, 120);
        scene.inner.push_str(&format!(r#","uniqueEventsAggregated":{count}"#));
    }
    scene.inner.push('}');
    scene.additional_fields(row);
    scene.tail(row);
}

fn remote_columns(scene: &mut Scene<'_>, row: &mut Row<'_>, is_remote: bool, is_guess: bool) {
    if !is_remote {
        row.plain("RemoteDeviceName", "");
        match scene.dice.below(4) {
            0 => {
                row.plain("RemoteIP", "127.0.0.1");
                row.plain("RemoteIPType", "Loopback");
                row.number("RemotePort", 0);
            }
            1 => {
                row.plain("RemoteIP", "-");
                row.nulls(&["RemoteIPType", "RemotePort"]);
            }
            _ => {
                row.plain("RemoteIP", "");
                row.nulls(&["RemoteIPType", "RemotePort"]);
            }
        }
        return;
    }
    let workstation = scene.dice.below(400);
    if is_guess {
        row.null("RemoteDeviceName");
        row.plain("RemoteIP", &format!("203.0.113.{}", scene.dice.between(1, 254)));
        row.plain("RemoteIPType", "Public");
    } else {
        row.plain("RemoteDeviceName", &format!("WKS-{workstation:04}"));
        let address = format!("10.40.{}.{}", workstation / 200, 10 + workstation % 200);
        if scene.dice.one_in(25) {
            row.plain("RemoteIP", &format!("::ffff:{address}"));
            row.plain("RemoteIPType", "FourToSixMapping");
        } else {
            row.plain("RemoteIP", &address);
            row.plain("RemoteIPType", "Private");
        }
    }
    row.number("RemotePort", i64::from(scene.dice.between(49_152, 65_535)));
}
