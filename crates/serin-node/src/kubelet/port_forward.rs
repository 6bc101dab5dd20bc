//! `/portForward`: connections to ports of a pod.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::upgrade::{Protocols, Socket, Stream, upgrade};
use super::{Answer, Query, spdy, text};
use crate::node::Shared;
use crate::pod::identity;
use crate::sandbox::Sandbox;

const PROTOCOLS: Protocols = Protocols {
    messages: &["v4.channel.k8s.io", "portforward.k8s.io"],
    spdy: &["portforward.k8s.io"],
};
/// Messages that wait to be sent.
const WAITING: usize = 16;

/// Forwards ports for as long as the client stays.
pub(super) fn answer(shared: &Arc<Shared>, pod: &Pod, mut request: Request<()>) -> Answer {
    let query = Query::of(&request);
    let Some(sandbox) = shared.running.sandbox(identity(pod).2) else {
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        let message = format!(
            "unable to forward port because pod is not running. Current status={}",
            phase.unwrap_or_default()
        );
        return text(StatusCode::BAD_REQUEST, &message);
    };
    let ports: Vec<u16> = query.all("port").iter().filter_map(|port| port.parse().ok()).collect();
    let (answer, begun) = match upgrade(&mut request, &PROTOCOLS) {
        Ok(upgrading) => upgrading,
        Err(answer) => return *answer,
    };
    tokio::spawn(async move {
        match begun.await {
            Some(Stream::Messages(socket, _)) => messages(*socket, &sandbox, &ports).await,
            Some(Stream::Spdy(raw)) => spdy::forward::carry(raw, &sandbox).await,
            Some(Stream::Tunnel(socket)) => {
                spdy::forward::carry(spdy::tunnel::open(*socket), &sandbox).await;
            }
            None => {}
        }
    });
    answer
}

/// Connects to a port of the pod, at its loopback address.
///
/// # Errors
/// The message is for the client.
pub(super) async fn connect(sandbox: &Sandbox, port: u16) -> Result<TcpStream, String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    sandbox.connect(address).await.map_err(|error| {
        let why = if error.kind() == std::io::ErrorKind::ConnectionRefused {
            "connect: connection refused".to_owned()
        } else {
            error.to_string()
        };
        format!("failed to connect to localhost:{port} inside the pod: dial tcp4 {address}: {why}")
    })
}

/// Ports over the messages of a WebSocket: two channels a port, data and errors, each begun with the port's number.
async fn messages(socket: Socket, sandbox: &Sandbox, ports: &[u16]) {
    let (mut sink, mut incoming) = socket.split();
    let (out, mut outgoing) = mpsc::channel::<Message>(WAITING);
    let mut writers = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let Ok(channel) = u8::try_from(index * 2) else { break };
        for channel in [channel, channel + 1] {
            let [low, high] = port.to_le_bytes();
            if sink.send(frame(channel, &[low, high])).await.is_err() {
                return;
            }
        }
        match connect(sandbox, *port).await {
            Ok(stream) => {
                let (mut read, write) = stream.into_split();
                writers.push(Some(write));
                let out = out.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 16 << 10];
                    while let Ok(length @ 1..) = read.read(&mut buffer).await {
                        let piece = buffer.get(..length).unwrap_or_default();
                        if out.send(frame(channel, piece)).await.is_err() {
                            return;
                        }
                    }
                });
            }
            Err(message) => {
                writers.push(None);
                if sink.send(frame(channel + 1, message.as_bytes())).await.is_err() {
                    return;
                }
            }
        }
    }
    drop(out);
    let sending = async {
        while let Some(message) = outgoing.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        // All of them are over.
        let _ = sink.close().await;
    };
    let receiving = async {
        while let Some(Ok(message)) = incoming.next().await {
            let Message::Binary(bytes) = message else { continue };
            let Some((channel, rest)) = bytes.split_first() else { continue };
            if channel % 2 == 0
                && let Some(Some(writer)) = writers.get_mut(usize::from(channel / 2))
                && writer.write_all(rest).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = sending => {}
        () = receiving => {}
    }
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    Message::Binary(Bytes::from([&[channel], bytes].concat()))
}
