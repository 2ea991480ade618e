//! Connections that a handler can cut, for faults that HTTP alone cannot show.
//!
//! Each accepted socket carries a [`Line`]; the handler finds it as connect info. Once the line is cut, the next read
//! or write on the socket fails, the server drops the connection, and the client sees a reset or an end of stream
//! instead of an answer.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const WHOLE: u8 = 0;
const CLOSED: u8 = 1;
const RESET: u8 = 2;

/// A handler's grip on the connection that its request came by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<AtomicU8>);

impl Line {
    /// Ends the connection without an answer: the client reads the end of the stream.
    pub(crate) fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// Ends the connection with a TCP reset.
    pub(crate) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }
}

/// A listener whose connections can be cut.
pub(crate) struct CuttableListener(pub(crate) TcpListener);

/// A connection that its [`Line`] can cut.
pub(crate) struct CuttableStream {
    stream: TcpStream,
    line: Line,
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, from)) => {
                    // Answers are small; without this they could wait for the client's delayed acknowledgement.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "cannot set TCP_NODELAY");
                    }
                    return (CuttableStream { stream, line: Line::default() }, from);
                }
                Err(error) => {
                    // Out of file descriptors, mostly: the open connections have to end first.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Line {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().line.clone()
    }
}

impl CuttableStream {
    fn check(&self) -> io::Result<()> {
        match self.line.0.load(Ordering::Acquire) {
            WHOLE => return Ok(()),
            RESET => self.stream.set_zero_linger()?,
            _ => {}
        }
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a scripted fault"))
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
