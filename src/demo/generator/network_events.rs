//! `DeviceNetworkEvents`: connections of processes, and what the sensor's network inspection saw without a process.

use super::organisation::Site;
use super::process_tree;
use super::row::Row;
use super::scene::Scene;

/// Shares on Windows, per thousand.
const WINDOWS_ACTIONS: [(u32, &str); 22] = [
    (600, "ConnectionSuccess"),
    (75, "ConnectionFailed"),
    (52, "ConnectionAttempt"),
    (20, "ConnectionAcknowledged"),
    (30, "ConnectionFound"),
    (52, "InboundConnectionAccepted"),
    (20, "InboundConnectionAttempt"),
    (5, "InboundConnectionAcknowledged"),
    (16, "ListeningConnectionCreated"),
    (32, "DnsConnectionInspected"),
    (26, "HttpConnectionInspected"),
    (28, "SslConnectionInspected"),
    (6, "IcmpConnectionInspected"),
    (5, "NtlmAuthenticationInspected"),
    (7, "KerberosConnectionInspected"),
    (3, "SshConnectionInspected"),
    (2, "SmtpConnectionInspected"),
    (1, "FtpConnectionInspected"),
    (10, "NetworkSignatureInspected"),
    (2, "InboundInternetScanInspected"),
    (6, "ConnectionSuccessAggregatedReport"),
    (2, "ConnectionFailedAggregatedReport"),
];

const LINUX_ACTIONS: [(u32, &str); 5] = [
    (55, "ConnectionSuccess"),
    (25, "ConnectionRequest"),
    (12, "InboundConnectionAccepted"),
    (5, "ConnectionFailed"),
    (3, "ListeningConnectionCreated"),
];

/// The two ends of a connection.
struct Ends {
    remote_ip: Option<String>,
    remote_port: Option<i64>,
    remote_url: Option<String>,
    remote_type: Option<&'static str>,
    local_ip: String,
    local_port: Option<i64>,
    local_type: Option<&'static str>,
    protocol: Option<&'static str>,
}

/// Writes one network event.
pub(crate) fn write(scene: &mut Scene<'_>, row: &mut Row<'_>) {
    let actions: &[(u32, &str)] = if scene.device.is_linux { &LINUX_ACTIONS } else { &WINDOWS_ACTIONS };
    let action = scene.dice.weighted(actions);
    let is_inspected = action.ends_with("Inspected");
    let ends = ends(scene, action);
    if is_inspected {
        inspection(scene, action);
    }
    let acting = (!is_inspected).then(|| process_tree::acting(scene.device, scene.dice, scene.at));

    scene.head(row, action);
    row.escaped_or_null("RemoteIP", ends.remote_ip.as_deref());
    number_or_null(row, "RemotePort", ends.remote_port);
    row.escaped_or_null("RemoteUrl", ends.remote_url.as_deref());
    row.plain("LocalIP", &ends.local_ip);
    number_or_null(row, "LocalPort", ends.local_port);
    row.escaped_or_null("Protocol", ends.protocol);
    row.escaped_or_null("LocalIPType", ends.local_type);
    row.escaped_or_null("RemoteIPType", ends.remote_type);
    scene.acting_process(row, acting);
    scene.acting_process_rights(row, acting);
    if action.ends_with("AggregatedReport") {
        let count = scene.dice.between(2, 1200);
        scene.inner.push_str(&format!(r#"{{"uniqueEventsAggregated":{count}}}"#));
    } else if matches!(action, "ConnectionAttempt" | "InboundConnectionAttempt" | "InboundConnectionAcknowledged") {
        let mac = scene.dice.hex(12).to_uppercase();
        scene.inner.push_str(&format!(
            r#"{{"Source Mac":"{mac}","Destination Mac":"00005E0053{:02X}","Tcp Flags":{},"Packet Size":{}}}"#,
            scene.dice.below(256),
            if action.ends_with("Acknowledged") { 18 } else { 2 },
            scene.dice.between(52, 74),
        ));
    } else if let Some(acting) = acting.filter(|_| scene.device.is_linux && action == "ConnectionRequest") {
        let processes = std::mem::take(&mut scene.device.processes);
        scene.posix_identity("InitiatingProcess", &processes[acting]);
        scene.inner.push('}');
        scene.device.processes = processes;
    }
    scene.additional_fields(row);
    scene.tail(row);
}

fn number_or_null(row: &mut Row<'_>, key: &str, number: Option<i64>) {
    match number {
        Some(number) => row.number(key, number),
        None => row.null(key),
    }
}

fn ends(scene: &mut Scene<'_>, action: &str) -> Ends {
    let ephemeral = i64::from(scene.dice.between(49_152, 65_535));
    let local = scene.device.ip.clone();
    let protocol = Some(match (action, scene.dice.below(40)) {
        ("DnsConnectionInspected" | "InboundInternetScanInspected", _) => "Udp",
        ("IcmpConnectionInspected", _) => "Icmp",
        ("NetworkSignatureInspected", _) => return signature_ends(scene, local),
        (_, 0) => "TcpV4",
        (_, 1) => "Udp",
        _ => "Tcp",
    });
    if action == "ListeningConnectionCreated" {
        let port = i64::from(scene.dice.pick(&[135, 445, 3389, 5040, 7680, 8080, 49_664]));
        return Ends {
            remote_ip: None,
            remote_port: None,
            remote_url: None,
            remote_type: None,
            local_ip: "0.0.0.0".to_owned(),
            local_port: Some(port),
            local_type: Some("Reserved"),
            protocol,
        };
    }
    if action.starts_with("Inbound") {
        return inbound_ends(scene, action, local, ephemeral, protocol);
    }
    let inspected_port = match action {
        "DnsConnectionInspected" => Some(53),
        "KerberosConnectionInspected" => Some(88),
        "SshConnectionInspected" => Some(22),
        "SmtpConnectionInspected" => Some(25),
        "FtpConnectionInspected" => Some(21),
        "NtlmAuthenticationInspected" => Some(445),
        _ => None,
    };
    let is_inside = inspected_port.is_some() || scene.dice.percent(28);
    let sites: &[Site] = if is_inside { &scene.organisation.servers } else { &scene.organisation.sites };
    let site = scene.dice.choose(sites);
    let is_v6 = site.ip.contains(':');
    // One in thirty inside arrives through a socket of both families, where IPv4 stands inside IPv6.
    let is_mapped = is_inside && scene.dice.one_in(30);
    let remote_type = match (is_mapped, is_inside) {
        (true, _) => "FourToSixMapping",
        (false, true) => "Private",
        (false, false) => "Public",
    };
    let is_icmp = action == "IcmpConnectionInspected";
    let is_named = !action.ends_with("Inspected") && scene.dice.percent(if is_inside { 35 } else { 82 });
    let types_known = !action.ends_with("Inspected") && action != "ConnectionFound";
    Ends {
        remote_ip: Some(if is_mapped { format!("::ffff:{}", site.ip) } else { site.ip.clone() }),
        remote_port: (!is_icmp).then(|| inspected_port.unwrap_or(i64::from(site.port))),
        remote_url: is_named.then(|| match scene.dice.below(3) {
            0 if !is_inside => {
                format!("https://{}/v{}/sync?session={}", site.host, scene.dice.below(4), scene.dice.hex(8))
            }
            _ => site.host.clone(),
        }),
        remote_type: types_known.then_some(remote_type),
        local_ip: if is_v6 { scene.device.ipv6.clone() } else { local },
        local_port: (!is_icmp).then_some(ephemeral),
        local_type: types_known.then_some(if is_v6 { "Public" } else { "Private" }),
        protocol,
    }
}

fn inbound_ends(
    scene: &mut Scene<'_>,
    action: &str,
    local: String,
    ephemeral: i64,
    protocol: Option<&'static str>,
) -> Ends {
    let is_scan = action == "InboundInternetScanInspected";
    let remote = if is_scan {
        format!("198.51.100.{}", scene.dice.between(1, 254))
    } else {
        format!("10.40.{}.{}", scene.dice.below(2), scene.dice.between(10, 209))
    };
    let port = match (scene.device.is_linux, scene.device.is_server) {
        (true, _) => scene.dice.pick(&[22, 443, 8080]),
        (false, true) => scene.dice.pick(&[135, 445, 3389, 5985, 1433]),
        (false, false) => scene.dice.pick(&[135, 445, 3389, 7680]),
    };
    Ends {
        remote_ip: Some(remote),
        remote_port: Some(ephemeral),
        remote_url: None,
        remote_type: (!is_scan).then_some("Private"),
        local_ip: local,
        local_port: Some(port),
        local_type: (!is_scan).then_some("Private"),
        protocol,
    }
}

fn signature_ends(scene: &mut Scene<'_>, local: String) -> Ends {
    let site = scene.dice.choose(&scene.organisation.sites);
    Ends {
        remote_ip: Some(site.ip.clone()),
        remote_port: Some(i64::from(scene.dice.between(49_152, 65_535))),
        remote_url: None,
        remote_type: None,
        local_ip: local,
        local_port: Some(i64::from(site.port)),
        local_type: None,
        protocol: None,
    }
}

/// Puts what the inspection of `action` tells into `inner`. All its values are strings, as the sensor sends them.
fn inspection(scene: &mut Scene<'_>, action: &str) {
    let site = scene.dice.choose(&scene.organisation.sites);
    let host = &site.host;
    let direction = if scene.dice.percent(75) { "Out" } else { "In" };
    // The id that the inspection gives a connection, and its time in units of 100 ns since 1601.
    let uid = format!("C{}", scene.dice.hex(17));
    let file_time = scene.at + 116_444_736_000_000_000;
    let dice = &mut *scene.dice;
    let json = match action {
        "DnsConnectionInspected" => {
            let (code, name) = dice.weighted(&[(92, ("0", "NOERROR")), (8, ("3", "NXDOMAIN"))]);
            let (kind, kind_name) = dice.pick(&[("1", "A"), ("28", "AAAA"), ("65", "HTTPS")]);
            let answers = if code == "0" { format!(r#"[\"{}\"]"#, site.ip) } else { "[]".to_owned() };
            let lives = if code == "0" { format!("[{}.0]", dice.between(5, 3600)) } else { "[]".to_owned() };
            format!(
                concat!(
                    r#"{{"direction":"{}","trans_id":"{}","rtt":"0.0{}","query":"{}","qclass":"1","#,
                    r#""qclass_name":"C_INTERNET","qtype":"{}","qtype_name":"{}","rcode":"{}","uid":"{}","#,
                    r#""rcode_name":"{}","AA":"false","TC":"false","RD":"true","RA":"true","answers":"{}","#,
                    r#""TTLs":"{}","rejected":"false","ts":"{}"}}"#
                ),
                direction,
                dice.below(65_536),
                dice.between(100_000, 999_999),
                host,
                kind,
                kind_name,
                code,
                uid,
                name,
                answers,
                lives,
                file_time
            )
        }
        "HttpConnectionInspected" => {
            let method = dice.weighted(&[(70, "GET"), (20, "POST"), (8, "CONNECT"), (2, "HEAD")]);
            let (code, message) =
                dice.weighted(&[(85, ("200", "OK")), (6, ("304", "Not Modified")), (9, ("404", "Not Found"))]);
            format!(
                concat!(
                    r#"{{"direction":"{}","host":"{}","method":"{}","request_body_len":"{}","response_body_len":"{}","#,
                    r#""status_code":"{}","status_msg":"{}","tags":"[]","trans_depth":"1","uri":"/assets/{}","#,
                    r#""user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64)","version":"1.1"}}"#
                ),
                direction,
                host,
                method,
                if method == "POST" { dice.between(20, 9000) } else { 0 },
                dice.between(0, 900_000),
                code,
                message,
                dice.hex(10)
            )
        }
        "SslConnectionInspected" => format!(
            concat!(
                r#"{{"direction":"{}","version":"TLSv12","curve":"secp384r1","server_name":"{}","resumed":"{}","#,
                r#""next_protocol":"h2","established":"true","subject":"CN={},O=Fabrikam\\, Inc.,C=US","uid":"{}","#,
                r#""issuer":"CN=Fabrikam Issuing CA 2,O=Fabrikam,C=US","#,
                r#""cipher":"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384","ts":"{}"}}"#
            ),
            direction,
            host,
            dice.percent(30),
            host,
            uid,
            file_time
        ),
        "IcmpConnectionInspected" => {
            let packets = dice.between(1, 40);
            format!(
                concat!(
                    r#"{{"direction":"{}","conn_state":"OTH","duration":"{}.0{}","missed_bytes":"0","orig_bytes":"{}","#,
                    r#""orig_ip_bytes":"{}","orig_pkts":"{}","resp_bytes":"0","resp_ip_bytes":"0","resp_pkts":"0","#,
                    r#""uid":"{}"}}"#
                ),
                direction,
                dice.below(300),
                dice.below(9999),
                packets * 56,
                packets * 84,
                packets,
                uid
            )
        }
        "NtlmAuthenticationInspected" => format!(
            concat!(
                r#"{{"direction":"{}","server_nb_computer_name":"SRV-FILES003","server_nb_domain_name":"CONTOSO","#,
                r#""server_dns_computer_name":"srv-files003.contoso.example","server_dns_domain_name":"contoso.example","#,
                r#""server_tree_name":"contoso.example","uid":"{}","server_version":"10.0 20348 15","ts":"{}"}}"#
            ),
            direction, uid, file_time
        ),
        "KerberosConnectionInspected" => {
            let service = dice.pick(&["krbtgt/CONTOSO.EXAMPLE", "cifs/srv-files003.contoso.example"]);
            format!(
                r#"{{"direction":"{direction}","request_type":"TGS","service":"{service}","success":"true","uid":"{uid}"}}"#
            )
        }
        "SshConnectionInspected" => format!(
            concat!(
                r#"{{"direction":"{}","auth_attempts":"{}","auth_success":"{}","client":"SSH-2.0-FabTerm_3.1","#,
                r#""server":"SSH-2.0-OpenSSH_9.2p1","uid":"{}"}}"#
            ),
            direction,
            dice.between(1, 4),
            dice.percent(80),
            uid
        ),
        "SmtpConnectionInspected" => format!(
            concat!(
                r#"{{"direction":"{}","fuids":"[]","helo":"{}","last_reply":"220 2.0.0 SMTP server ready","#,
                r#""path":"[\"{}\"]","tls":"true","trans_depth":"1","uid":"{}"}}"#
            ),
            direction, scene.device.name, site.ip, uid
        ),
        "FtpConnectionInspected" => format!(
            concat!(
                r#"{{"direction":"{}","user":"<unknown>","reply_msg":"Service ready","reply_code":"220","#,
                r#""cwd":".","command":"<init>","uid":"{}"}}"#
            ),
            direction, uid
        ),
        "InboundInternetScanInspected" => format!(
            r#"{{"PublicScannedPort":{},"PublicScannedIp":"203.0.113.{}"}}"#,
            dice.between(1, 9999),
            dice.between(1, 254)
        ),
        _ => format!(r#"{{"SignatureName":"HTTP_Client","SignatureMatchedContent":"GET%20/{}"}}"#, dice.hex(8)),
    };
    scene.inner.push_str(&json);
}
