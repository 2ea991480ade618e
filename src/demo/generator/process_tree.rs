//! What runs on a device: processes with their parents, ids, times and command lines.
//!
//! A process that one event starts is the acting process of later events, with the same ids and times, so that trees
//! can be put together from the rows as a hunter does it.

use super::clock::SECOND;
use super::device::{Device, Process};
use super::dice::Dice;
use super::organisation::{Account, Installed, LOCAL_SERVICE, NETWORK_SERVICE, Organisation, ROOT, SYSTEM, WWW_DATA};
use super::programs::{EXPLORER, LINUX_RESIDENTS, RunsAs, WINDOWS_RESIDENTS};
use super::row::JsonText;

/// At most so many processes of a device act at a time; a new one takes the place of an old one.
const RUNNING: usize = 28;

/// Starts the programs that run as long as the device does.
pub(crate) fn boot(device: &mut Device, organisation: &Organisation, dice: &mut Dice, booted: i64) {
    let residents = if device.is_linux { LINUX_RESIDENTS } else { WINDOWS_RESIDENTS };
    for (number, (name, parent_name)) in residents.iter().enumerate() {
        let created = booted + (1 + number as i64) * SECOND + i64::from(dice.below(SECOND as u32));
        let parent = residents[..number].iter().position(|(resident, _)| resident == parent_name);
        let mut process = start(device, organisation, dice, parent, organisation.program(name), created);
        if parent.is_none() {
            process.parent_program = organisation.program(parent_name);
        }
        device.processes.push(process);
    }
    device.resident = residents.len();
}

/// The acting process of an event at `at`: one that had started by then.
pub(crate) fn acting(device: &Device, dice: &mut Dice, at: i64) -> usize {
    for _ in 0..4 {
        let position = dice.index(device.processes.len());
        if device.processes[position].created < at {
            return position;
        }
    }
    dice.index(device.resident)
}

/// Starts a program at `at`. Gives the positions of the parent and of the new process.
pub(crate) fn spawn(device: &mut Device, organisation: &Organisation, dice: &mut Dice, at: i64) -> (usize, usize) {
    let mut parent = acting(device, dice, at);
    if organisation.programs[device.processes[parent].program].starts.is_empty() {
        parent = if device.is_linux { 0 } else { EXPLORER };
    }
    let program = dice.pick(&organisation.programs[device.processes[parent].program].starts);
    let process = start(device, organisation, dice, Some(parent), program, at);
    if device.processes.len() < RUNNING {
        device.processes.push(process);
        return (parent, device.processes.len() - 1);
    }
    let mut position = device.resident + dice.index(RUNNING - device.resident);
    if position == parent {
        position = if position + 1 < RUNNING { position + 1 } else { device.resident };
    }
    device.processes[position] = process;
    (parent, position)
}

fn start(
    device: &Device,
    organisation: &Organisation,
    dice: &mut Dice,
    parent: Option<usize>,
    program: usize,
    created: i64,
) -> Process {
    let parent = parent.map(|position| &device.processes[position]);
    let installed = &organisation.programs[program];
    let runs_as = match (installed.program.runs_as, parent) {
        (RunsAs::Parent, Some(parent)) => parent.account,
        (RunsAs::User, _) => device.user,
        (RunsAs::LocalService, _) => LOCAL_SERVICE,
        (RunsAs::NetworkService, _) if device.is_linux => WWW_DATA,
        (RunsAs::NetworkService, _) => NETWORK_SERVICE,
        (RunsAs::System | RunsAs::Parent, _) if device.is_linux => ROOT,
        (RunsAs::System | RunsAs::Parent, _) => SYSTEM,
    };
    let is_person = runs_as == device.user;
    let account = &organisation.accounts[runs_as];
    let (integrity, elevation) = match (device.is_linux, is_person, dice.percent(6)) {
        (true, ..) => (None, "None"),
        (false, false, _) => (Some("System"), "TokenElevationTypeDefault"),
        (false, true, true) => (Some("High"), "TokenElevationTypeFull"),
        (false, true, false) => (Some("Medium"), "TokenElevationTypeLimited"),
    };
    let template = dice.pick(installed.program.command_lines);
    let (path, path_lower) = paths(installed, account);
    // Windows hands out process ids in steps of four.
    let id = i64::from(dice.between(200, 16_000)) * if device.is_linux { 1 } else { 4 };
    Process {
        program,
        account: runs_as,
        id,
        // Seventeen digits: the sensor's start counter over the process's own number.
        unique_id: 22_517_998_137_000_000 + (i64::from(dice.below(1 << 20)) << 12) + id,
        created,
        path,
        path_lower,
        command_line: fill(template, organisation, account, dice),
        integrity,
        elevation,
        logon_id: if is_person { device.logon_id } else { 999 },
        session: i64::from(is_person && !device.is_linux),
        remote_session: (is_person && device.is_server && !device.is_linux)
            .then(|| JsonText::new(&format!("10.40.0.{}", dice.between(10, 209)))),
        parent_id: parent.map_or(1, |parent| parent.id),
        parent_program: parent.map_or(program, |parent| parent.program),
        parent_created: parent.map_or(created - SECOND, |parent| parent.created),
    }
}

fn paths(installed: &Installed, account: &Account) -> (JsonText, JsonText) {
    match (&installed.path, &installed.path_lower) {
        (Some(path), Some(lower)) => (path.clone(), lower.clone()),
        _ => {
            let folder = installed.program.folder.replace("{user}", account.name.as_str());
            let path = format!("{folder}\\{}", installed.program.name);
            (JsonText::new(&path), JsonText::new(&path.to_lowercase()))
        }
    }
}

const DOCUMENTS: [&str; 12] = [
    "Budget 2027",
    "Minutes",
    "Offer Fabrikam",
    "Übersicht Q4",
    "roadmap",
    "Vertrag_final",
    "invoice-10442",
    "team photo",
    "Inventory",
    "notes",
    "报告",
    "travel",
];

/// A name for a document, sometimes with blanks and letters beyond ASCII.
pub(crate) fn document(dice: &mut Dice) -> &'static str {
    DOCUMENTS[dice.index(DOCUMENTS.len())]
}

/// Fills the places in braces; braces around anything else stay as they are.
fn fill(template: &str, organisation: &Organisation, account: &Account, dice: &mut Dice) -> JsonText {
    let mut text = String::with_capacity(template.len() + 48);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some(close) = rest.find('}') else { break };
        match &rest[1..close] {
            "n" => text.push_str(&dice.between(1000, 99_999).to_string()),
            "hex" => text.push_str(&dice.hex(8)),
            "guid" => text.push_str(&dice.guid()),
            "user" => text.push_str(account.name.as_str()),
            "doc" => text.push_str(document(dice)),
            "host" => text.push_str(&dice.choose(&organisation.servers).host),
            "url" => {
                let site = dice.choose(&organisation.sites);
                text.push_str(&format!("https://{}/{}?id={}", site.host, dice.hex(6), dice.below(10_000)));
            }
            _ => text.push_str(&rest[..=close]),
        }
        rest = &rest[close + 1..];
    }
    text.push_str(rest);
    JsonText::new(&text)
}
