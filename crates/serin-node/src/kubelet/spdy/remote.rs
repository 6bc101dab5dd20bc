//! Standard streams of a program: a SPDY stream for each, named by its type.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::super::channels::Size;
use super::super::remote::{Input, Output, Wanted};
use super::{Stream, Writer, open};

/// How long the client may take to open its streams.
const PATIENCE: Duration = Duration::from_secs(30);

/// Carries a session until either side ends it.
pub(in super::super) async fn carry(
    io: impl AsyncRead + AsyncWrite + Send + 'static,
    wanted: Wanted,
    input: mpsc::Sender<Input>,
    mut output: mpsc::Receiver<Output>,
) {
    let mut streams = open(io);
    let (mut out, mut err, mut status): (Option<Writer>, Option<Writer>, Option<Writer>) =
        (None, None, None);
    let expected = 1
        + usize::from(wanted.stdin)
        + usize::from(wanted.stdout)
        + usize::from(wanted.stderr && !wanted.terminal)
        + usize::from(wanted.terminal);
    let mut held = Vec::new();
    for _ in 0..expected {
        let Ok(Some(stream)) = tokio::time::timeout(PATIENCE, streams.recv()).await else { return };
        match stream.header("streamtype") {
            "stdin" => feed(stream, input.clone()),
            "resize" => resize(stream, input.clone()),
            kind => {
                let place = match kind {
                    "stdout" => &mut out,
                    "stderr" => &mut err,
                    _ => &mut status,
                };
                *place = Some(stream.writer());
                held.push(stream);
            }
        }
    }
    drop(input);
    let sending = async {
        while let Some(one) = output.recv().await {
            let (writer, bytes) = match one {
                Output::Out(bytes) => (&out, bytes.to_vec()),
                Output::Err(bytes) => (&err, bytes.to_vec()),
                Output::Status(told) => (&status, told.to_string().into_bytes()),
            };
            if let Some(writer) = writer
                && !writer.send(&bytes).await
            {
                return;
            }
        }
        for writer in [&out, &err, &status].into_iter().flatten() {
            writer.end().await;
        }
        // The client closes; who goes before loses what is on its way.
        let closed = async { while streams.recv().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), closed).await;
    };
    sending.await;
    drop(held);
}

fn feed(mut stream: Stream, input: mpsc::Sender<Input>) {
    tokio::spawn(async move {
        while let Some(bytes) = stream.data.recv().await {
            if input.send(Input::Bytes(bytes)).await.is_err() {
                return;
            }
        }
        // The program may have ended.
        let _ = input.send(Input::End).await;
    });
}

fn resize(mut stream: Stream, input: mpsc::Sender<Input>) {
    tokio::spawn(async move {
        while let Some(bytes) = stream.data.recv().await {
            // One object a piece.
            let Ok(size) = serde_json::from_slice::<Size>(&bytes) else { continue };
            if input.send(Input::Size(size.width, size.height)).await.is_err() {
                return;
            }
        }
    });
}
