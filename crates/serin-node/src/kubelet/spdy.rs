//! SPDY/3.1, as far as streams to containers need it: kubectl forwards ports by it, and older ones run programs by it.
//!
//! One task reads frames and hands on what they carry, one writes. There is no flow control but the connection's own, as clients of
//! Kubernetes have none.

pub(super) mod forward;
mod headers;
pub(super) mod remote;
pub(super) mod tunnel;

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use self::headers::{Inflater, empty_block};

const VERSION: [u8; 2] = [0x80, 3];
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const FIN: u8 = 1;
/// Pieces that wait in either direction.
const WAITING: usize = 64;
/// The longest frame that is taken.
const LONGEST: usize = 1 << 20;
/// The most streams that one connection has at once.
const STREAMS: usize = 1024;

/// A stream that the client has opened.
pub(super) struct Stream {
    id: u32,
    headers: Vec<(String, String)>,
    /// What the client sends; it ends when the client has nothing more.
    data: mpsc::Receiver<Bytes>,
    frames: mpsc::Sender<Vec<u8>>,
}

/// The writing half of a stream.
#[derive(Clone)]
pub(super) struct Writer {
    id: u32,
    frames: mpsc::Sender<Vec<u8>>,
}

impl Stream {
    /// A header, by its name in lower case.
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    fn writer(&self) -> Writer {
        Writer { id: self.id, frames: self.frames.clone() }
    }
}

impl Writer {
    /// Sends data; false where the client has gone.
    async fn send(&self, bytes: &[u8]) -> bool {
        for piece in bytes.chunks(32 << 10) {
            if self.frames.send(data_frame(self.id, 0, piece)).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Says that nothing more comes.
    async fn end(&self) {
        // Who has gone needs no end.
        let _ = self.frames.send(data_frame(self.id, FIN, &[])).await;
    }
}

fn data_frame(id: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = id.to_be_bytes().to_vec();
    frame.extend(flags_and_length(flags, bytes.len()));
    frame.extend(bytes);
    frame
}

fn control_frame(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = VERSION.to_vec();
    frame.extend(kind.to_be_bytes());
    frame.extend(flags_and_length(0, body.len()));
    frame.extend(body);
    frame
}

fn flags_and_length(flags: u8, length: usize) -> [u8; 4] {
    let [_, high, middle, low] = u32::try_from(length).unwrap_or(0).to_be_bytes();
    [flags, high, middle, low]
}

/// Serves a connection; its streams come out as the client opens them. It ends when the client has gone.
fn open(io: impl AsyncRead + AsyncWrite + Send + 'static) -> mpsc::Receiver<Stream> {
    let (mut reader, mut writer) = tokio::io::split(io);
    let (frames, mut outgoing) = mpsc::channel::<Vec<u8>>(WAITING);
    let (opened, streams) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if writer.write_all(&frame).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
        // Everything is written; who has gone needs no end.
        let _ = writer.shutdown().await;
    });
    tokio::spawn(async move {
        let mut connection = Connection {
            inflater: Inflater::new(),
            replied: false,
            streams: HashMap::new(),
            frames,
            opened,
        };
        if let Err(error) = connection.read(&mut reader).await {
            tracing::debug!(%error, "a stream to a container broke off");
        }
    });
    streams
}

struct Connection {
    inflater: Inflater,
    /// Whether a header block was written: the first one begins the compressed stream.
    replied: bool,
    streams: HashMap<u32, mpsc::Sender<Bytes>>,
    frames: mpsc::Sender<Vec<u8>>,
    opened: mpsc::Sender<Stream>,
}

impl Connection {
    async fn read(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        let mut head = [0; 8];
        loop {
            match reader.read_exact(&mut head).await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            };
            let [a, b, c, d, flags, high, middle, low] = head;
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            if length > LONGEST {
                return Err(io::Error::other("a frame is too long"));
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).await?;
            let go_on = if a & 0x80 == 0 {
                self.data(u32::from_be_bytes([a, b, c, d]), flags, body).await
            } else {
                self.control(u16::from_be_bytes([c, d]), flags, &body).await?
            };
            if !go_on {
                return Ok(());
            }
        }
    }

    async fn data(&mut self, id: u32, flags: u8, body: Vec<u8>) -> bool {
        if let Some(stream) = self.streams.get(&id)
            && !body.is_empty()
            && stream.send(Bytes::from(body)).await.is_err()
        {
            // Nobody reads it any more.
            self.streams.remove(&id);
        }
        if flags & FIN != 0 {
            self.streams.remove(&id);
        }
        true
    }

    /// False where the connection is over.
    async fn control(&mut self, kind: u16, flags: u8, body: &[u8]) -> io::Result<bool> {
        let short = || io::Error::other("a frame is too short");
        let id = || body.first_chunk::<4>().map(|id| u32::from_be_bytes(*id) & 0x7FFF_FFFF);
        match kind {
            SYN_STREAM => {
                let id = id().ok_or_else(short)?;
                let headers = self.inflater.headers(body.get(10..).ok_or_else(short)?)?;
                if self.streams.len() >= STREAMS {
                    return Err(io::Error::other("too many streams"));
                }
                let (sender, data) = mpsc::channel(WAITING);
                if flags & FIN == 0 {
                    self.streams.insert(id, sender);
                }
                let mut reply = id.to_be_bytes().to_vec();
                reply.extend(empty_block(!std::mem::replace(&mut self.replied, true)));
                let frames = self.frames.clone();
                if frames.send(control_frame(SYN_REPLY, &reply)).await.is_err() {
                    return Ok(false);
                }
                return Ok(self.opened.send(Stream { id, headers, data, frames }).await.is_ok());
            }
            RST_STREAM => {
                self.streams.remove(&id().ok_or_else(short)?);
            }
            PING => return Ok(self.frames.send(control_frame(PING, body)).await.is_ok()),
            GOAWAY => return Ok(false),
            _ => {}
        }
        Ok(true)
    }
}
