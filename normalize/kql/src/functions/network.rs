//! IPv4 and IPv6 addresses and ranges. Text that is no address gives null.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Bool, Long, String as Str};

use super::args::Args;
use super::{Function, Returns, Want, function};

const T1: &[Want] = &[Want::Str];
const T2: &[Want] = &[Want::Str, Want::Str];
const T2_PREFIX: &[Want] = &[Want::Str, Want::Str, Want::Long];
const BOOL: Returns = Returns::Ty(Bool);

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "parse_ipv4",
        T1,
        Returns::Ty(Long),
        |args| {
            let a = args.text(0);
            args.longs(|row| {
                let (address, prefix) = v4_range(a.get(row))?;
                Some(i64::from(address & mask4(prefix)))
            })
        },
        "`parse_ipv4(text)`: the address as a number; a prefix `/24` is applied",
    ),
    function(
        "parse_ipv4_mask",
        &[Want::Str, Want::Long],
        Returns::Ty(Long),
        |args| {
            let (a, prefix) = (args.text(0), args.long(1));
            args.longs(|row| {
                let (address, own) = v4_range(a.get(row))?;
                let prefix = u32::try_from(prefix.get(row)?).ok().filter(|prefix| *prefix <= 32)?;
                Some(i64::from(address & mask4(prefix.min(own))))
            })
        },
        "`parse_ipv4_mask(text, prefix)`: the network's number",
    ),
    function(
        "parse_ipv6",
        T1,
        Returns::Ty(Str),
        |args| {
            let a = args.text(0);
            args.texts(|row, out| {
                if let Some((address, prefix)) = v6_range(a.get(row)) {
                    write_v6(address & mask6(prefix), out);
                }
            })
        },
        "`parse_ipv6(text)`: eight groups of four digits; IPv4 becomes a mapped address",
    ),
    function(
        "format_ipv4",
        &[Want::Any, Want::Long],
        Returns::Ty(Str),
        format_v4,
        "`format_ipv4(number or text[, prefix])`: dotted",
    )
    .requires(1),
    function(
        "ipv4_is_match",
        T2_PREFIX,
        BOOL,
        |args| {
            let (a, b, prefix) = (args.text(0), args.text(1), args.long_or(2, 32));
            args.opt_bools(|row| {
                let ((a, own), (b, other)) = (v4_range(a.get(row))?, v4_range(b.get(row))?);
                let mask = mask4(own.min(other).min(u32::try_from(prefix.get(row)?).ok()?));
                Some(a & mask == b & mask)
            })
        },
        "`ipv4_is_match(a, b[, prefix])`: equal under the shorter prefix",
    )
    .requires(2),
    function(
        "ipv4_compare",
        T2_PREFIX,
        Returns::Ty(Long),
        |args| {
            let (a, b, prefix) = (args.text(0), args.text(1), args.long_or(2, 32));
            args.longs(|row| {
                let ((a, own), (b, other)) = (v4_range(a.get(row))?, v4_range(b.get(row))?);
                let mask = mask4(own.min(other).min(u32::try_from(prefix.get(row)?).ok()?));
                Some((a & mask).cmp(&(b & mask)) as i64)
            })
        },
        "`ipv4_compare(a, b[, prefix])`: -1, 0 or 1",
    )
    .requires(2),
    function(
        "ipv4_is_in_range",
        T2,
        BOOL,
        |args| {
            let (a, range) = (args.text(0), args.text(1));
            args.opt_bools(|row| {
                let ((a, _), (network, prefix)) = (v4_range(a.get(row))?, v4_range(range.get(row))?);
                Some(a & mask4(prefix) == network & mask4(prefix))
            })
        },
        "`ipv4_is_in_range(address, range)`",
    ),
    function(
        "ipv4_is_in_any_range",
        &[Want::Str, Want::StrOrDynamic],
        BOOL,
        in_any_range,
        "`ipv4_is_in_any_range(address, range, …)`: ranges as texts or an array",
    )
    .repeating(1),
    function(
        "ipv4_is_private",
        T1,
        BOOL,
        |args| {
            let a = args.text(0);
            args.opt_bools(|row| Some(Ipv4Addr::from(v4_range(a.get(row))?.0).is_private()))
        },
        "`ipv4_is_private(address)`: RFC 1918",
    ),
    function(
        "ipv4_netmask_suffix",
        T1,
        Returns::Ty(Long),
        |args| {
            let a = args.text(0);
            args.longs(|row| Some(i64::from(v4_range(a.get(row))?.1)))
        },
        "`ipv4_netmask_suffix(text)`: the prefix length",
    ),
    function(
        "ipv6_is_match",
        T2_PREFIX,
        BOOL,
        |args| {
            let (a, b, prefix) = (args.text(0), args.text(1), args.long_or(2, 128));
            args.opt_bools(|row| {
                let ((a, own), (b, other)) = (v6_range(a.get(row))?, v6_range(b.get(row))?);
                let mask = mask6(own.min(other).min(u32::try_from(prefix.get(row)?).ok()?));
                Some(a & mask == b & mask)
            })
        },
        "`ipv6_is_match(a, b[, prefix])`",
    )
    .requires(2),
    function(
        "ipv6_is_in_range",
        T2,
        BOOL,
        |args| {
            let (a, range) = (args.text(0), args.text(1));
            args.opt_bools(|row| {
                let ((a, _), (network, prefix)) = (v6_range(a.get(row))?, v6_range(range.get(row))?);
                Some(a & mask6(prefix) == network & mask6(prefix))
            })
        },
        "`ipv6_is_in_range(address, range)`",
    ),
    function(
        "has_ipv4",
        T2,
        BOOL,
        |args| {
            let (a, address) = (args.text(0), args.text(1));
            args.bools(|row| {
                address.get(row).parse::<Ipv4Addr>().is_ok() && has_address(a.get(row), address.get(row), false)
            })
        },
        "`has_ipv4(text, address)`: the address stands in the text, between other characters than digits, letters and dots",
    ),
    function(
        "has_ipv4_prefix",
        T2,
        BOOL,
        |args| {
            let (a, prefix) = (args.text(0), args.text(1));
            args.bools(|row| has_address(a.get(row), prefix.get(row), true))
        },
        "`has_ipv4_prefix(text, prefix)`: an address that starts with the prefix stands in the text",
    ),
    function(
        "has_any_ipv4",
        &[Want::Str, Want::StrOrDynamic],
        BOOL,
        |args| has_any(args, false),
        "`has_any_ipv4(text, address, …)`: one of the addresses stands in the text",
    )
    .repeating(1),
    function(
        "has_any_ipv4_prefix",
        &[Want::Str, Want::StrOrDynamic],
        BOOL,
        |args| has_any(args, true),
        "`has_any_ipv4_prefix(text, prefix, …)`",
    )
    .repeating(1),
];

fn v4_range(text: &str) -> Option<(u32, u32)> {
    let text = text.trim();
    // Most texts that are no address are names.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, prefix.parse().ok().filter(|prefix| *prefix <= 32)?),
        None => (text, 32),
    };
    Some((u32::from(address.parse::<Ipv4Addr>().ok()?), prefix))
}

fn v6_range(text: &str) -> Option<(u128, u32)> {
    let text = text.trim();
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address = address.split_once('%').map_or(address, |(address, _)| address);
    match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(v4) => {
            let prefix = prefix.unwrap_or(32);
            (prefix <= 32).then(|| (u128::from(v4.to_ipv6_mapped()), prefix + 96))
        }
        IpAddr::V6(v6) => {
            let prefix = prefix.unwrap_or(128);
            (prefix <= 128).then(|| (u128::from(v6), prefix))
        }
    }
}

fn mask4(prefix: u32) -> u32 {
    u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0)
}

fn mask6(prefix: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0)
}

fn write_v6(address: u128, out: &mut String) {
    let groups: Vec<String> = Ipv6Addr::from(address).segments().iter().map(|group| format!("{group:04x}")).collect();
    out.push_str(&groups.join(":"));
}

fn format_v4(args: &Args<'_>) -> ArrayRef {
    let print = super::conversion::Printer::new(args, 0);
    let prefix = args.long_or(1, 32);
    let mut buffer = String::new();
    args.texts(|row, out| {
        buffer.clear();
        print.text(row, &mut buffer);
        let address = v4_range(&buffer).map(|(address, _)| address).or_else(|| buffer.parse().ok());
        let prefix = prefix.get(row).and_then(|prefix| u32::try_from(prefix).ok());
        if let (Some(address), Some(prefix)) = (address, prefix) {
            out.push_str(&Ipv4Addr::from(address & mask4(prefix)).to_string());
        }
    })
}

/// All texts of arguments 1 and up; arrays count as their elements.
fn each_text(args: &Args<'_>, row: usize, buffer: &mut String, mut visit: impl FnMut(&str)) {
    for n in 1..args.len() {
        buffer.clear();
        let print = super::conversion::Printer::new(args, n);
        print.text(row, buffer);
        if crate::json::elements(buffer, |item| visit(&crate::text::dynamic_text(item))).is_none() {
            visit(buffer);
        }
    }
}

fn in_any_range(args: &Args<'_>) -> ArrayRef {
    let a = args.text(0);
    let mut buffer = String::new();
    args.opt_bools(|row| {
        let (address, _) = v4_range(a.get(row))?;
        let mut found = false;
        each_text(args, row, &mut buffer, |range| {
            found |=
                v4_range(range).is_some_and(|(network, prefix)| address & mask4(prefix) == network & mask4(prefix));
        });
        Some(found)
    })
}

fn has_any(args: &Args<'_>, prefix: bool) -> ArrayRef {
    let a = args.text(0);
    let mut buffer = String::new();
    args.bools(|row| {
        let text = a.get(row);
        let mut found = false;
        each_text(args, row, &mut buffer, |address| {
            let valid = prefix || address.parse::<Ipv4Addr>().is_ok();
            found |= valid && has_address(text, address, prefix);
        });
        found
    })
}

/// Whether `address` (or, as a prefix ending with a dot, the start of one) stands in `text` as an address of its own.
fn has_address(text: &str, address: &str, prefix: bool) -> bool {
    if address.is_empty() {
        return false;
    }
    let inside = |c: char| c.is_alphanumeric() || c == '.';
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find(address)) {
        let start = from + found;
        let length = text[start..].find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len() - start);
        let whole = &text[start..start + length];
        let ends = !text[start + length..].chars().next().is_some_and(inside);
        let fits = if prefix {
            (address.ends_with('.') || whole == address) && whole.trim_end_matches('.').parse::<Ipv4Addr>().is_ok()
        } else {
            whole.trim_end_matches('.') == address
        };
        if fits && ends && !text[..start].chars().next_back().is_some_and(inside) {
            return true;
        }
        from = start + text[start..].chars().next().map_or(1, char::len_utf8);
    }
    false
}
