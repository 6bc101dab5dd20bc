//! Standard streams as messages of a WebSocket: the first byte of each tells its channel.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::remote::{Input, Output, Wanted};
use super::upgrade::Socket;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Since version 5: the channel that follows has ended.
const CLOSE: u8 = 255;
/// How long the client may take to close.
const CLOSING: Duration = Duration::from_secs(2);

/// The size of a terminal.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Size {
    pub width: u16,
    pub height: u16,
}

/// Carries a session until either side ends it.
pub(super) async fn carry(
    socket: Socket,
    protocol: &str,
    wanted: Wanted,
    input: mpsc::Sender<Input>,
    mut output: mpsc::Receiver<Output>,
) {
    let (mut sink, mut messages) = socket.split();
    let text_status = protocol == "channel.k8s.io";
    let receiving = async {
        while let Some(Ok(message)) = messages.next().await {
            let bytes: Bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Close(_) => return,
                _ => continue,
            };
            let Some((channel, rest)) = bytes.split_first() else { continue };
            let one = match *channel {
                STDIN if wanted.stdin => Input::Bytes(bytes.slice(1..)),
                RESIZE => match serde_json::from_slice::<Size>(rest) {
                    Ok(size) => Input::Size(size.width, size.height),
                    Err(_) => continue,
                },
                CLOSE if rest == [STDIN] => Input::End,
                _ => continue,
            };
            if input.send(one).await.is_err() {
                // The program has ended; what it said is still on its way.
                std::future::pending::<()>().await;
            }
        }
    };
    let sending = async {
        // The client waits for something, to know that it is connected.
        let first = if wanted.stdout { STDOUT } else { ERROR };
        sink.send(frame(first, &[])).await?;
        while let Some(one) = output.recv().await {
            match one {
                Output::Out(bytes) => sink.send(frame(STDOUT, &bytes)).await?,
                Output::Err(bytes) => sink.send(frame(STDERR, &bytes)).await?,
                Output::Status(status) => {
                    let success = status["status"] == "Success";
                    let text = match (text_status, success) {
                        (false, _) => status.to_string(),
                        (true, true) => break,
                        (true, false) => status["message"].as_str().unwrap_or_default().to_owned(),
                    };
                    sink.send(frame(ERROR, text.as_bytes())).await?;
                    break;
                }
            }
        }
        let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        sink.send(Message::Close(Some(normal))).await
    };
    tokio::select! {
        () = receiving => return,
        // A client that breaks off is no matter.
        _ = sending => {}
    }
    // The client closes as well; who goes before loses what is on its way.
    let closed = async { while let Some(Ok(_)) = messages.next().await {} };
    let _ = tokio::time::timeout(CLOSING, closed).await;
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    Message::Binary(Bytes::from([&[channel], bytes].concat()))
}
