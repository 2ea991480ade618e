//! The rules, each with its id, name, severity and meaning.
//!
//! `S…` and `D…` are the rules of Microsoft's two testers, `ASimSchemaTester` and `ASimDataTester` (version 1.0.0), in
//! the order in which those apply them. `W…` are Weir's own: what a row can get wrong without either tester seeing it.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Queries get wrong results, or the workspace loses the value.
    Error,
    /// Queries find less than they could.
    Warning,
    /// To be known.
    Info,
}

impl Severity {
    /// `error`, `warning` or `info`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// The tag that starts a line of the official testers.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Error => "(0) Error",
            Self::Warning => "(1) Warning",
            Self::Info => "(2) Info",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! rules {
    ($($rule:ident $name:literal $severity:ident $says:literal;)*) => {
        /// One rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $says] $rule,)*
        }

        impl Rule {
            /// All rules, in order.
            pub const ALL: &[Self] = &[$(Self::$rule),*];

            /// The id, such as `D7`.
            pub fn id(self) -> &'static str {
                match self { $(Self::$rule => stringify!($rule)),* }
            }

            /// A name that says what is wrong, such as `invalid-value`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$rule => $name),* }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self { $(Self::$rule => Severity::$severity),* }
            }

            /// What is wrong, to follow the field's name.
            pub fn says(self) -> &'static str {
                match self { $(Self::$rule => $says),* }
            }
        }
    };
}

rules! {
    S1 "mandatory-missing" Error "mandatory field is missing";
    S2 "recommended-missing" Warning "recommended field is missing";
    S3 "conditional-of-mandatory-missing" Error "field is missing that qualifies a mandatory field";
    S4 "conditional-missing" Error "field is missing that qualifies a present field";
    S5 "alias-of-mandatory-missing" Error "alias of a mandatory field is missing";
    S6 "alias-of-recommended-missing" Error "alias of a present recommended field is missing";
    S7 "alias-and-recommended-missing" Info "alias of a recommended field is missing, as is its target";
    S8 "alias-missing" Error "alias of a present optional field is missing";
    S9 "alias-and-target-missing" Info "optional alias is missing, as is its target";
    S10 "optional-missing" Info "optional field is missing";
    S11 "extra-column" Info "column is not one of the schema's fields";
    S12 "type-mismatch" Error "column has another type than the schema's field";
    D1 "value-type-mismatch" Error "values have another type than the schema's field";
    D2 "mandatory-empty" Warning "mandatory field is empty";
    D3 "recommended-empty" Info "recommended field is empty";
    D4 "optional-empty" Info "optional field is empty";
    D5 "dynamic-type" Error "dynamic value is not of the kind that the field holds";
    D6 "array-elements" Error "array elements are not of the kind that the field holds";
    D7 "invalid-value" Error "value is not in the field's list";
    D8 "mac-address" Error "value is no MAC address of six hex pairs with colons";
    D9 "ip-address" Error "value is no IPv4 or IPv6 address";
    D10 "fqdn" Error "value is no fully qualified domain name";
    D11 "recommended-fqdn" Warning "value is no usual fully qualified domain name";
    D12 "domain" Error "value is no domain name";
    D13 "dns-domain" Error "value is no DNS domain name";
    D14 "recommended-dns-domain" Warning "value is no usual DNS domain name";
    D15 "guid" Error "value is no GUID";
    D16 "hostname" Error "value is no hostname: 1 to 61 letters, digits or hyphens, or an address";
    D17 "risk-level" Error "risk level is not from 0 to 100";
    D18 "dns-response-code" Error "value is no IANA name of a DNS response code";
    D19 "dns-query-type" Error "value is no IANA name of a DNS record type";
    D20 "dns-class" Error "value is no name of a DNS class";
    D21 "network-protocol" Error "value is no IANA protocol keyword";
    D22 "hash" Error "value holds no hash of the field's kind";
    W1 "value-spelling" Error "value differs from the entry of the field's list in case, or is a part of it";
    W2 "value-unknown-to-tester" Warning "value is on the schema's page, but the official tester refuses it";
    W3 "conditional-empty" Error "field is empty in rows where the field that it qualifies is filled";
    W4 "conditional-alone" Warning "field is filled in rows where the field that it qualifies is empty";
    W5 "username-form" Error "username has not the form that its type names";
    W6 "user-id-form" Error "user id has not the form that its type names";
    W7 "device-id-form" Warning "device id has not the form that its type names";
    W8 "domain-form" Warning "domain has not the form that its type names";
    W9 "fqdn-parts" Warning "FQDN is not its hostname, a dot and its domain";
    W10 "url-form" Warning "value is no URL with a scheme and without blanks";
    W11 "hash-form" Error "hash has not the length of its kind, or other characters than hex digits";
    W12 "ip-not-single" Error "value is not one address alone";
    W13 "ip-mapped" Warning "IPv4 address is written as IPv6";
    W14 "port-range" Error "port is not from 0 to 65535";
    W15 "coordinates" Error "latitude is not from -90 to 90, or longitude not from -180 to 180";
    W16 "country" Warning "value is neither an ISO 3166-1 code nor a country's name";
    W17 "confidence-level" Error "confidence is not from 0 to 100";
    W18 "negative-number" Error "count, size or duration is negative, or an event counts as none";
    W19 "schema-version" Warning "version is not the schema's current one";
    W20 "text-too-long" Warning "text is longer than 65536 bytes: the workspace cuts it";
    W21 "bag-too-long" Error "dynamic value is longer than 65536 bytes: the workspace cuts it, which breaks its JSON";
    W22 "forbidden-column" Error "column is filled that a sender must leave to the workspace";
    W23 "no-such-column" Error "table has no such column: the workspace drops its values";
    W24 "column-name" Error "column name is not 1 to 45 letters, digits or underscores after a letter or underscore";
    W25 "alias-differs" Error "alias has another value than the field that it stands for";
    W26 "nothing-to-alias" Warning "every field is empty that the mandatory alias could take its value from";
    W27 "no-time" Error "TimeGenerated is empty: the workspace puts the time of arrival";
    W28 "time-placeholder" Warning "time is before the year 2000, as programs write for an unknown one";
    W29 "time-ahead" Warning "time lies more than a day ahead";
    W30 "time-order" Error "EventEndTime is before EventStartTime";
    W31 "time-apart" Warning "TimeGenerated lies more than two days outside EventStartTime and EventEndTime";
    W32 "nothing-in-words" Warning "value stands for nothing; ASIM wants the field empty";
    W33 "blanks-around" Warning "value starts or ends with blanks";
    W34 "not-json" Error "dynamic value is no JSON";
    W35 "file-name" Warning "path does not end with its file name";
    W36 "file-path-type" Warning "path has not the form that its type names";
    W37 "registry-root" Warning "key does not start with a root's full name (HKEY_…)";
    W38 "process-id" Warning "process id is no decimal number";
    W39 "hash-type" Error "hash type names a hash that is empty";
    W40 "hexadecimal" Error "value is no hexadecimal number";
    W41 "wrong-schema" Error "rows name another schema than their table's, or none that exists";
}

impl Rule {
    /// Whether the rule is about columns alone, and so the same for any rows.
    pub fn is_about_columns(self) -> bool {
        self.id().starts_with('S') || matches!(self, Self::W23 | Self::W24)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_and_names_are_unique() {
        let ids: HashSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        let names: HashSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!((ids.len(), names.len()), (Rule::ALL.len(), Rule::ALL.len()));
    }
}
