//! What the text of a value must look like: pure functions of the value alone, true where it fits.
//!
//! The first half are the official testers' patterns, with their leniencies; the second half is what the schemas'
//! pages ask for and the testers leave out (<https://learn.microsoft.com/azure/sentinel/normalization-about-schemas>).

use std::net::{Ipv4Addr, Ipv6Addr};

/// Six groups of two hex digits, joined by colons.
pub(super) fn is_mac(text: &str) -> bool {
    text.len() == 17
        && text.bytes().enumerate().all(|(at, byte)| if at % 3 == 2 { byte == b':' } else { byte.is_ascii_hexdigit() })
}

/// An IPv4 or IPv6 address; a prefix length may follow, because Kusto's match functions take one.
pub(super) fn is_ip_or_prefix(text: &str) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let fits = |longest: u8| {
        prefix.is_none_or(|prefix| {
            prefix.bytes().all(|byte| byte.is_ascii_digit()) && prefix.parse::<u8>().is_ok_and(|bits| bits <= longest)
        })
    };
    (address.parse::<Ipv4Addr>().is_ok() && fits(32)) || (address.parse::<Ipv6Addr>().is_ok() && fits(128))
}

/// One or more labels, each followed by a dot, and a final label of letters.
pub(super) fn is_fqdn(text: &str) -> bool {
    text.contains('.') && is_domain(text)
}

/// Zero or more labels, each followed by a dot, and a final label of letters.
pub(super) fn is_domain(text: &str) -> bool {
    let (front, last) = text.rsplit_once('.').map_or((None, text), |(front, last)| (Some(front), last));
    let final_fits = (2..=63).contains(&last.len()) && last.bytes().all(|byte| byte.is_ascii_alphabetic());
    final_fits && front.is_none_or(|front| front.split('.').all(is_label))
}

/// 1 to 63 letters, digits, underscores or hyphens, the first of them no hyphen.
fn is_label(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=63).contains(&text.len())
        && text.bytes().enumerate().all(|(at, byte)| is_word(byte) || (at > 0 && byte == b'-'))
}

/// What `toguid` converts: 32 hex digits, in groups of 8, 4, 4, 4 and 12 or without hyphens, in braces or not.
pub(super) fn is_guid(text: &str) -> bool {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    match bare.len() {
        32 => bare.bytes().all(|byte| byte.is_ascii_hexdigit()),
        36 => bare.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        }),
        _ => false,
    }
}

/// 1 to 61 letters, digits or hyphens, or an address.
pub(super) fn is_hostname(text: &str) -> bool {
    let is_name = (1..=61).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_name || is_ip_or_prefix(text)
}

/// Whether `length` letters or digits stand in a row anywhere: the testers' idea of a hash.
pub(super) fn has_run(text: &str, length: usize) -> bool {
    let mut run = 0;
    text.bytes().any(|byte| {
        run = if byte.is_ascii_alphanumeric() { run + 1 } else { 0 };
        run >= length
    })
}

/// KQL's `list has value`: the value stands in the text, whatever its case, and no letter or digit adjoins it.
pub(super) fn has_term(list: &str, value: &str) -> bool {
    if value.is_empty() {
        return true;
    }
    let (list, value) = (list.to_lowercase(), value.to_lowercase());
    let joins = |inner: Option<char>, outer: Option<char>| {
        inner.is_some_and(char::is_alphanumeric) && outer.is_some_and(char::is_alphanumeric)
    };
    list.match_indices(&value).any(|(at, found)| {
        let before = list[..at].chars().next_back();
        let after = list[at + found.len()..].chars().next();
        !joins(value.chars().next(), before) && !joins(value.chars().next_back(), after)
    })
}

/// One address, with neither prefix length, port nor zone.
pub(super) fn is_one_address(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok()
}

/// An IPv4 address in IPv6 clothes, `::ffff:192.0.2.1`.
pub(super) fn is_mapped_ipv4(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok_and(|address| address.to_ipv4_mapped().is_some())
}

/// Exactly `length` hex digits.
pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Only decimal digits.
pub(super) fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Hex digits, with `0x` before them or not.
pub(super) fn is_hexadecimal(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A scheme, `://` and more, without blanks or control characters.
pub(super) fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    scheme_fits && !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Two or three numbers with dots between them.
pub(super) fn is_version(text: &str) -> bool {
    (2..=3).contains(&text.split('.').count()) && text.split('.').all(is_decimal)
}

/// A username in the form that its type names. Types without a form of their own take any text.
pub(super) fn username_fits(kind: &str, name: &str) -> bool {
    match kind {
        "UPN" => name.split_once('@').is_some_and(|(user, domain)| {
            !user.is_empty() && !domain.is_empty() && !domain.contains('@') && !name.contains('\\')
        }),
        "Windows" => name
            .split_once('\\')
            .is_some_and(|(domain, user)| !domain.is_empty() && !user.is_empty() && !user.contains('\\')),
        "DN" => name.contains('='),
        "Simple" => !name.contains(['\\', '@']),
        _ => true,
    }
}

/// A user id in the form that its type names.
pub(super) fn user_id_fits(kind: &str, id: &str) -> bool {
    let is_name = |length: &[usize]| length.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match kind {
        "SID" => id.strip_prefix("S-1-").is_some_and(|rest| rest.split('-').all(is_decimal)),
        "UID" => is_decimal(id),
        "AADID" => id.len() == 36 && is_guid(id),
        "OktaId" => is_name(&[20]),
        "PUID" => is_hex(id, 16),
        "SalesforceId" => is_name(&[15, 18]),
        _ => true,
    }
}

/// A device id in the form that its type names.
pub(super) fn device_id_fits(kind: &str, id: &str) -> bool {
    match kind {
        "MDEid" => is_hex(id, 40),
        "AzureResourceId" => {
            id.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("/subscriptions/")) && id.len() > 15
        }
        "AwsVpcId" => id.strip_prefix("vpc-").is_some_and(is_hexadecimal),
        "FQDN" => is_fqdn(id),
        _ => true,
    }
}

/// A domain in the form that its type names: `FQDN` has dots, `Windows` is the short name.
pub(super) fn domain_fits(kind: &str, domain: &str) -> bool {
    match kind {
        "FQDN" => domain.contains('.'),
        "Windows" => !domain.contains(['.', '\\', '@']),
        _ => true,
    }
}

/// A path in the form that its type names.
pub(super) fn path_fits(kind: &str, path: &str) -> bool {
    match kind {
        "Windows Local" => {
            let mut bytes = path.bytes();
            let has_drive = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic()) && bytes.next() == Some(b':');
            // A device path, such as `\Device\HarddiskVolume3\x`, or `\\?\C:\x`, is local, too.
            has_drive || (path.starts_with('\\') && !path.starts_with("\\\\")) || path.starts_with("\\\\?\\")
        }
        "Windows Share" => path.starts_with("\\\\"),
        "Unix" => path.starts_with(['/', '~']),
        "URL" => is_url(path),
        _ => true,
    }
}

/// What programs write for "nothing", where ASIM wants the field empty.
pub(super) fn stands_for_nothing(text: &str) -> bool {
    text.len() <= 9
        && ["-", "--", "n/a", "null", "(null)", "<null>", "undefined", "nan", "{}", "[]"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["192.0.2.1", "192.0.2.0/24", "2001:db8::1", "2001:db8::/32", "::ffff:192.0.2.1"] {
            assert!(is_ip_or_prefix(good), "{good}");
        }
        for bad in ["192.0.2", "192.0.2.1/33", "192.0.2.1/+1", "192.0.2.1:80", "host", "fe80::1%eth0", "2001:db8::/129"]
        {
            assert!(!is_ip_or_prefix(bad), "{bad}");
        }
        assert!(is_one_address("192.0.2.1") && !is_one_address("192.0.2.0/24"));
        assert!(is_mapped_ipv4("::ffff:192.0.2.1") && !is_mapped_ipv4("::1") && !is_mapped_ipv4("192.0.2.1"));
        assert!(is_mac("00:1b:44:11:3A:B7") && !is_mac("00-1b-44-11-3a-b7") && !is_mac("00:1b:44:11:3a"));
    }

    #[test]
    fn names() {
        assert!(is_fqdn("wks-0417.contoso.example") && is_fqdn("_x.example") && is_domain("contoso"));
        for bad in ["wks-0417", "wks.example1", "-a.example", ".example", "a..example", "a.e", "192.0.2.1"] {
            assert!(!is_fqdn(bad), "{bad}");
        }
        assert!(!is_domain("contoso-1") && !is_domain(""));
        assert!(is_hostname("wks-0417") && is_hostname("192.0.2.1") && !is_hostname("wks_1"));
        assert!(is_hostname(&"a".repeat(61)) && !is_hostname(&"a".repeat(62)));
    }

    #[test]
    fn a_term_of_a_list_is_found_whole_and_whatever_its_case() {
        let list = "Computer|Mobile Device|IOT Device|Other";
        for found in ["computer", "Mobile Device", "Device", "Device|IOT"] {
            assert!(has_term(list, found), "{found}");
        }
        for missing in ["Comp", "Devic", "Mobile  Device", "Laptop"] {
            assert!(!has_term(list, missing), "{missing}");
        }
    }

    #[test]
    fn ids_and_names_by_their_types() {
        for (kind, good, bad) in [
            ("UPN", "dana@contoso.example", "contoso\\dana"),
            ("Windows", "contoso\\dana", "dana"),
            ("DN", "CN=Dana,DC=contoso", "dana"),
            ("Simple", "dana", "dana@contoso.example"),
        ] {
            assert!(username_fits(kind, good) && !username_fits(kind, bad), "{kind}");
        }
        for (kind, good, bad) in [
            ("SID", "S-1-5-18", "S-1-5-"),
            ("UID", "1000", "root"),
            ("AADID", "aaaaaaaa-0000-4000-8000-000000000001", "S-1-5-18"),
            ("OktaId", "00uabcdefghijklmnopq", "00u"),
            ("PUID", "10032001582F435C", "x"),
            ("SalesforceId", "005xx0000012345", "005"),
        ] {
            assert!(user_id_fits(kind, good) && !user_id_fits(kind, bad), "{kind}");
        }
        for (kind, good, bad) in [
            ("MDEid", "0123456789abcdef0123456789abcdef01234567", "wks-0417"),
            ("AzureResourceId", "/Subscriptions/x/resourceGroups/y", "x"),
            ("AwsVpcId", "vpc-0a1b", "i-0a1b"),
            ("FQDN", "a.example", "a"),
        ] {
            assert!(device_id_fits(kind, good) && !device_id_fits(kind, bad), "{kind}");
        }
        for (kind, good, bad) in [
            ("Windows Local", "C:\\x", "/x"),
            ("Windows Share", "\\\\srv\\x", "C:\\x"),
            ("Unix", "/x", "C:\\x"),
            ("URL", "https://a.example/x", "/x"),
        ] {
            assert!(path_fits(kind, good) && !path_fits(kind, bad), "{kind}");
        }
    }

    #[test]
    fn numbers_in_text() {
        assert!(is_guid("{aaaaaaaa-0000-4000-8000-000000000001}") && is_guid(&"a".repeat(32)) && !is_guid("x"));
        assert!(
            has_run("sha1:0123456789abcdef0123456789abcdef", 32) && !has_run("0123456789abcdef-0123456789abcdef", 32)
        );
        assert!(is_hex(&"0f".repeat(16), 32) && !is_hex(&"0g".repeat(16), 32));
        assert!(is_hexadecimal("0x1F") && !is_hexadecimal("0x"));
        assert!(is_version("1.0.0") && is_version("0.1") && !is_version("1") && !is_version("1.x"));
        assert!(is_url("https://a.example/x?y=z") && !is_url("a.example/x") && !is_url("https://a b"));
        // `None` is a level of token elevation, and `NA` a result.
        assert!(stands_for_nothing("N/A") && stands_for_nothing("Undefined") && !stands_for_nothing("0"));
        assert!(!stands_for_nothing("NA") && !stands_for_nothing("None"));
    }
}
