//! The organisation whose events are made: its people, devices, programs on disk and the sites that it talks to.
//!
//! Everything that stays the same from event to event is drawn here once. Names are Contoso's and Fabrikam's; addresses
//! outside are from the blocks that are reserved for documentation (RFC 5737, RFC 3849), those inside are private.

use super::clock::DAY;
use super::dice::Dice;
use super::process_tree::{self, Process};
use super::programs::{LINUX_PROGRAMS, Program, WINDOWS_PROGRAMS};
use super::row::JsonText;

/// The Entra tenant, as `tenantId` has it.
pub(crate) const TENANT_ID: &str = "aaaaaaaa-0000-4000-8000-000000000001";

/// DNS domain of the organisation.
pub(crate) const DNS_DOMAIN: &str = "contoso.example";

/// Positions of the built-in accounts in [`Organisation::accounts`].
pub(crate) const SYSTEM: usize = 0;
/// `NT AUTHORITY\LOCAL SERVICE`.
pub(crate) const LOCAL_SERVICE: usize = 1;
/// `NT AUTHORITY\NETWORK SERVICE`.
pub(crate) const NETWORK_SERVICE: usize = 2;
/// root on Linux.
pub(crate) const ROOT: usize = 3;
/// The account of the services on Linux.
pub(crate) const WWW_DATA: usize = 4;

const PEOPLE: usize = 520;
const DEVICES: usize = 400;
const BUILDS: usize = 3;

/// People, devices' programs and peers; what changes from event to event is in [`Device`].
pub(crate) struct Organisation {
    /// Built-in accounts first, then people, then service accounts, then local accounts of single devices.
    pub(crate) accounts: Vec<Account>,
    /// Positions in `accounts` of the people.
    pub(crate) people: std::ops::Range<usize>,
    /// Positions in `accounts` of the service accounts.
    pub(crate) services: std::ops::Range<usize>,
    /// Programs of Windows, then those of Linux.
    pub(crate) programs: Vec<Installed>,
    /// Servers outside.
    pub(crate) sites: Vec<Site>,
    /// Names and addresses of the servers inside.
    pub(crate) servers: Vec<Site>,
}

/// An account, its texts already escaped.
pub(crate) struct Account {
    /// NetBIOS domain in lower case; `None` stands for the name of the device.
    pub(crate) domain: Option<JsonText>,
    /// Name as the event's table has it, in lower case.
    pub(crate) name: JsonText,
    /// First and last name of a person.
    pub(crate) display_name: JsonText,
    /// Security identifier.
    pub(crate) sid: Option<JsonText>,
    /// User principal name.
    pub(crate) upn: Option<JsonText>,
    /// Entra object id.
    pub(crate) object_id: Option<JsonText>,
}

/// A program as it lies on the devices, in a few builds.
pub(crate) struct Installed {
    /// What it is.
    pub(crate) program: &'static Program,
    /// File name.
    pub(crate) name: JsonText,
    /// File name in lower case.
    pub(crate) name_lower: JsonText,
    /// Full path, if it is the same for all accounts.
    pub(crate) path: Option<JsonText>,
    /// Full path in lower case, if it is the same for all accounts.
    pub(crate) path_lower: Option<JsonText>,
    /// Company, product, version, internal name, original name and description; `None` if the file has none.
    pub(crate) version_info: [Option<JsonText>; 6],
    /// Builds; each device has one of them.
    pub(crate) builds: [Build; BUILDS],
    /// Positions of the programs that it starts.
    pub(crate) starts: Vec<usize>,
    /// `OsVendor` or `Other`, as `InitiatingProcessSignerType` has it; `None` on Linux.
    pub(crate) signer: Option<&'static str>,
}

/// One build of a program.
pub(crate) struct Build {
    /// SHA-1 in lower-case hexadecimal digits.
    pub(crate) sha1: String,
    /// SHA-256.
    pub(crate) sha256: String,
    /// MD5.
    pub(crate) md5: String,
    /// Bytes.
    pub(crate) size: i64,
}

/// A server with its name and address.
pub(crate) struct Site {
    /// DNS name.
    pub(crate) host: String,
    /// Address, IPv4 or IPv6.
    pub(crate) ip: String,
    /// What it serves, as its port.
    pub(crate) port: u16,
}

/// A device and what runs on it.
pub(crate) struct Device {
    /// 40 hexadecimal digits.
    pub(crate) id: String,
    /// Name in lower case, with the DNS domain where the device is joined to one.
    pub(crate) name: String,
    /// Name without the domain.
    pub(crate) short_name: String,
    /// Device group.
    pub(crate) group: &'static str,
    /// Private IPv4 address.
    pub(crate) ip: String,
    /// IPv6 address.
    pub(crate) ipv6: String,
    /// Linux, else Windows.
    pub(crate) is_linux: bool,
    /// A server, else a workstation.
    pub(crate) is_server: bool,
    /// Position of the account that is logged on.
    pub(crate) user: usize,
    /// Logon session of that account.
    pub(crate) logon_id: i64,
    /// Which build of each program is installed.
    pub(crate) build: usize,
    /// Id of the last report.
    pub(crate) report_id: i64,
    /// What runs; the first ones since the device's start.
    pub(crate) processes: Vec<Process>,
    /// How many of `processes` run as long as the device does.
    pub(crate) resident: usize,
}

impl Device {
    /// The id of the next report.
    pub(crate) fn next_report_id(&mut self, dice: &mut Dice) -> i64 {
        self.report_id += i64::from(dice.between(1, 3));
        self.report_id
    }
}

impl Organisation {
    /// Draws the organisation and its devices, all of them running since some days before `start` (in ticks).
    pub(crate) fn new(dice: &mut Dice, start: i64) -> (Self, Vec<Device>) {
        let mut accounts = built_in_accounts();
        let first_person = accounts.len();
        accounts.extend((0..PEOPLE).map(|number| person(dice, number)));
        let people = first_person..accounts.len();
        accounts.extend(SERVICE_ACCOUNTS.iter().enumerate().map(|(number, name)| {
            let upn = format!("{name}@{DNS_DOMAIN}");
            domain_account(dice, "contoso", name, name, &upn, 90_000 + number)
        }));
        let services = people.end..accounts.len();
        let programs = installed_programs(dice);
        let mut organisation =
            Self { accounts, people, services, programs, sites: outside_sites(dice), servers: inside_servers() };
        let devices = (0..DEVICES).map(|number| organisation.device(dice, number, start)).collect();
        (organisation, devices)
    }

    /// Position in `programs` of the program that is called `name`.
    pub(crate) fn program(&self, name: &str) -> usize {
        let position = self.programs.iter().position(|installed| installed.program.name == name);
        position.expect("programs that run from the start stand in the lists")
    }

    fn device(&mut self, dice: &mut Dice, number: usize, start: i64) -> Device {
        let is_linux = number % 20 == 7;
        let is_server = is_linux || number % 8 == 3;
        let is_joined = is_server || number % 19 != 5;
        let short_name = match (is_linux, is_server) {
            (true, _) => format!("lnx-app{number:03}"),
            (false, true) => format!("srv-{}{number:03}", ["files", "sql", "web", "print"][number % 4]),
            (false, false) => format!("wks-{number:04}"),
        };
        let user = if is_joined {
            self.people.start + number % self.people.len()
        } else {
            let sid = format!("S-1-5-21-{}-{}-{}-1001", dice.bits() >> 33, dice.bits() >> 33, dice.bits() >> 33);
            self.accounts.push(Account {
                domain: None,
                name: JsonText::new("localuser"),
                display_name: JsonText::new("localuser"),
                sid: Some(JsonText::new(&sid)),
                upn: None,
                object_id: None,
            });
            self.accounts.len() - 1
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
        process_tree::boot(&mut device, self, dice, booted);
        device
    }
}

const SERVICE_ACCOUNTS: [&str; 8] =
    ["svc-backup", "svc-sql", "svc-scan", "svc-deploy", "svc-monitor", "svc-web", "adm-reyes", "adm-okafor"];

const FIRST_NAMES: [&str; 26] = [
    "Dana", "Sam", "Pat", "Alex", "Robin", "Kim", "Jo", "Lee", "Noor", "Mika", "Ines", "Tariq", "Yuki", "Ola", "Zoë",
    "Björn", "Amara", "Luca", "Freya", "Chidi", "Marta", "Ravi", "Elif", "Tomas", "Hana", "Jules",
];

const LAST_NAMES: [&str; 20] = [
    "Reyes",
    "Okafor",
    "Lindqvist",
    "Haddad",
    "Novak",
    "Tanaka",
    "Moreau",
    "Silva",
    "Keller",
    "Iversen",
    "Banerjee",
    "Costa",
    "Dubois",
    "Farkas",
    "Grant",
    "Hughes",
    "Ito",
    "Jansen",
    "Kowalski",
    "Müller",
];

fn built_in_accounts() -> Vec<Account> {
    let account = |domain: Option<&str>, name: &str, sid: Option<&str>| Account {
        domain: domain.map(JsonText::new),
        name: JsonText::new(name),
        display_name: JsonText::new(name),
        sid: sid.map(JsonText::new),
        upn: None,
        object_id: None,
    };
    vec![
        account(Some("nt authority"), "system", Some("S-1-5-18")),
        account(Some("nt authority"), "local service", Some("S-1-5-19")),
        account(Some("nt authority"), "network service", Some("S-1-5-20")),
        account(None, "root", None),
        account(None, "www-data", None),
    ]
}

fn person(dice: &mut Dice, number: usize) -> Account {
    let first = FIRST_NAMES[number % FIRST_NAMES.len()];
    let last = LAST_NAMES[number / FIRST_NAMES.len() % LAST_NAMES.len()];
    let ascii = |name: &str| name.to_lowercase().replace('ö', "o").replace('ë', "e").replace('ü', "u");
    let name = format!("{}.{}", ascii(first), ascii(last));
    // One in ten signs in to devices that are joined to Entra alone, where the domain is `azuread`.
    let domain = if number % 10 == 9 { "azuread" } else { "contoso" };
    domain_account(dice, domain, &name, &format!("{first} {last}"), &format!("{name}@{DNS_DOMAIN}"), 1100 + number)
}

fn domain_account(dice: &mut Dice, domain: &str, name: &str, display: &str, upn: &str, relative_id: usize) -> Account {
    Account {
        domain: Some(JsonText::new(domain)),
        name: JsonText::new(name),
        display_name: JsonText::new(display),
        sid: Some(JsonText::new(&format!("S-1-5-21-1000000001-1000000002-1000000003-{relative_id}"))),
        upn: Some(JsonText::new(upn)),
        object_id: Some(JsonText::new(&dice.guid())),
    }
}

fn installed_programs(dice: &mut Dice) -> Vec<Installed> {
    let mut installed = Vec::with_capacity(WINDOWS_PROGRAMS.len() + LINUX_PROGRAMS.len());
    for (programs, separator) in [(WINDOWS_PROGRAMS, '\\'), (LINUX_PROGRAMS, '/')] {
        let first = installed.len();
        for program in programs {
            let path = format!("{}{separator}{}", program.folder, program.name);
            let is_shared = !path.contains("{user}");
            let [company, product, internal, description] = program.version_info;
            let is_linux = separator == '/';
            let version_info = [company, product, program.version, internal, program.name, description]
                .map(|text| (!is_linux).then(|| JsonText::new(text)));
            let starts = program.starts.iter().map(|name| {
                let position = programs.iter().position(|other| other.name == *name);
                first + position.expect("every program that is started stands in the same list")
            });
            installed.push(Installed {
                program,
                name: JsonText::new(program.name),
                name_lower: JsonText::new(&program.name.to_lowercase()),
                path: is_shared.then(|| JsonText::new(&path)),
                path_lower: is_shared.then(|| JsonText::new(&path.to_lowercase())),
                version_info,
                builds: std::array::from_fn(|build| Build {
                    sha1: dice.hex(40),
                    sha256: dice.hex(64),
                    md5: dice.hex(32),
                    size: i64::from(program.size) + 512 * build as i64,
                }),
                starts: starts.collect(),
                signer: match company {
                    "Microsoft Corporation" => Some("OsVendor"),
                    "" => None,
                    _ => Some("Other"),
                },
            });
        }
    }
    installed
}

fn outside_sites(dice: &mut Dice) -> Vec<Site> {
    const HOSTS: [&str; 12] =
        ["www", "cdn", "api", "login", "updates", "mail", "media", "static", "telemetry", "store", "docs", "chat"];
    const DOMAINS: [&str; 8] = [
        "fabrikam.example",
        "northwind.example",
        "adventure-works.example",
        "tailspin.example",
        "wingtip.example",
        "litware.example",
        "proseware.example",
        "margie.example",
    ];
    const BLOCKS: [&str; 3] = ["192.0.2", "198.51.100", "203.0.113"];
    let mut sites = Vec::new();
    for domain in DOMAINS {
        for host in HOSTS {
            let ip = if dice.percent(12) {
                format!("2001:db8:{:x}::{:x}", dice.between(0x100, 0xfff), dice.between(1, 0xffff))
            } else {
                format!("{}.{}", dice.pick(&BLOCKS), dice.between(1, 254))
            };
            sites.push(Site { host: format!("{host}.{domain}"), ip, port: if dice.percent(90) { 443 } else { 80 } });
        }
    }
    sites
}

fn inside_servers() -> Vec<Site> {
    const SERVERS: [(&str, u16); 12] = [
        ("dc01", 88),
        ("dc01", 389),
        ("dc02", 389),
        ("dc02", 53),
        ("srv-files003", 445),
        ("srv-files011", 445),
        ("srv-sql019", 1433),
        ("srv-web027", 443),
        ("srv-print035", 9100),
        ("wsus01", 8531),
        ("proxy01", 8080),
        ("jump01", 3389),
    ];
    let server = |(number, (name, port)): (usize, &(&str, u16))| Site {
        host: format!("{name}.{DNS_DOMAIN}"),
        ip: format!("10.20.0.{}", 5 + number),
        port: *port,
    };
    SERVERS.iter().enumerate().map(server).collect()
}
