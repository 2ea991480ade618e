//! Names that public registries assign, as far as logical types refer to them.
//!
//! The official testers download the IANA files at run time; these are the same names, so that a check needs no network
//! and gives the same result every time.

use std::collections::HashSet;
use std::sync::LazyLock;

/// DNS response codes in upper case, <https://www.iana.org/assignments/dns-parameters>.
const RCODES: &str = "NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE DSOTYPENI BADVERS \
     BADSIG BADKEY BADTIME BADMODE BADNAME BADALG BADTRUNC BADCOOKIE";

/// DNS resource record types, <https://www.iana.org/assignments/dns-parameters>.
const RR_TYPES: &str = "A NS MD MF CNAME SOA MB MG MR NULL WKS PTR HINFO MINFO MX TXT RP AFSDB X25 ISDN RT NSAP NSAP-PTR SIG KEY PX GPOS \
     AAAA LOC NXT EID NIMLOC SRV ATMA NAPTR KX CERT A6 DNAME SINK OPT APL DS SSHFP IPSECKEY RRSIG NSEC DNSKEY DHCID \
     NSEC3 NSEC3PARAM TLSA SMIMEA HIP NINFO RKEY TALINK CDS CDNSKEY OPENPGPKEY CSYNC ZONEMD SVCB HTTPS DSYNC HHIT \
     BRID SPF UINFO UID GID UNSPEC NID L32 L64 LP EUI48 EUI64 NXNAME TKEY TSIG IXFR AXFR MAILB MAILA * URI CAA AVC \
     DOA AMTRELAY RESINFO WALLET CLA IPN TA DLV";

/// Keywords of <https://www.iana.org/assignments/protocol-numbers>, joined by `|`.
const PROTOCOLS: &str = "HOPOPT|ICMP|IGMP|GGP|IPv4|ST|TCP|CBT|EGP|IGP|BBN-RCC-MON|NVP-II|PUP|ARGUS|EMCON|XNET|CHAOS|UDP|MUX|DCN-MEAS|HMP|\
     PRM|XNS-IDP|TRUNK-1|TRUNK-2|LEAF-1|LEAF-2|RDP|IRTP|ISO-TP4|NETBLT|MFE-NSP|MERIT-INP|DCCP|3PC|IDPR|XTP|DDP|\
     IDPR-CMTP|TP++|IL|IPv6|SDRP|IPv6-Route|IPv6-Frag|IDRP|RSVP|GRE|DSR|BNA|ESP|AH|I-NLSP|SWIPE|NARP|Min-IPv4|TLSP|\
     SKIP|IPv6-ICMP|IPv6-NoNxt|IPv6-Opts|CFTP|SAT-EXPAK|KRYPTOLAN|RVD|IPPC|SAT-MON|VISA|IPCV|CPNX|CPHB|WSN|PVP|\
     BR-SAT-MON|SUN-ND|WB-MON|WB-EXPAK|ISO-IP|VMTP|SECURE-VMTP|VINES|IPTM|NSFNET-IGP|DGP|TCF|EIGRP|OSPFIGP|\
     Sprite-RPC|LARP|MTP|AX.25|IPIP|MICP|SCC-SP|ETHERIP|ENCAP|GMTP|IFMP|PNNI|PIM|ARIS|SCPS|QNX|A/N|IPComp|SNP|\
     Compaq-Peer|IPX-in-IP|VRRP|PGM|L2TP|DDX|IATP|STP|SRP|UTI|SMP|SM|PTP|ISIS over IPv4|FIRE|CRTP|CRUDP|SSCOPMCE|\
     IPLT|SPS|PIPE|SCTP|FC|RSVP-E2E-IGNORE|Mobility Header|UDPLite|MPLS-in-IP|manet|Shim6|WESP|ROHC|Ethernet|AGGFRAG|\
     NSH|Homa|BIT-EMU|Reserved";

/// ISO 3166-1 alpha-2 codes.
const ALPHA_2: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
     CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO \
     FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE \
     JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO \
     MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW \
     PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM \
     TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// ISO 3166-1 alpha-3 codes.
const ALPHA_3: &str = "ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR BHS BIH BLM \
     BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV CRI CUB CUW CXR \
     CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB \
     GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL ISR ITA \
     JAM JEY JOR JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX LVA MAC MAF MAR MCO MDA \
     MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL NER NFK NGA NIC NIU NLD NOR \
     NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU SDN SEN SGP SGS \
     SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK TKL TKM TLS TON \
     TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE";

type Names = LazyLock<HashSet<&'static str>>;

static RCODE_SET: Names = LazyLock::new(|| RCODES.split(' ').collect());
static RR_TYPE_SET: Names = LazyLock::new(|| RR_TYPES.split(' ').collect());
static PROTOCOL_SET: Names = LazyLock::new(|| PROTOCOLS.split('|').collect());
static COUNTRY_SET: Names = LazyLock::new(|| ALPHA_2.split(' ').chain(ALPHA_3.split(' ')).collect());

/// A response code's name in upper case, or `NA`.
pub(super) fn is_rcode(name: &str) -> bool {
    name == "NA" || RCODE_SET.contains(name)
}

/// A record type's name, `ANY`, or `TYPE` and a number.
pub(super) fn is_rr_type(name: &str) -> bool {
    name == "ANY" || RR_TYPE_SET.contains(name) || is_numbered(name, "TYPE")
}

/// A class's name, or `CLASS` and a number.
pub(super) fn is_dns_class(name: &str) -> bool {
    matches!(name, "Reserved" | "IN" | "Unassigned" | "CH" | "HS" | "None" | "Any") || is_numbered(name, "CLASS")
}

/// A protocol's keyword, in the registry's case.
pub(super) fn is_protocol(name: &str) -> bool {
    PROTOCOL_SET.contains(name)
}

/// A country's two or three letters, or its name: ASIM takes all three.
pub(super) fn is_country(text: &str) -> bool {
    if text.len() <= 3 {
        return COUNTRY_SET.contains(text);
    }
    text.starts_with(char::is_uppercase) && !text.contains(|c: char| c.is_ascii_digit() || c.is_control())
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(super::text::is_decimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_in_the_case_of_their_registry() {
        assert!(is_rcode("NXDOMAIN") && is_rcode("NA") && !is_rcode("NXDomain") && !is_rcode("Success"));
        assert!(
            is_rr_type("AAAA") && is_rr_type("TYPE65") && is_rr_type("ANY") && !is_rr_type("TYPE") && !is_rr_type("a")
        );
        assert!(is_dns_class("IN") && is_dns_class("CLASS7") && !is_dns_class("in"));
        assert!(is_protocol("TCP") && is_protocol("IPv6-ICMP") && is_protocol("TP++") && !is_protocol("ICMPv6"));
        assert_eq!(PROTOCOL_SET.len(), PROTOCOLS.split('|').count(), "each keyword stands there once");
    }

    #[test]
    fn countries_are_codes_or_names() {
        for good in ["DE", "USA", "United States", "C\u{f4}te d'Ivoire"] {
            assert!(is_country(good), "{good}");
        }
        for bad in ["XX", "de", "ZZZ", "germany", "Country1"] {
            assert!(!is_country(bad), "{bad}");
        }
        assert_eq!(COUNTRY_SET.len(), 2 * 249);
    }
}
