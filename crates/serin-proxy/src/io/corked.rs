//! A stream on which what is written in one turn leaves together.
//!
//! The HTTP/2 library writes every frame of data by itself and flushes after each, which is a system call for each answer, and a
//! record of TLS. Here small pieces wait until whoever polls the library finds that it has nothing else to do; a system call for all
//! of them is most of what many streams on one connection save.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::memory;

/// Pieces so large are not copied: they leave at once, behind what waits.
const LARGE: usize = 8 * 1024;
/// No more than this waits.
const MOST: usize = 32 * 1024;
/// Pieces that leave with what waits; of more the first ones.
const PIECES: usize = 4;

/// The stream, for the library.
pub(crate) struct Corked<S>(Rc<RefCell<State<S>>>);

/// The same for whoever polls the library.
pub(crate) struct Cork<S>(Rc<RefCell<State<S>>>);

struct State<S> {
    stream: S,
    /// What waits, from `start` on. Holds memory only while something does.
    waiting: Vec<u8>,
    start: usize,
    /// Whether a flush is one of the library's, which can wait.
    holds: bool,
    /// Why what waited could not be written, until the library asks.
    failure: Option<io::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Cork<S> {
    /// A stream that holds nothing back yet.
    pub(crate) fn new(stream: S) -> (Self, Corked<S>) {
        let (waiting, start) = (Vec::new(), 0);
        let state = State { stream, waiting, start, holds: false, failure: None };
        let state = Rc::new(RefCell::new(state));
        (Self(Rc::clone(&state)), Corked(state))
    }

    /// From here on, what is written waits for [`drive`](Self::drive).
    pub(crate) fn hold(&self) {
        self.0.borrow_mut().holds = true;
    }

    /// Polls what uses the stream; whenever that has to wait, what it has written leaves.
    pub(crate) async fn drive<F: Future>(&self, user: F) -> F::Output {
        let mut user = pin!(user);
        poll_fn(|cx| {
            let polled = user.as_mut().poll(cx);
            if polled.is_pending() {
                self.0.borrow_mut().let_leave(cx);
            }
            polled
        })
        .await
    }
}

impl<S: AsyncWrite + Unpin> State<S> {
    fn let_leave(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(error)) = self.poll_leave(cx) {
            // The library learns of it when it asks the next time, which is now.
            self.failure = Some(error);
            cx.waker().wake_by_ref();
        }
    }

    /// Writes what waits.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.waiting.get(self.start..) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            self.left(count)?;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Takes note of so many bytes of what waits that have been written.
    fn left(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.start += count;
        if self.start == self.waiting.len() {
            self.start = 0;
            memory::give_back(std::mem::take(&mut self.waiting));
        }
        Ok(())
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Err(error));
        }
        let size = pieces.iter().map(|piece| piece.len()).sum();
        loop {
            let waiting = self.waiting.len() - self.start;
            if self.holds && size <= LARGE && waiting + size <= MOST {
                self.keep(pieces);
                return Poll::Ready(Ok(size));
            }
            if waiting == 0 {
                return Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
            }
            let mut all = [IoSlice::new(&[]); PIECES + 1];
            let before = self.waiting.get(self.start..).unwrap_or_default();
            let parts = std::iter::once(IoSlice::new(before)).chain(pieces.iter().copied());
            all.iter_mut().zip(parts).for_each(|(place, part)| *place = part);
            let parts = all.get(..=pieces.len().min(PIECES)).unwrap_or_default();
            let count = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts))?;
            self.left(count.min(waiting))?;
            if count > waiting {
                return Poll::Ready(Ok(count - waiting));
            }
        }
    }

    fn keep(&mut self, pieces: &[IoSlice<'_>]) {
        if self.waiting.capacity() == 0 {
            self.waiting = memory::take();
        }
        if self.start > 0 {
            self.waiting.drain(..self.start);
            self.start = 0;
        }
        for piece in pieces {
            self.waiting.extend_from_slice(piece);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        match state.failure.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut state.stream).poll_read(cx, target),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, &[IoSlice::new(piece)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        if state.holds { Poll::Ready(Ok(())) } else { state.poll_leave(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        ready!(state.poll_leave(cx))?;
        Pin::new(&mut state.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// Polls something once as the stream's user.
    async fn turn<S: AsyncRead + AsyncWrite + Unpin>(
        cork: &Cork<S>,
        stream: &mut Corked<S>,
        pieces: &[&[u8]],
    ) {
        let mut rest = pieces.iter();
        let write = async {
            for piece in rest.by_ref() {
                stream.write_all(piece).await.unwrap();
                stream.flush().await.unwrap();
            }
            std::future::pending::<()>().await
        };
        let mut driven = pin!(cork.drive(write));
        poll_fn(|cx| Poll::Ready(driven.as_mut().poll(cx).is_pending())).await;
    }

    /// What has arrived, piece by piece as it was written.
    fn arrived(far: &mut DuplexStream) -> usize {
        let mut space = [0; 128 * 1024];
        let mut target = ReadBuf::new(&mut space);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match Pin::new(far).poll_read(&mut cx, &mut target) {
            Poll::Ready(_) => target.filled().len(),
            Poll::Pending => 0,
        }
    }

    #[tokio::test]
    async fn what_is_written_in_a_turn_waits_for_its_end() {
        let (near, mut far) = duplex(1 << 20);
        let (cork, mut stream) = Cork::new(near);
        stream.write_all(b"first").await.unwrap();
        assert_eq!(arrived(&mut far), 5, "nothing is held before it is asked for");
        cork.hold();
        stream.write_all(b"one").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(arrived(&mut far), 0);
        turn(&cork, &mut stream, &[b"two", b"three"]).await;
        assert_eq!(arrived(&mut far), 11);
        assert_eq!(cork.0.borrow().waiting.capacity(), 0, "an idle stream holds no memory");
    }

    #[tokio::test]
    async fn a_large_piece_takes_along_what_waits_before_it() {
        let (near, mut far) = duplex(1 << 20);
        let (cork, mut stream) = Cork::new(near);
        cork.hold();
        stream.write_all(b"small").await.unwrap();
        stream.write_all(&[7; LARGE + 1]).await.unwrap();
        let mut all = vec![0; 5 + LARGE + 1];
        far.read_exact(&mut all).await.unwrap();
        assert_eq!(all.get(..6), Some(&b"small\x07"[..]));
    }

    #[tokio::test]
    async fn no_more_waits_than_may_and_nothing_is_lost_to_a_slow_reader() {
        let (near, mut far) = duplex(1000);
        let (cork, mut stream) = Cork::new(near);
        cork.hold();
        let sent: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        let writing = async {
            for piece in sent.chunks(777) {
                stream.write_all(piece).await.unwrap();
                let state = cork.0.borrow();
                assert!(state.waiting.len() - state.start <= MOST);
            }
            stream.shutdown().await.unwrap();
        };
        let reading = async {
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            got
        };
        let ((), got) = tokio::join!(cork.drive(writing), reading);
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    }

    #[tokio::test]
    async fn who_cannot_write_what_waited_learns_of_it_at_the_next_turn() {
        let (near, far) = duplex(1 << 20);
        let (cork, mut stream) = Cork::new(near);
        cork.hold();
        drop(far);
        turn(&cork, &mut stream, &[b"one"]).await;
        let error = cork.drive(stream.read(&mut [0; 8])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
