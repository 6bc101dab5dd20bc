//! Port forwarding: each connection is a stream for its data and one for what went wrong, paired by an ID.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::super::port_forward::connect;
use super::{Stream, Writer, open};
use crate::sandbox::Sandbox;

/// Forwards what the client asks for until it goes.
pub(in super::super) async fn carry(
    io: impl AsyncRead + AsyncWrite + Send + 'static,
    sandbox: &Sandbox,
) {
    let mut streams = open(io);
    let mut errors: HashMap<String, Stream> = HashMap::new();
    while let Some(stream) = streams.recv().await {
        let id = stream.header("requestid").to_owned();
        if stream.header("streamtype") == "error" {
            errors.insert(id, stream);
            continue;
        }
        // The client opens the stream for errors first.
        let Some(error) = errors.remove(&id) else { continue };
        let sandbox = sandbox.clone();
        tokio::spawn(async move {
            let errors = error.writer();
            let writer = stream.writer();
            if let Err(message) = forward(stream, &writer, &sandbox).await {
                errors.send(message.as_bytes()).await;
            }
            writer.end().await;
            errors.end().await;
            drop(error);
        });
    }
}

async fn forward(mut stream: Stream, writer: &Writer, sandbox: &Sandbox) -> Result<(), String> {
    let port = stream.header("port");
    let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    let (mut read, mut write) = connect(sandbox, port).await?.into_split();
    let to_pod = async {
        while let Some(bytes) = stream.data.recv().await {
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The pod may go on with its answer; it may have ended, too.
        let _ = write.shutdown().await;
        std::future::pending::<()>().await;
    };
    let from_pod = async {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(length @ 1..) = read.read(&mut buffer).await {
            if !writer.send(buffer.get(..length).unwrap_or_default()).await {
                return;
            }
        }
    };
    tokio::select! {
        () = to_pod => {}
        () = from_pod => {}
    }
    Ok(())
}
