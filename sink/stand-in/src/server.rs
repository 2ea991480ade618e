//! Starting and stopping the server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::routing::{delete, get, post, put};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::StandInConfig;
use crate::connection::{CuttableListener, Line};
use crate::workspace::Workspace;
use crate::{directory, ingest, own_api};

/// Longest wait for open requests at a shutdown.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// A running stand-in. Dropping it stops it in the background; [`StandIn::shutdown`] waits.
pub struct StandIn {
    addr: SocketAddr,
    workspace: Workspace,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl StandIn {
    /// Binds the address and serves on the current tokio runtime. The error is the bind's.
    pub async fn start(config: StandInConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let workspace = Workspace::new(config, base_url(addr));
        let service = router(workspace.clone()).into_make_service_with_connect_info::<Line>();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(CuttableListener(listener), service).with_graceful_shutdown(async {
            // An error means that the handle was dropped, which stops the server too.
            let _ = stopped.await;
        });
        let server = tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the stand-in's server ended");
            }
        });
        Ok(Self { addr, workspace, stop: Some(stop), server })
    }

    /// Base URL, without a slash at its end: the `endpoint` and the token authority of a sender's config.
    pub fn url(&self) -> String {
        self.workspace.url().to_owned()
    }

    /// The address that is listened on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A handle to the rules, faults, rows and counters.
    pub fn state(&self) -> Workspace {
        self.workspace.clone()
    }

    /// Stops accepting, lets open requests end (at most 5 s), and returns.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if tokio::time::timeout(SHUTDOWN_LIMIT, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

fn router(workspace: Workspace) -> Router {
    Router::new()
        .route("/", get(own_api::get_page))
        .route("/healthz", get(async || "ok\n"))
        .route("/{tenant}/oauth2/v2.0/token", post(directory::client_credentials))
        .route("/metadata/identity/oauth2/token", get(directory::managed_identity))
        .route("/dataCollectionRules/{id}/streams/{stream}", post(ingest::post))
        .route("/stand-in/rules", put(own_api::put_rules).get(own_api::get_rules))
        .route("/stand-in/rules/{id}/role", put(own_api::put_role))
        .route("/stand-in/faults", post(own_api::post_faults).get(own_api::get_faults).delete(own_api::delete_faults))
        .route("/stand-in/tables", get(own_api::get_tables))
        .route("/stand-in/tables/{table}/rows", get(own_api::get_rows))
        .route("/stand-in/rows", delete(own_api::delete_rows))
        .route("/stand-in/tokens", delete(own_api::delete_tokens))
        .with_state(workspace)
}

/// An unspecified address is reached over loopback.
fn base_url(addr: SocketAddr) -> String {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}
