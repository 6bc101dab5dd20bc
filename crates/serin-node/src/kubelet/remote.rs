//! `/exec` and `/attach`: a program's standard streams, whatever carries them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

use super::upgrade::{Protocols, Stream, upgrade};
use super::{Answer, Query, channels, spdy, text};
use crate::logs;
use crate::node::Shared;
use crate::pod::identity;
use crate::process::StartError;
use crate::running::Place;
use crate::streams::{Exec, exec};

/// Pieces that wait in either direction.
const WAITING: usize = 16;
/// How long the last output of a program that has ended is waited for.
const LAST: Duration = Duration::from_secs(1);
const PROTOCOLS: Protocols = Protocols {
    messages: &["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"],
    spdy: &["v5.channel.k8s.io", "v4.channel.k8s.io"],
};

/// What comes from the client.
#[derive(Debug)]
pub(super) enum Input {
    /// Of its standard input.
    Bytes(Bytes),
    /// Its standard input has ended.
    End,
    /// Its terminal has so many columns and rows.
    Size(u16, u16),
}

/// What goes to the client.
#[derive(Debug)]
pub(super) enum Output {
    /// Standard output.
    Out(Bytes),
    /// Standard error.
    Err(Bytes),
    /// How it ended; nothing comes after it.
    Status(Value),
}

/// Both directions, without what carries them.
pub(super) struct Session {
    pub input: mpsc::Receiver<Input>,
    pub output: mpsc::Sender<Output>,
}

/// The two ends of a session: the program's and the carrier's.
pub(super) fn session() -> (Session, mpsc::Sender<Input>, mpsc::Receiver<Output>) {
    let (to_program, input) = mpsc::channel(WAITING);
    let (output, from_program) = mpsc::channel(WAITING);
    (Session { input, output }, to_program, from_program)
}

/// Which streams the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub terminal: bool,
}

/// Runs a program in a container, or joins the one that runs there.
pub(super) fn answer(
    shared: &Arc<Shared>,
    pod: &Pod,
    container: &str,
    is_exec: bool,
    mut request: Request<()>,
) -> Answer {
    let query = Query::of(&request);
    let Some(place) = shared.running.place(identity(pod).2, container) else {
        // kubectl says before it that it cannot upgrade the connection; with a colon of ours it takes the text for YAML.
        let message = format!("container not found (\"{container}\")");
        return text(StatusCode::NOT_FOUND, &message);
    };
    let wanted = Wanted {
        stdin: query.flag("input"),
        stdout: query.flag("output"),
        stderr: query.flag("error"),
        terminal: query.flag("tty"),
    };
    let command = query.all("command");
    let program = shared.settings.program.clone();
    let (answer, begun) = match upgrade(&mut request, &PROTOCOLS) {
        Ok(upgrading) => upgrading,
        Err(answer) => return *answer,
    };
    tokio::spawn(async move {
        let Some(stream) = begun.await else { return };
        let (session, input, output) = session();
        let carried = async {
            match stream {
                Stream::Messages(socket, protocol) => {
                    channels::carry(*socket, &protocol, wanted, input, output).await;
                }
                Stream::Spdy(raw) => spdy::remote::carry(raw, wanted, input, output).await,
                Stream::Tunnel(socket) => {
                    spdy::remote::carry(spdy::tunnel::open(*socket), wanted, input, output).await;
                }
            }
        };
        let work = async {
            if is_exec {
                run(&place, &program, command, wanted, session).await;
            } else {
                attach(&place, wanted, session).await;
            }
        };
        tokio::join!(carried, work);
    });
    answer
}

async fn run(
    place: &Place,
    program: &std::path::Path,
    command: Vec<String>,
    wanted: Wanted,
    session: Session,
) {
    let started = exec(place, program, command, wanted.stdin, wanted.terminal).await;
    let Exec { process, io, output } = match started {
        Ok(exec) => exec,
        Err(error) => {
            let status = match error {
                StartError::Program { message, .. } => {
                    let message = format!(
                        "OCI runtime exec failed: exec failed: unable to start container process: {message}"
                    );
                    json!({"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500})
                }
                error @ StartError::System(_) => failure(&error.to_string()),
            };
            // Who has gone needs no status.
            let _ = session.output.send(Output::Status(status)).await;
            return;
        }
    };
    let Session { mut input, output: out } = session;
    let mut pumps = JoinSet::new();
    if let Some(terminal) = io.terminal().cloned() {
        pumps.spawn(pump(terminal, out.clone(), Output::Out));
    }
    if let Some(pipe) = output.stdout {
        pumps.spawn(pump(pipe, out.clone(), Output::Out));
    }
    if let Some(pipe) = output.stderr {
        pumps.spawn(pump(pipe, out.clone(), Output::Err));
    }
    let feeding = async {
        while let Some(one) = input.recv().await {
            // A program need not read what it is sent.
            let _ = match one {
                Input::Bytes(bytes) => io.write(&bytes).await,
                Input::End => {
                    io.close().await;
                    Ok(())
                }
                Input::Size(columns, rows) => {
                    if let Some(terminal) = io.terminal() {
                        terminal.resize(columns, rows);
                    }
                    Ok(())
                }
            };
        }
        io.close().await;
    };
    let exit = tokio::select! {
        exit = process.wait() => exit,
        // The client has gone, or its input is over, and then its absence shows in the output.
        () = async { feeding.await; out.closed().await } => return,
    };
    let drained = async { while pumps.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST, drained).await.is_err() {
        pumps.abort_all();
    }
    // Who has gone needs no status.
    let _ = out.send(Output::Status(exit_status(exit.code))).await;
}

/// What a program that ended with a code is told as.
fn exit_status(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: command terminated with exit code {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

fn failure(message: &str) -> Value {
    json!({"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500})
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    to: mpsc::Sender<Output>,
    kind: fn(Bytes) -> Output,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match from.read(&mut buffer).await {
            // A terminal tells its end by an error.
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                if to.send(kind(bytes)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn attach(place: &Place, wanted: Wanted, session: Session) {
    let Session { mut input, output } = session;
    let container = &place.container;
    let (mut pieces, is_all) = container.log.listen();
    if container.process.has_ended() && !is_all {
        // Whoever wants to know what it said is to read its log, and does where this fails.
        let _ = output.send(Output::Status(failure("the container has ended"))).await;
        return;
    }
    let show = async |piece: (logs::Stream, Bytes)| match piece {
        (logs::Stream::Out, bytes) if wanted.stdout => output.send(Output::Out(bytes)).await,
        (logs::Stream::Err, bytes) if wanted.stderr => output.send(Output::Err(bytes)).await,
        _ => Ok(()),
    };
    let ended = async {
        container.process.wait().await;
        // What it said last is on its way.
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let showing = async {
        tokio::pin!(ended);
        loop {
            let piece = tokio::select! {
                biased;
                piece = pieces.recv() => piece,
                () = &mut ended => return,
            };
            let shown = match piece {
                Ok(piece) => show(piece).await,
                Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if shown.is_err() {
                return;
            }
        }
    };
    let feeding = async {
        while let Some(one) = input.recv().await {
            // A program need not read what it is sent.
            let _ = match one {
                Input::Bytes(bytes) => container.io.write(&bytes).await,
                // Others may attach later: only `stdinOnce` ends it, which is the spec's to say.
                Input::End => Ok(()),
                Input::Size(columns, rows) => {
                    if let Some(terminal) = container.io.terminal() {
                        terminal.resize(columns, rows);
                    }
                    Ok(())
                }
            };
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = showing => {}
        () = feeding => {}
        () = output.closed() => {}
    }
    let _ = output.send(Output::Status(exit_status(0))).await;
}
