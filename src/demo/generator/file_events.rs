//! `DeviceFileEvents`.

use super::process_tree;
use super::row::Row;
use super::scene::Scene;

const ACTIONS: [(u32, &str); 7] = [
    (470, "FileCreated"),
    (245, "FileModified"),
    (145, "FileRenamed"),
    (120, "FileDeleted"),
    (9, "FileCreatedAggregatedReport"),
    (7, "FileModifiedAggregatedReport"),
    (4, "FileRenamedAggregatedReport"),
];

const EXTENSIONS: [(u32, &str, &str); 12] = [
    (22, "tmp", ""),
    (14, "log", "Unknown"),
    (12, "json", "Unknown"),
    (10, "dll", "PortableExecutable"),
    (8, "docx", "Zip"),
    (8, "xlsx", "Zip"),
    (6, "exe", "PortableExecutable"),
    (6, "pdf", "Pdf"),
    (5, "ps1", "Script"),
    (4, "zip", "Zip"),
    (3, "js", "Script"),
    (2, "lnk", "Unknown"),
];

const FOLDERS: [&str; 8] = [
    r"C:\Users\{user}\Documents",
    r"C:\Users\{user}\Downloads",
    r"C:\Users\{user}\AppData\Local\Temp",
    r"C:\Users\{user}\AppData\Local\Microsoft\OneDrive\logs\Business1",
    r"C:\Windows\Temp",
    r"C:\Windows\SoftwareDistribution\Download\{hex}",
    r"C:\ProgramData\Fabrikam\Backup\queue",
    r"C:\ProgramData\Microsoft\Windows Defender Advanced Threat Protection\Cache",
];

const LINUX_FOLDERS: [&str; 4] = ["/var/log/nginx", "/var/tmp", "/srv/orders/log", "/home/{user}"];

const SHARES: [&str; 3] = ["finance", "home", "projects"];

/// Writes one event of a file.
pub(crate) fn write(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let action = scene.dice.weighted(&ACTIONS);
    let acting = process_tree::acting(scene.device, scene.dice, scene.at);
    let share =
        (scene.device.is_server && !scene.device.is_linux && scene.dice.percent(40)).then(|| scene.dice.pick(&SHARES));
    let folder = folder(scene, share);
    let separator = if scene.device.is_linux { '/' } else { '\\' };
    let (extension, file_type) = extension(scene);
    let name = file_name(scene, extension);
    // A hash is missing where the file was gone or too large when the sensor came to it.
    let is_hashed = action != "FileDeleted" && scene.dice.percent(88);

    scene.head(row, action);
    row.escaped("FileName", &name);
    row.escaped("FolderPath", &format!("{folder}{separator}{name}"));
    if is_hashed {
        let sha256 = scene.dice.hex(64);
        row.plain("SHA1", &sha256[..40]);
        row.plain("SHA256", &sha256);
        row.plain("MD5", &sha256[32..]);
    } else {
        row.nulls(&["SHA1", "SHA256", "MD5"]);
    }
    let is_download = action == "FileCreated" && folder.ends_with("Downloads");
    if is_download {
        let site = scene.dice.choose(&scene.organisation.sites);
        let token = scene.dice.hex(12);
        row.escaped("FileOriginUrl", &format!("https://{}/files/{token}/{name}", site.host));
        row.escaped("FileOriginReferrerUrl", &format!("https://{}/", site.host));
        row.plain("FileOriginIP", &site.ip);
    } else {
        row.nulls(&["FileOriginUrl", "FileOriginReferrerUrl", "FileOriginIP"]);
    }
    if action.starts_with("FileRenamed") {
        row.escaped("PreviousFolderPath", &folder);
        row.escaped("PreviousFileName", &format!("{}.tmp", scene.dice.hex(8)));
    } else {
        row.plain("PreviousFolderPath", "");
        row.plain("PreviousFileName", "");
    }
    if action == "FileDeleted" {
        row.null("FileSize");
    } else {
        // Log-uniform: most files are small, some are hundreds of megabytes.
        let bits = scene.dice.between(6, 28);
        row.number("FileSize", i64::from(scene.dice.between(1 << bits, (2 << bits) - 1)));
    }
    request_columns(scene, row, share, acting);
    let is_labelled = matches!(extension, "docx" | "xlsx" | "pdf") && scene.dice.percent(20);
    if is_labelled {
        row.plain("SensitivityLabel", "Confidential");
        row.plain("SensitivitySubLabel", "Contoso internal");
        row.bool("IsAzureInfoProtectionApplied", true);
    } else {
        row.nulls(&["SensitivityLabel", "SensitivitySubLabel", "IsAzureInfoProtectionApplied"]);
    }

    scene.acting_process(row, Some(acting));
    scene.acting_process_rights(row, Some(acting));
    if action.ends_with("AggregatedReport") {
        let count = scene.dice.between(2, 900);
        scene.inner.push_str(&format!(r#"{{"uniqueEventsAggregated":{count}}}"#));
    } else if !file_type.is_empty() {
        scene.inner.push_str(&format!(r#"{{"FileType":"{file_type}"}}"#));
    }
    scene.additional_fields(row);
    scene.tail(row);
}

/// Who asked for it: a client of a share, or a local account.
fn request_columns(scene: &mut Scene<'_>, row: &mut Row<'_>, share: Option<&str>, acting: usize) {
    let people = scene.organisation.people.clone();
    let position = match share {
        Some(_) => people.start + scene.dice.index(people.len()),
        None => scene.device.processes[acting].account,
    };
    let account = &scene.organisation.accounts[position];
    match share {
        Some(share) => {
            row.plain("RequestProtocol", "Smb");
            row.plain("RequestSourceIP", &format!("10.40.{}.{}", scene.dice.below(2), scene.dice.between(10, 209)));
            row.number("RequestSourcePort", i64::from(scene.dice.between(49_152, 65_535)));
            row.plain("ShareName", share);
        }
        None => {
            row.plain("RequestProtocol", "Local");
            row.nulls(&["RequestSourceIP", "RequestSourcePort", "ShareName"]);
        }
    }
    row.text("RequestAccountName", Some(&account.name));
    // The one domain column that the sensor writes in upper case.
    match &account.domain {
        Some(domain) => row.plain("RequestAccountDomain", &domain.as_str().to_uppercase()),
        None => row.plain("RequestAccountDomain", &scene.device.short_name.to_uppercase()),
    }
    row.text("RequestAccountSid", account.sid.as_ref());
}

fn folder(scene: &mut Scene<'_>, share: Option<&str>) -> String {
    if let Some(share) = share {
        return format!(r"D:\shares\{share}\{}", scene.dice.between(2019, 2026));
    }
    let folders: &[&str] = if scene.device.is_linux { &LINUX_FOLDERS } else { &FOLDERS };
    let folder = scene.dice.pick(folders);
    let user = scene.account(scene.device.user).name.as_str();
    folder.replace("{user}", user).replace("{hex}", &scene.dice.hex(32))
}

fn extension(scene: &mut Scene<'_>) -> (&'static str, &'static str) {
    let total = EXTENSIONS.iter().map(|(weight, ..)| weight).sum();
    let mut left = scene.dice.below(total);
    for (weight, extension, file_type) in EXTENSIONS {
        if left < weight {
            return (extension, file_type);
        }
        left -= weight;
    }
    ("tmp", "")
}

fn file_name(scene: &mut Scene<'_>, extension: &str) -> String {
    match extension {
        "docx" | "xlsx" | "pdf" | "zip" | "lnk" => {
            format!("{} {}.{extension}", process_tree::document(scene.dice), scene.dice.below(400))
        }
        "dll" | "exe" => format!("fabrikam.{}.{extension}", scene.dice.hex(4)),
        _ => format!("{}.{extension}", scene.dice.hex(12)),
    }
}
