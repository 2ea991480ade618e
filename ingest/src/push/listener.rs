//! Connections of senders: bounded in number, with TLS if the config has a certificate, closed when nothing moves.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;

use super::config::TlsConfig;
use super::intake::Intake;
use crate::source::SourceError;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait when the system has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(200);

/// Makes a TLS acceptor of a certificate and its key.
pub(crate) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, String> {
    let shown = config.certificate.display();
    let chain: Result<Vec<_>, _> = match CertificateDer::pem_file_iter(&config.certificate) {
        Ok(certificates) => certificates.collect(),
        Err(error) => Err(error),
    };
    let chain = chain.map_err(|error| format!("`{shown}` holds no PEM certificate ({error})"))?;
    if chain.is_empty() {
        return Err(format!("`{shown}` holds no PEM certificate; write the chain there, the server's own first"));
    }
    let key = PrivateKeyDer::from_pem_file(&config.private_key)
        .map_err(|error| format!("`{}` holds no PEM private key ({error})", config.private_key.display()))?;
    // Named, since the tree has two providers and rustls would not choose between them.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("`{shown}` and its private key do not fit together ({error})"))?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// Binds a port; the error says which.
pub(crate) async fn bind(name: &crate::push::intake::Intake, address: SocketAddr) -> Result<TcpListener, SourceError> {
    TcpListener::bind(address).await.map_err(|error| SourceError::Service {
        source_name: name.name.clone(),
        problem: format!("cannot listen on `{address}`; is another process there, or may this one not use the port?"),
        retryable: error.kind() == io::ErrorKind::AddrInUse,
        source: Some(Box::new(error)),
    })
}

/// Accepts connections; handshakes go on beside each other.
pub(crate) struct Connections {
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
    local: SocketAddr,
    /// Ends its task when it is dropped.
    _accepting: JoinSet<()>,
}

/// How connections are taken.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) most: usize,
    pub(crate) idle: Duration,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Connections {
    pub(crate) fn new(listener: TcpListener, rules: Rules, intake: Intake) -> io::Result<Self> {
        let local = listener.local_addr()?;
        let (tx, ready) = mpsc::channel(1); // connections that nobody serves yet
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, rules, intake, tx));
        Ok(Self { ready, local, _accepting: accepting })
    }
}

async fn accept(listener: TcpListener, rules: Rules, intake: Intake, out: mpsc::Sender<(Connection, SocketAddr)>) {
    let slots = Arc::new(Semaphore::new(rules.most));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(source = %intake.name, error = %error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            intake.refused("connections");
            continue;
        };
        // An answer of few bytes must not wait for more of them.
        let _ = stream.set_nodelay(true);
        let (out, intake, tls, idle) = (out.clone(), intake.clone(), rules.tls.clone(), rules.idle);
        tokio::spawn(async move {
            let stream = match tls {
                None => Stream::Plain(stream),
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
                    _ => return intake.refused("tls"),
                },
            };
            let connection = Connection::new(stream, idle, slot, &intake);
            // Nobody takes it any more when the source stops.
            let _ = out.send((connection, peer)).await;
        });
    }
}

impl axum::serve::Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task ends with this value only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// A connection; reading or writing fails when nothing moved for too long.
pub(crate) struct Connection {
    stream: Stream,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
    open: prometheus::IntGauge,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: Stream, idle: Duration, slot: OwnedSemaphorePermit, intake: &Intake) -> Self {
        let open = intake.metrics.connections.with_label_values(&[intake.name.as_ref()]);
        open.inc();
        Self { stream, idle, deadline: Box::pin(tokio::time::sleep(idle)), open, _slot: slot }
    }

    /// Something moved: the time begins anew. Nothing did: it may be over.
    fn watch<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(done) => {
                self.deadline.as_mut().reset(Instant::now() + self.idle);
                Poll::Ready(done)
            }
            Poll::Pending if self.deadline.as_mut().poll(context).is_ready() => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, out),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, out),
        };
        this.watch(polled, cx)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.watch(polled, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
