//! The organisation whose events are made: its people, programs on disk and the sites that it talks to.
//!
//! Everything that stays the same from event to event is drawn here once. Names are Contoso's and Fabrikam's; addresses
//! outside are from the blocks that are reserved for documentation (RFC 5737, RFC 3849), those inside are private.

use super::dice::Dice;
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
/// Builds of each program.
pub(crate) const BUILDS: usize = 3;

/// People, devices' programs and peers; what changes from event to event is in [`super::device::Device`].
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

impl Organisation {
    /// Draws the organisation.
    pub(crate) fn new(dice: &mut Dice) -> Self {
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
        Self { accounts, people, services, programs, sites: outside_sites(dice), servers: inside_servers() }
    }

    /// Position in `programs` of the program that is called `name`.
    pub(crate) fn program(&self, name: &str) -> usize {
        let position = self.programs.iter().position(|installed| installed.program.name == name);
        position.expect("programs that run from the start stand in the lists")
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
