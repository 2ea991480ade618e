//! The organisation's devices, drawn once.

use super::clock::DAY;
use super::device::Device;
use super::dice::Dice;
use super::organisation::{Account, BUILDS, DNS_DOMAIN, Organisation};
use super::process_tree;
use super::row::JsonText;

const DEVICES: usize = 400;

/// Draws the devices, all of them running since some days before `start` (in ticks). Those that no domain knows bring
/// accounts of their own.
pub(crate) fn devices(organisation: &mut Organisation, dice: &mut Dice, start: i64) -> Vec<Device> {
    (0..DEVICES).map(|number| device(organisation, dice, number, start)).collect()
}

fn device(organisation: &mut Organisation, dice: &mut Dice, number: usize, start: i64) -> Device {
    let is_linux = number % 20 == 7;
    let is_server = is_linux || number % 8 == 3;
    let is_joined = is_server || number % 19 != 5;
    let short_name = match (is_linux, is_server) {
        (true, _) => format!("lnx-app{number:03}"),
        (false, true) => format!("srv-{}{number:03}", ["files", "sql", "web", "print"][number % 4]),
        (false, false) => format!("wks-{number:04}"),
    };
    let user = if is_joined {
        organisation.people.start + number % organisation.people.len()
    } else {
        let sid = format!("S-1-5-21-{}-{}-{}-1001", dice.bits() >> 33, dice.bits() >> 33, dice.bits() >> 33);
        organisation.accounts.push(Account {
            domain: None,
            name: JsonText::new("localuser"),
            display_name: JsonText::new("localuser"),
            sid: Some(JsonText::new(&sid)),
            upn: None,
            object_id: None,
        });
        organisation.accounts.len() - 1
    };
    let mut device = Device {
        id: dice.hex(40),
        name: if is_joined { format!("{short_name}.{DNS_DOMAIN}") } else { short_name.clone() },
        short_name,
        group: match (is_server, is_joined) {
            (true, _) => "Servers",
            (false, true) => "Workstations",
            (false, false) => "UnassignedGroup",
        },
        ip: format!("10.{}.{}.{}", if is_server { 20 } else { 40 }, number / 200, 10 + number % 200),
        ipv6: format!("2001:db8:40:{:x}::{:x}", number / 256, 16 + number % 256),
        is_linux,
        is_server,
        user,
        logon_id: i64::from(dice.between(200_000, 90_000_000)),
        build: dice.index(BUILDS),
        report_id: i64::from(dice.between(10, 90_000)),
        processes: Vec::new(),
        resident: 0,
    };
    let booted = start - 2 * DAY - dice.waiting_time((6 * DAY) as f64).min(40 * DAY);
    process_tree::boot(&mut device, organisation, dice, booted);
    device
}
