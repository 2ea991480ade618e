//! Numbers and their names, from IANA's registries.

/// Resource record types (<https://www.iana.org/assignments/dns-parameters/>).
#[rustfmt::skip]
pub(super) const DNS_TYPES: &[(u16, &str)] = &[
    (1, "A"), (2, "NS"), (3, "MD"), (4, "MF"), (5, "CNAME"), (6, "SOA"), (7, "MB"), (8, "MG"), (9, "MR"),
    (10, "NULL"), (11, "WKS"), (12, "PTR"), (13, "HINFO"), (14, "MINFO"), (15, "MX"), (16, "TXT"), (17, "RP"),
    (18, "AFSDB"), (19, "X25"), (20, "ISDN"), (21, "RT"), (22, "NSAP"), (23, "NSAP-PTR"), (24, "SIG"), (25, "KEY"),
    (26, "PX"), (27, "GPOS"), (28, "AAAA"), (29, "LOC"), (30, "NXT"), (31, "EID"), (32, "NIMLOC"), (33, "SRV"),
    (34, "ATMA"), (35, "NAPTR"), (36, "KX"), (37, "CERT"), (38, "A6"), (39, "DNAME"), (40, "SINK"), (41, "OPT"),
    (42, "APL"), (43, "DS"), (44, "SSHFP"), (45, "IPSECKEY"), (46, "RRSIG"), (47, "NSEC"), (48, "DNSKEY"),
    (49, "DHCID"), (50, "NSEC3"), (51, "NSEC3PARAM"), (52, "TLSA"), (53, "SMIMEA"), (55, "HIP"), (56, "NINFO"),
    (57, "RKEY"), (58, "TALINK"), (59, "CDS"), (60, "CDNSKEY"), (61, "OPENPGPKEY"), (62, "CSYNC"), (63, "ZONEMD"),
    (64, "SVCB"), (65, "HTTPS"), (99, "SPF"), (100, "UINFO"), (101, "UID"), (102, "GID"), (103, "UNSPEC"),
    (104, "NID"), (105, "L32"), (106, "L64"), (107, "LP"), (108, "EUI48"), (109, "EUI64"), (249, "TKEY"),
    (250, "TSIG"), (251, "IXFR"), (252, "AXFR"), (253, "MAILB"), (254, "MAILA"), (255, "*"), (256, "URI"),
    (257, "CAA"), (258, "AVC"), (259, "DOA"), (260, "AMTRELAY"), (32768, "TA"), (32769, "DLV"),
];

/// Response codes (<https://www.iana.org/assignments/dns-parameters/>).
#[rustfmt::skip]
pub(super) const DNS_RESPONSES: &[(u16, &str)] = &[
    (0, "NOERROR"), (1, "FORMERR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (4, "NOTIMP"), (5, "REFUSED"), (6, "YXDOMAIN"),
    (7, "YXRRSET"), (8, "NXRRSET"), (9, "NOTAUTH"), (10, "NOTZONE"), (11, "DSOTYPENI"), (16, "BADVERS"),
    (17, "BADKEY"), (18, "BADTIME"), (19, "BADMODE"), (20, "BADNAME"), (21, "BADALG"), (22, "BADTRUNC"),
    (23, "BADCOOKIE"),
];

/// ICMP types (<https://www.iana.org/assignments/icmp-parameters/>).
#[rustfmt::skip]
pub(super) const ICMP_TYPES: &[(u16, &str)] = &[
    (0, "Echo Reply"), (3, "Destination Unreachable"), (4, "Source Quench"), (5, "Redirect"),
    (6, "Alternate Host Address"), (8, "Echo"), (9, "Router Advertisement"), (10, "Router Solicitation"),
    (11, "Time Exceeded"), (12, "Parameter Problem"), (13, "Timestamp"), (14, "Timestamp Reply"),
    (15, "Information Request"), (16, "Information Reply"), (17, "Address Mask Request"), (18, "Address Mask Reply"),
    (30, "Traceroute"), (31, "Datagram Conversion Error"), (32, "Mobile Host Redirect"), (33, "IPv6 Where-Are-You"),
    (34, "IPv6 I-Am-Here"), (35, "Mobile Registration Request"), (36, "Mobile Registration Reply"),
    (37, "Domain Name Request"), (38, "Domain Name Reply"), (39, "SKIP"), (40, "Photuris"),
    (42, "Extended Echo Request"), (43, "Extended Echo Reply"),
];

/// Protocol numbers (<https://www.iana.org/assignments/protocol-numbers/>).
#[rustfmt::skip]
pub(super) const PROTOCOLS: &[(u16, &str)] = &[
    (0, "HOPOPT"), (1, "ICMP"), (2, "IGMP"), (3, "GGP"), (4, "IPv4"), (5, "ST"), (6, "TCP"), (7, "CBT"), (8, "EGP"),
    (9, "IGP"), (10, "BBN-RCC-MON"), (11, "NVP-II"), (12, "PUP"), (13, "ARGUS"), (14, "EMCON"), (15, "XNET"),
    (16, "CHAOS"), (17, "UDP"), (18, "MUX"), (19, "DCN-MEAS"), (20, "HMP"), (21, "PRM"), (22, "XNS-IDP"),
    (23, "TRUNK-1"), (24, "TRUNK-2"), (25, "LEAF-1"), (26, "LEAF-2"), (27, "RDP"), (28, "IRTP"), (29, "ISO-TP4"),
    (30, "NETBLT"), (31, "MFE-NSP"), (32, "MERIT-INP"), (33, "DCCP"), (34, "3PC"), (35, "IDPR"), (36, "XTP"),
    (37, "DDP"), (38, "IDPR-CMTP"), (39, "TP++"), (40, "IL"), (41, "IPv6"), (42, "SDRP"), (43, "IPv6-Route"),
    (44, "IPv6-Frag"), (45, "IDRP"), (46, "RSVP"), (47, "GRE"), (48, "DSR"), (49, "BNA"), (50, "ESP"), (51, "AH"),
    (52, "I-NLSP"), (53, "SWIPE"), (54, "NARP"), (55, "MOBILE"), (56, "TLSP"), (57, "SKIP"), (58, "IPv6-ICMP"),
    (59, "IPv6-NoNxt"), (60, "IPv6-Opts"), (62, "CFTP"), (64, "SAT-EXPAK"), (65, "KRYPTOLAN"), (66, "RVD"),
    (67, "IPPC"), (69, "SAT-MON"), (70, "VISA"), (71, "IPCV"), (72, "CPNX"), (73, "CPHB"), (74, "WSN"), (75, "PVP"),
    (76, "BR-SAT-MON"), (77, "SUN-ND"), (78, "WB-MON"), (79, "WB-EXPAK"), (80, "ISO-IP"), (81, "VMTP"),
    (82, "SECURE-VMTP"), (83, "VINES"), (84, "TTP"), (85, "NSFNET-IGP"), (86, "DGP"), (87, "TCF"), (88, "EIGRP"),
    (89, "OSPFIGP"), (90, "Sprite-RPC"), (91, "LARP"), (92, "MTP"), (93, "AX.25"), (94, "IPIP"), (95, "MICP"),
    (96, "SCC-SP"), (97, "ETHERIP"), (98, "ENCAP"), (100, "GMTP"), (101, "IFMP"), (102, "PNNI"), (103, "PIM"),
    (104, "ARIS"), (105, "SCPS"), (106, "QNX"), (107, "A/N"), (108, "IPComp"), (109, "SNP"), (110, "Compaq-Peer"),
    (111, "IPX-in-IP"), (112, "VRRP"), (113, "PGM"), (115, "L2TP"), (116, "DDX"), (117, "IATP"), (118, "STP"),
    (119, "SRP"), (120, "UTI"), (121, "SMP"), (122, "SM"), (123, "PTP"), (124, "ISIS over IPv4"), (125, "FIRE"),
    (126, "CRTP"), (127, "CRUDP"), (128, "SSCOPMCE"), (129, "IPLT"), (130, "SPS"), (131, "PIPE"), (132, "SCTP"),
    (133, "FC"), (134, "RSVP-E2E-IGNORE"), (135, "Mobility Header"), (136, "UDPLite"), (137, "MPLS-in-IP"),
    (138, "manet"), (139, "Shim6"), (140, "WESP"), (141, "ROHC"), (142, "Ethernet"), (143, "AGGFRAG"), (144, "NSH"),
];

/// Status codes (<https://www.iana.org/assignments/http-status-codes/>), and two that IIS adds.
#[rustfmt::skip]
pub(super) const HTTP_STATUS: &[(u16, &str)] = &[
    (100, "Continue"), (101, "Switching Protocols"), (102, "Processing"), (103, "Early Hints"), (200, "OK"),
    (201, "Created"), (202, "Accepted"), (203, "Non-Authoritative Information"), (204, "No Content"),
    (205, "Reset Content"), (206, "Partial Content"), (207, "Multi-Status"), (208, "Already Reported"),
    (226, "IM Used"), (300, "Multiple Choices"), (301, "Moved Permanently"), (302, "Found"), (303, "See Other"),
    (304, "Not Modified"), (305, "Use Proxy"), (307, "Temporary Redirect"), (308, "Permanent Redirect"),
    (400, "Bad Request"), (401, "Unauthorized"), (402, "Payment Required"), (403, "Forbidden"), (404, "Not Found"),
    (405, "Method Not Allowed"), (406, "Not Acceptable"), (407, "Proxy Authentication Required"),
    (408, "Request Timeout"), (409, "Conflict"), (410, "Gone"), (411, "Length Required"),
    (412, "Precondition Failed"), (413, "Content Too Large"), (414, "URI Too Long"), (415, "Unsupported Media Type"),
    (416, "Range Not Satisfiable"), (417, "Expectation Failed"), (421, "Misdirected Request"),
    (422, "Unprocessable Content"), (423, "Locked"), (424, "Failed Dependency"), (425, "Too Early"),
    (426, "Upgrade Required"), (428, "Precondition Required"), (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"), (440, "Login Time-out"), (449, "Retry With"),
    (451, "Unavailable For Legal Reasons"), (500, "Internal Server Error"), (501, "Not Implemented"),
    (502, "Bad Gateway"), (503, "Service Unavailable"), (504, "Gateway Timeout"), (505, "HTTP Version Not Supported"),
    (506, "Variant Also Negotiates"), (507, "Insufficient Storage"), (508, "Loop Detected"), (510, "Not Extended"),
    (511, "Network Authentication Required"),
];
