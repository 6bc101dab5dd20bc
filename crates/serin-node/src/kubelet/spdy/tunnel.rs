//! SPDY inside of a WebSocket: its messages are pieces of a stream of bytes.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::tungstenite::Message;

use super::super::upgrade::Socket;

/// Bytes that wait in either direction.
const WAITING: usize = 64 << 10;

/// The stream inside of a WebSocket.
pub(in super::super) fn open(socket: Socket) -> DuplexStream {
    let (near, far) = tokio::io::duplex(WAITING);
    let (mut sink, mut messages) = socket.split();
    let (mut read, mut write) = tokio::io::split(far);
    tokio::spawn(async move {
        let receiving = async {
            while let Some(Ok(message)) = messages.next().await {
                let bytes = match message {
                    Message::Binary(bytes) => bytes,
                    Message::Close(_) => return,
                    _ => continue,
                };
                if write.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        };
        let sending = async {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(length @ 1..) = read.read(&mut buffer).await {
                let piece = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                if sink.send(Message::Binary(piece)).await.is_err() {
                    return;
                }
            }
            // All is said; a client that has gone needs no end.
            let _ = sink.close().await;
        };
        tokio::select! {
            () = receiving => {}
            () = sending => {}
        }
    });
    near
}
