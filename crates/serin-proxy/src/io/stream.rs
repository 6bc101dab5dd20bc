//! A connection, TCP, Unix or TLS, read and written by one task in both directions at once.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// TLS over TCP, of either side.
pub(crate) type TlsStream = tokio_rustls::TlsStream<TcpStream>;

/// Bytes both ways.
pub(crate) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// This side's address, where it has one.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Tls(stream) => stream.get_ref().0.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Dropping it will reset the connection: what is not sent yet is lost, and the peer learns that something went wrong.
    fn reset_on_drop(&self) {
        // Where that cannot be said any more, there is no connection to reset.
        let _ = match self {
            Self::Tcp(stream) => stream.set_zero_linger(),
            Self::Tls(stream) => stream.get_ref().0.set_zero_linger(),
            Self::Unix(_) => Ok(()),
        };
    }
}

/// Does the same with whichever stream it is.
macro_rules! each {
    ($self:expr, $stream:ident => $do:expr) => {
        match $self {
            Stream::Tcp($stream) => $do,
            Stream::Unix($stream) => $do,
            Stream::Tls($stream) => $do,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(&mut *stream).poll_read(cx, target))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(&mut *stream).poll_write(cx, piece))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(&mut *stream).poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(&mut *stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(&mut *stream).poll_shutdown(cx))
    }
}

/// A stream whose directions are borrowed only while they are polled. One task uses both, so that there is one waker.
pub(crate) struct Io(RefCell<Stream>);

impl Io {
    pub(crate) const fn new(stream: Stream) -> Self {
        Self(RefCell::new(stream))
    }

    /// This side's address, where it has one.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.0.borrow().local_addr()
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.0.into_inner().reset_on_drop();
    }

    /// The stream itself.
    pub(crate) fn into_inner(self) -> Stream {
        self.0.into_inner()
    }

    /// Reads what is there, waiting for at least one byte; 0 is the end.
    pub(crate) async fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, space)).await
    }

    fn poll_read(&self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut target = ReadBuf::new(space);
        match Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, &mut target) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(target.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes all of the pieces, in as few system calls as the stream allows.
    pub(crate) async fn write_all(&self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut rest = pieces;
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let count = poll_fn(|cx| self.poll_write(cx, rest)).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, count);
        }
        // What TLS has taken is on its way only when it is flushed; for a socket this does nothing.
        self.flush().await
    }

    fn poll_write(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut stream = self.0.borrow_mut();
        let stream = Pin::new(&mut *stream);
        match pieces {
            // The system takes one piece for less than a list of one.
            [piece] => stream.poll_write(cx, piece),
            pieces => stream.poll_write_vectored(cx, pieces),
        }
    }

    /// Hands on what was written.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)).await
    }

    /// Says what has to be said before a connection is closed in both directions at once: on TLS, that there is no more to come.
    pub(crate) async fn say_goodbye(&self) -> io::Result<()> {
        let is_tls = matches!(&*self.0.borrow(), Stream::Tls(_));
        if is_tls { self.shutdown().await } else { Ok(()) }
    }

    /// Ends the outgoing direction.
    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)).await
    }

    /// Waits until there may be something to read, without a buffer.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// The same for whoever polls.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.borrow_mut() {
            Stream::Unix(stream) => stream.poll_read_ready(cx),
            Stream::Tcp(stream) => stream.poll_read_ready(cx),
            // Records that are no data are taken out on the way; reading into no space leaves the data where it is.
            Stream::Tls(stream) => {
                Pin::new(&mut **stream).poll_read(cx, &mut ReadBuf::new(&mut []))
            }
        }
    }

    /// Whether the peer has sent or closed something since the last read, as far as the event loop knows: no system call
    /// unless there is. An idle upstream connection for which this is true is not used again.
    pub(crate) fn has_news(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // What is tried is nothing: it is only asked whether there would be something.
        match &mut *self.0.borrow_mut() {
            Stream::Unix(stream) => stream.try_io(Interest::READABLE, || Ok(())).is_ok(),
            Stream::Tcp(stream) => stream.try_io(Interest::READABLE, || Ok(())).is_ok(),
            Stream::Tls(stream) => {
                // A ticket for the next session is no news.
                stream.get_ref().0.try_io(Interest::READABLE, || Ok(())).is_ok()
                    && Pin::new(&mut **stream)
                        .poll_read(&mut cx, &mut ReadBuf::new(&mut []))
                        .is_ready()
            }
        }
    }
}
