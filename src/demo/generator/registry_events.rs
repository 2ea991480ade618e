//! `DeviceRegistryEvents`. Linux has no registry: the caller takes a Windows device.

use super::process_tree;
use super::row::Row;
use super::scene::Scene;

const ACTIONS: [(u32, &str); 5] = [
    (820, "RegistryValueSet"),
    (80, "RegistryKeyCreated"),
    (60, "RegistryValueDeleted"),
    (30, "RegistryKeyDeleted"),
    (10, "RegistryKeyRenamed"),
];

/// Key, value name, value type; `{sid}` is the account's, `{guid}` and `{hex}` are drawn.
const VALUES: [(&str, &str, &str); 10] = [
    (r"HKEY_CURRENT_USER\{sid}\Software\Microsoft\Windows\CurrentVersion\Run", "Updater", "String"),
    (r"HKEY_CURRENT_USER\{sid}\Software\Microsoft\Office\16.0\Common\Identity", "LastSignIn", "Qword"),
    (r"HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Services\bam\State\UserSettings\{sid}", "Version", "Dword"),
    (r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{guid}", "DisplayVersion", "String"),
    (r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SystemCertificates\AuthRoot\Certificates\{hex}", "Blob", "Binary"),
    (r"HKEY_LOCAL_MACHINE\SOFTWARE\Contoso\Agent", "LastRun", "String"),
    (r"HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Services\FabrikamBackup", "ImagePath", "ExpandString"),
    (
        r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tree\Contoso\Inventory",
        "Id",
        "String",
    ),
    (r"HKEY_USERS\{sid}\Software\Policies\Contoso", "Servers", "MultiString"),
    (r"HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Control\Lsa", "", "Dword"),
];

/// Writes one event of a key or value.
pub(crate) fn write(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let action = scene.dice.weighted(&ACTIONS);
    let acting = process_tree::acting(scene.device, scene.dice, scene.at);
    let (key, name, kind) = scene.dice.pick(&VALUES);
    let account = scene.account(scene.device.processes[acting].account);
    let sid = account.sid.as_ref().map_or("S-1-5-18", |sid| sid.as_str());
    let key = key
        .replace("{sid}", sid)
        .replace("{guid}", &format!("{{{}}}", scene.dice.guid().to_uppercase()))
        .replace("{hex}", &scene.dice.hex(40).to_uppercase());

    scene.head(row, action);
    let is_value = action.starts_with("RegistryValue");
    match action {
        // What is gone stands in the columns of what was before.
        "RegistryKeyDeleted" | "RegistryValueDeleted" => row.plain("RegistryKey", ""),
        _ => row.escaped("RegistryKey", &key),
    }
    row.plain("RegistryValueType", if is_value { kind } else { "None" });
    if action == "RegistryValueSet" {
        row.escaped("RegistryValueName", if name.is_empty() { "(Default)" } else { name });
        let data = value_data(scene, kind);
        row.escaped_or_null("RegistryValueData", data.as_deref());
    } else {
        row.nulls(&["RegistryValueName", "RegistryValueData"]);
    }
    match action {
        "RegistryValueSet" | "RegistryKeyCreated" => row.plain("PreviousRegistryKey", ""),
        "RegistryKeyRenamed" => row.escaped("PreviousRegistryKey", &format!("{key}.old")),
        _ => row.escaped("PreviousRegistryKey", &key),
    }
    if is_value {
        row.escaped("PreviousRegistryValueName", if name.is_empty() { "(Default)" } else { name });
        let data = if scene.dice.percent(55) { value_data(scene, kind) } else { None };
        row.escaped_or_null("PreviousRegistryValueData", data.as_deref());
    } else {
        row.nulls(&["PreviousRegistryValueName", "PreviousRegistryValueData"]);
    }
    scene.acting_process(row, Some(acting));
    scene.acting_process_rights(row, Some(acting));
    scene.tail(row);
}

/// Data as the sensor writes it; binary data is left out.
fn value_data(scene: &mut Scene<'_>, kind: &str) -> Option<String> {
    match kind {
        "Dword" => Some(scene.dice.below(5).to_string()),
        "Qword" => Some((scene.dice.bits() >> 1).to_string()),
        "Binary" => None,
        "ExpandString" => Some(r#""%ProgramFiles%\Fabrikam\Backup\BackupAgent.exe" --service"#.to_owned()),
        "MultiString" => Some("srv-files003\nsrv-files011".to_owned()),
        _ => Some(format!(r"C:\Users\Public\updater-{}.exe", scene.dice.hex(6))),
    }
}
