//! A few events of the other tables that stream: mail, clicks, cloud apps, identities, alerts, and what no mapping claims.

use super::clock::SECOND;
use super::process_tree;
use super::row::Row;
use super::scene::Scene;

const DEVICE_ACTIONS: [(u32, &str); 7] = [
    (380, "DnsQueryResponse"),
    (180, "PowerShellCommand"),
    (150, "ScheduledTaskUpdated"),
    (120, "NamedPipeEvent"),
    (80, "UsbDriveMounted"),
    (60, "AntivirusScanCompleted"),
    (30, "AsrOfficeChildProcessAudited"),
];

/// Columns of `DeviceEvents` that none of these events fills.
const DEVICE_NULLS: [&str; 28] = [
    "FileName",
    "FolderPath",
    "SHA1",
    "SHA256",
    "MD5",
    "FileSize",
    "AccountDomain",
    "AccountName",
    "AccountSid",
    "RemoteUrl",
    "RemoteDeviceName",
    "ProcessId",
    "ProcessCommandLine",
    "ProcessCreationTime",
    "ProcessTokenElevation",
    "LogonId",
    "RegistryKey",
    "RegistryValueName",
    "RegistryValueData",
    "RemoteIP",
    "RemotePort",
    "LocalIP",
    "LocalPort",
    "FileOriginUrl",
    "FileOriginIP",
    "CreatedProcessSessionId",
    "ProcessRemoteSessionDeviceName",
    "ProcessRemoteSessionIP",
];

/// `DeviceEvents`: what fits none of the other device tables.
pub(crate) fn device_events(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let action = scene.dice.weighted(&DEVICE_ACTIONS);
    let acting = process_tree::acting(scene.device, scene.dice, scene.at);
    scene.head(row, action);
    row.nulls(&DEVICE_NULLS);
    row.bool("IsProcessRemoteSession", false);
    scene.acting_process(row, Some(acting));
    row.number("InitiatingProcessLogonId", scene.device.processes[acting].logon_id);
    let site = scene.dice.choose(&scene.organisation.sites);
    let token = scene.dice.hex(12);
    let json = match action {
        "DnsQueryResponse" => format!(
            r#"{{"DnsQueryString":"{}","DnsQueryResult":[{{"DnsQueryType":"A","Result":"{}"}}]}}"#,
            site.host, site.ip
        ),
        "PowerShellCommand" => r#"{"Command":"Get-CimInstance"}"#.to_owned(),
        "ScheduledTaskUpdated" => format!(r#"{{"TaskName":"\\Contoso\\Inventory-{token}"}}"#),
        "NamedPipeEvent" => {
            format!(r#"{{"FileOperation":"File opened","PipeName":"\\Device\\NamedPipe\\mojo.{token}"}}"#)
        }
        "UsbDriveMounted" => {
            format!(r#"{{"DriveLetter":"E:","SerialNumber":"{token}","ProductName":"Fabrikam Disk"}}"#)
        }
        "AntivirusScanCompleted" => r#"{"ScanTypeIndex":"Quick","User":"NT AUTHORITY\\SYSTEM"}"#.to_owned(),
        _ => r#"{"IsAudit":true,"RuleId":"d4f940ab-401b-4efc-aadc-ad5f3c50688a"}"#.to_owned(),
    };
    scene.inner.push_str(&json);
    scene.additional_fields(row);
    scene.tail(row);
}

/// `EmailEvents`: one message to one recipient.
pub(crate) fn email_events(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let people = scene.organisation.people.clone();
    let recipient = &scene.organisation.accounts[people.start + scene.dice.index(people.len())];
    let recipient_upn = recipient.upn.as_ref().map_or("", |upn| upn.as_str());
    let site = scene.dice.choose(&scene.organisation.sites);
    let domain = site.host.split_once('.').map_or("fabrikam.example", |(_, domain)| domain);
    let is_inbound = scene.dice.percent(70);
    let message = scene.dice.guid();
    let is_phish = is_inbound && scene.dice.one_in(60);
    row.time("Timestamp", scene.at / SECOND * SECOND);
    row.plain("NetworkMessageId", &message);
    row.plain("InternetMessageId", &format!("<{}@{domain}>", scene.dice.hex(16)));
    row.plain("SenderMailFromAddress", &format!("bounce@{domain}"));
    row.plain("SenderFromAddress", &format!("news@{domain}"));
    row.plain("SenderDisplayName", "Fabrikam News");
    row.null("SenderObjectId");
    row.plain("SenderMailFromDomain", domain);
    row.plain("SenderFromDomain", domain);
    if site.ip.contains(':') {
        row.null("SenderIPv4");
        row.plain("SenderIPv6", &site.ip);
    } else {
        row.plain("SenderIPv4", &site.ip);
        row.null("SenderIPv6");
    }
    row.plain("RecipientEmailAddress", recipient_upn);
    row.text("RecipientObjectId", recipient.object_id.as_ref());
    let subject = format!("{} \"{}\"", process_tree::document(scene.dice), scene.dice.below(9999));
    row.escaped("Subject", &subject);
    row.number("EmailClusterId", i64::from(scene.dice.between(2_147_483_648, 4_294_000_000)));
    row.plain("EmailDirection", if is_inbound { "Inbound" } else { "Intra-org" });
    row.plain("DeliveryAction", if is_phish { "Blocked" } else { "Delivered" });
    row.plain("DeliveryLocation", if is_phish { "Quarantine" } else { "Inbox/folder" });
    if is_phish {
        row.plain("ThreatTypes", "Phish");
        row.null("ThreatNames");
        row.escaped("DetectionMethods", r#"{"Phish":["Spoof DMARC"]}"#);
        row.escaped("ConfidenceLevel", r#"{"Phish":"High"}"#);
    } else {
        row.nulls(&["ThreatTypes", "ThreatNames", "DetectionMethods", "ConfidenceLevel"]);
    }
    row.nulls(&["BulkComplaintLevel", "EmailAction", "EmailActionPolicy", "EmailActionPolicyGuid"]);
    row.escaped("AuthenticationDetails", r#"{"SPF":"pass","DKIM":"pass","DMARC":"pass","CompAuth":"pass"}"#);
    row.number("AttachmentCount", i64::from(scene.dice.below(3)));
    row.number("UrlCount", i64::from(scene.dice.below(12)));
    row.plain("EmailLanguage", "en");
    row.nulls(&["Connectors", "OrgLevelAction", "OrgLevelPolicy", "UserLevelAction", "UserLevelPolicy"]);
    row.plain("ReportId", &format!("{message}-114{:017}", scene.dice.below(u32::MAX)));
    row.nulls(&["AdditionalFields", "DistributionList"]);
    row.raw("Cc", "[]");
    row.null("Context");
    row.number("EmailSize", i64::from(scene.dice.between(4_000, 900_000)));
    row.nulls(&["ExchangeTransportRule", "ForwardingInformation"]);
    row.bool("IsFirstContact", scene.dice.percent(8));
    row.plain("RecipientDomain", "contoso.example");
    row.null("ThreatClassification");
    row.raw("To", &format!("[\"{recipient_upn}\"]"));
}

/// `UrlClickEvents`: a click on a link in a message.
pub(crate) fn url_click_events(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let people = scene.organisation.people.clone();
    let person = &scene.organisation.accounts[people.start + scene.dice.index(people.len())];
    let url = format!("https://{}/pay", scene.dice.choose(&scene.organisation.sites).host);
    let is_blocked = scene.dice.one_in(30);
    row.time("Timestamp", scene.at);
    row.plain("Url", &url);
    row.plain("ActionType", if is_blocked { "ClickBlocked" } else { "ClickAllowed" });
    row.text("AccountUpn", person.upn.as_ref());
    row.plain("Workload", if scene.dice.percent(80) { "Email" } else { "Teams" });
    row.plain("NetworkMessageId", &scene.dice.guid());
    row.escaped_or_null("ThreatTypes", is_blocked.then_some("Phish"));
    row.null("DetectionMethods");
    row.plain("IPAddress", &format!("198.51.100.{}", scene.dice.between(1, 254)));
    row.bool("IsClickedThrough", false);
    row.escaped("UrlChain", &format!("[\"{url}\"]"));
    row.plain("ReportId", &scene.dice.guid());
    row.plain("AppName", "Mail");
    row.nulls(&["AppVersion", "SourceId"]);
}

const CLOUD_ACTIONS: [(u32, &str, &str); 5] = [
    (40, "FileAccessed", "Microsoft SharePoint Online"),
    (30, "MailItemsAccessed", "Microsoft Exchange Online"),
    (15, "FileDownloaded", "Microsoft OneDrive for Business"),
    (10, "MessageSent", "Microsoft Teams"),
    (5, "New-InboxRule", "Microsoft Exchange Online"),
];

/// `CloudAppEvents`: an activity in a cloud app; its dynamic columns are native JSON.
pub(crate) fn cloud_app_events(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let people = scene.organisation.people.clone();
    let person = &scene.organisation.accounts[people.start + scene.dice.index(people.len())];
    let object_id = person.object_id.as_ref().map_or("", |id| id.as_str());
    let name = person.display_name.as_str();
    let (_, action, application) = CLOUD_ACTIONS[scene.dice.index(CLOUD_ACTIONS.len())];
    let document = process_tree::document(scene.dice);
    row.time("Timestamp", scene.at / SECOND * SECOND);
    row.plain("ActionType", action);
    row.plain("Application", application);
    row.number("ApplicationId", 20_892 + i64::from(scene.dice.below(4)));
    row.number("AppInstanceId", 0);
    row.plain("AccountObjectId", object_id);
    row.plain("AccountId", object_id);
    row.text("AccountDisplayName", Some(&person.display_name));
    row.bool("IsAdminOperation", false);
    row.plain("DeviceType", "Desktop");
    row.plain("OSPlatform", "Windows 11");
    row.plain("IPAddress", &format!("198.51.100.{}", scene.dice.between(1, 254)));
    row.null("IsAnonymousProxy");
    row.plain("CountryCode", scene.dice.pick(&["NL", "DE", "SE", "US"]));
    row.plain("City", "utrecht");
    row.plain("UserAgent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)");
    row.plain("ActivityType", "Basic");
    row.raw("ActivityObjects", &format!(r#"[{{"Type":"Account","Role":"Actor","Name":"{name}","Id":"{object_id}"}}]"#));
    row.escaped("ObjectName", document);
    row.plain("ObjectType", "File");
    row.null("ObjectId");
    row.plain("ReportId", &scene.dice.hex(64));
    row.plain("AccountType", "Regular");
    row.bool("IsExternalUser", false);
    row.bool("IsImpersonated", false);
    row.raw("IPTags", "[]");
    row.null("IPCategory");
    row.raw("UserAgentTags", "[]");
    row.raw(
        "RawEventData",
        &format!(
            r#"{{"Operation":"{action}","Workload":"{}","UserKey":"{object_id}","Version":1,"RecordType":{}}}"#,
            application.rsplit(' ').next().unwrap_or(application),
            scene.dice.between(1, 60)
        ),
    );
    row.raw("AdditionalFields", "{}");
    row.raw("LastSeenForUser", r#"{"ISP":"0"}"#);
    row.raw("UncommonForUser", "[]");
    row.plain("AuditSource", "Defender for Cloud Apps app connector");
    row.nulls(&["SessionData", "OAuthAppId"]);
    row.plain("ISP", "example isp");
}

/// `IdentityLogonEvents`: a logon that a domain controller saw.
pub(crate) fn identity_logon_events(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let people = scene.organisation.people.clone();
    let person = &scene.organisation.accounts[people.start + scene.dice.index(people.len())];
    let is_failure = scene.dice.percent(7);
    let workstation = scene.dice.below(400);
    row.time("Timestamp", scene.at);
    row.plain("ActionType", if is_failure { "LogonFailed" } else { "LogonSuccess" });
    row.plain("Application", "Active Directory");
    row.plain("LogonType", scene.dice.pick(&["Credentials validation", "Resource access"]));
    row.plain("Protocol", scene.dice.pick(&["Kerberos", "Kerberos", "Ntlm"]));
    row.escaped_or_null("FailureReason", is_failure.then_some("WrongPassword"));
    row.text("AccountName", Some(&person.name));
    row.plain("AccountDomain", "contoso.example");
    row.text("AccountUpn", person.upn.as_ref());
    row.text("AccountSid", person.sid.as_ref());
    row.text("AccountObjectId", person.object_id.as_ref());
    row.text("AccountDisplayName", Some(&person.display_name));
    row.plain("DeviceName", &format!("WKS-{workstation:04}"));
    row.plain("DeviceType", "Workstation");
    row.plain("OSPlatform", "Windows11");
    row.plain("IPAddress", &format!("10.40.{}.{}", workstation / 200, 10 + workstation % 200));
    row.number("Port", i64::from(scene.dice.between(49_152, 65_535)));
    row.plain("DestinationDeviceName", "dc01.contoso.example");
    row.plain("DestinationIPAddress", "10.20.0.5");
    row.number("DestinationPort", 88);
    row.nulls(&["TargetDeviceName", "TargetAccountDisplayName", "Location"]);
    row.plain("ReportId", &scene.dice.guid());
    row.raw("AdditionalFields", &format!(r#"{{"Count":"1","FROM.DEVICE":"WKS-{workstation:04}","TO.DEVICE":"DC01"}}"#));
    row.nulls(&["ISP", "LastSeenForUser", "UncommonForUser"]);
}

/// `AlertInfo`: the head of an alert.
pub(crate) fn alert_info(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    row.time("Timestamp", scene.at);
    row.plain("AlertId", &format!("da{}_1", scene.dice.hex(32)));
    row.plain("Title", "Suspicious script launched by Office");
    row.plain("Category", "Execution");
    row.plain("Severity", scene.dice.weighted(&[(40, "Informational"), (30, "Low"), (22, "Medium"), (8, "High")]));
    row.plain("ServiceSource", "Microsoft Defender for Endpoint");
    row.plain("DetectionSource", "EDR");
    row.escaped("AttackTechniques", r#"["PowerShell (T1059.001)"]"#);
    row.null("MachineGroup");
}
