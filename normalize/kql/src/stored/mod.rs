//! The helpers that public ASIM parsers call by name, in KQL.
//!
//! Their results follow the public description of ASIM's helper functions and fields. Where it is silent: an unknown
//! code gives the empty text (a DNS type gives `TYPE` and its number, as RFC 3597 writes it), and an IP address is a host
//! name without a domain.

mod codes;

use std::fmt::Write;

/// Names and texts; `code` marks the tables of numbers.
enum Body {
    Text(&'static str),
    /// `column` prefix of the device that a host name is resolved for.
    Fqdn(&'static str),
    /// A table of numbers and names, and what an unknown number gives.
    Codes(&'static [(u16, &'static str)], &'static str),
    /// The function that names a number, the column for the number, the column for the name.
    Resolve(&'static str, &'static str, &'static str),
}

const FUNCTIONS: &[(&str, Body)] = &[
    ("_ASIM_ResolveFQDN", Body::Fqdn("")),
    ("_ASIM_ResolveSrcFQDN", Body::Fqdn("Src")),
    ("_ASIM_ResolveDstFQDN", Body::Fqdn("Dst")),
    ("_ASIM_ResolveDvcFQDN", Body::Fqdn("Dvc")),
    ("_ASIM_GetUsernameType", Body::Text(include_str!("username_type.kql"))),
    ("_ASIM_GetWindowsUserType", Body::Text(include_str!("windows_user_type.kql"))),
    ("_ASIM_GetUserType", Body::Text(include_str!("windows_user_type.kql"))),
    ("_ASIM_LookupDnsQueryType", Body::Codes(codes::DNS_TYPES, "strcat('TYPE', key)")),
    ("_ASIM_LookupDnsResponseCode", Body::Codes(codes::DNS_RESPONSES, "''")),
    ("_ASIM_LookupICMPType", Body::Codes(codes::ICMP_TYPES, "''")),
    ("_ASIM_LookupNetworkProtocol", Body::Codes(codes::PROTOCOLS, "''")),
    ("_ASIM_LookupHTTPStatusCode", Body::Codes(codes::HTTP_STATUS, "''")),
    ("_ASIM_ResolveDnsQueryType", Body::Resolve("_ASIM_LookupDnsQueryType", "DnsQueryType", "DnsQueryTypeName")),
    (
        "_ASIM_ResolveDnsResponseCode",
        Body::Resolve("_ASIM_LookupDnsResponseCode", "DnsResponseCode", "DnsResponseCodeName"),
    ),
    ("_ASIM_ResolveICMPType", Body::Resolve("_ASIM_LookupICMPType", "NetworkIcmpCode", "NetworkIcmpType")),
    (
        "_ASIM_ResolveNetworkProtocol",
        Body::Resolve("_ASIM_LookupNetworkProtocol", "NetworkProtocolNumber", "NetworkProtocol"),
    ),
    ("_ASIM_GetSourceBySourceType", Body::Text(include_str!("source_by_source_type.kql"))),
    ("_ASIM_GetDisabledParsers", Body::Text(include_str!("disabled_parsers.kql"))),
    ("_ASIM_GetWatchlistRaw", Body::Text("(alias:string) { _GetWatchlist(alias) }")),
];

/// The text of the helper called `name`.
pub(crate) fn text(name: &str) -> Option<String> {
    let (_, body) = FUNCTIONS.iter().find(|(known, _)| *known == name)?;
    Some(match body {
        Body::Text(text) => (*text).to_owned(),
        Body::Fqdn("") => {
            include_str!("resolve_fqdn.kql").replace("{Device}Hostname", "ExtractedHostname").replace("{Device}", "")
        }
        Body::Fqdn(device) => include_str!("resolve_fqdn.kql").replace("{Device}", device),
        Body::Codes(codes, otherwise) => lookup(codes, otherwise),
        Body::Resolve(lookup, number, name) => format!(
            "(T:(*), field:string) {{ T | extend {number} = toint(column_ifexists(field, int(null))) \
             | extend {name} = {lookup}({number}) }}"
        ),
    })
}

/// Names of the helper functions that come with this crate.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// A chain of comparisons with one text, which the binder makes a map of.
fn lookup(codes: &[(u16, &str)], otherwise: &str) -> String {
    let mut text = String::from("(code:long) { let named = (key:string) { case(");
    for (code, name) in codes {
        let _ = write!(text, "key == '{code}', '{name}', ");
    }
    let _ = write!(text, "'') }}; let key = tostring(code); ");
    match otherwise {
        "''" => text.push_str("named(key) }"),
        otherwise => {
            let _ = write!(text, "case(isempty(key), '', isempty(named(key)), {otherwise}, named(key)) }}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::syntax::parser::parse_function;

    #[test]
    fn every_helper_is_a_function() {
        for name in super::names() {
            let text = super::text(name).expect("a text");
            assert!(parse_function(&text).is_ok(), "{name}\n{text}");
        }
    }
}
