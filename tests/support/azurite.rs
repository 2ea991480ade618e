//! Azurite, Microsoft's emulator of Azure Blob storage, with blobs in memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::server::{Server, free_port, tool};

/// The account of every Azurite; its key is public
/// (<https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>).
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A blob service on loopback.
pub(crate) struct Azurite {
    port: u16,
    _server: Server,
}

impl Azurite {
    /// Starts the service and waits until it answers.
    pub(crate) async fn start() -> Self {
        let script = tool("azurite-3.37.0/node_modules/.bin/azurite-blob", "azurite.sh");
        let port = free_port();
        let mut command = Command::new(script);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
        command.args(["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
        // Where the machine's own Node is too old, the tests' Python environment has one.
        let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(node).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders).expect("folder names without colons"));
        let mut server = Server::start("azurite", &mut command);
        server.ready(|| request(port, "GET", "/", &[], b"").is_some()).await;
        Self { port, _server: server }
    }

    /// Creates a container; returns its name.
    pub(crate) async fn create_container(&self, name: &str) -> String {
        let path = format!("/{ACCOUNT}/{name}?restype=container&{}", account_sas());
        let status = request(self.port, "PUT", &path, &[], b"");
        assert_eq!(status, Some(201), "cannot create the container `{name}`");
        name.to_owned()
    }

    /// Creates an empty append blob; `path` begins with the container.
    pub(crate) fn create_append_blob(&self, path: &str) {
        let url = format!("/{ACCOUNT}/{path}?{}", account_sas());
        let status = request(self.port, "PUT", &url, &[("x-ms-blob-type", "AppendBlob")], b"");
        assert_eq!(status, Some(201), "cannot create `{path}`");
    }

    /// Adds a block to an append blob.
    pub(crate) fn append(&self, path: &str, block: &str) {
        let url = format!("/{ACCOUNT}/{path}?comp=appendblock&{}", account_sas());
        let status = request(self.port, "PUT", &url, &[], block.as_bytes());
        assert_eq!(status, Some(201), "cannot append to `{path}`");
    }

    /// The account's name.
    pub(crate) fn account_name(&self) -> &str {
        ACCOUNT
    }

    /// The account's key, as base64.
    pub(crate) fn account_key(&self) -> &str {
        KEY
    }

    /// The URL above the containers.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }
}

/// One request; the status of the answer, if there is one.
fn request(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-ms-version: 2021-12-02\r\nContent-Length: {}\r\n\
         Connection: close\r\n{}\r\n",
        body.len(),
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

/// A shared access signature for the whole account
/// (<https://learn.microsoft.com/rest/api/storageservices/create-account-sas>).
fn account_sas() -> String {
    let (version, end) = ("2019-12-12", "2100-01-01T00:00:00Z");
    let signed = format!("{ACCOUNT}\nrwdlac\nb\nsco\n\n{end}\n\nhttps,http\n{version}\n");
    let key = STANDARD.decode(KEY).expect("the key is base64");
    let signature =
        url::form_urlencoded::byte_serialize(STANDARD.encode(hmac_sha256(&key, signed.as_bytes())).as_bytes())
            .collect::<String>();
    format!("sv={version}&ss=b&srt=sco&sp=rwdlac&se={end}&spr=https,http&sig={signature}")
}

/// HMAC by RFC 2104, with SHA-256; the account's key is exactly one block long, so it needs no padding.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    assert_eq!(key.len(), 64);
    let pad = |byte: u8| key.iter().map(|k| k ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}
