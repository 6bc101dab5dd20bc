//! The gates and tasks that webhooks of releases ask for, at the paths of Flagger's load tester.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;

use super::{Wanted, generate};

/// A webhook may be this large.
const LARGEST: usize = 1 << 20;
/// A command that takes longer is ended.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What a webhook sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Hook {
    name: String,
    namespace: String,
    metadata: BTreeMap<String, String>,
}

/// Gates by their paths and releases: open or closed.
#[derive(Default)]
struct Gates {
    open: Mutex<BTreeMap<(&'static str, String), bool>>,
    allows_commands: bool,
    running: Arc<Running>,
}

/// Tasks that go on, by release and what they do. A hook asks for its task with each check.
#[derive(Default)]
struct Running(Mutex<BTreeSet<String>>);

/// One of them. It goes on until this is dropped, however it ends.
struct GoesOn {
    running: Arc<Running>,
    task: String,
}

impl Running {
    /// None if it goes on already.
    fn begin(self: &Arc<Self>, task: String) -> Option<GoesOn> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task.clone());
        is_new.then(|| GoesOn { running: Arc::clone(self), task })
    }
}

impl Drop for GoesOn {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.task);
    }
}

/// Serves until a signal.
pub(super) async fn serve(
    address: SocketAddr,
    allows_commands: bool,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    writeln!(out, "ready http://{}", listener.local_addr()?)?;
    out.flush()?;
    let gates = Arc::new(Gates { allows_commands, ..Gates::default() });
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // One that could not be accepted is the client's to try again.
                let Ok((stream, _)) = accepted else { continue };
                let gates = Arc::clone(&gates);
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let gates = Arc::clone(&gates);
                        async move { Ok::<_, Infallible>(gates.answer(request).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    // What breaks off is the client's affair.
                    let _ = connection.await;
                });
            }
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        }
    }
}

type Answer = (StatusCode, String);

impl Gates {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let body = Limited::new(body, LARGEST).collect().await.map(|it| it.to_bytes());
        let (status, text) = match body {
            Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large".to_owned()),
            Ok(body) => match serde_json::from_slice::<Hook>(&body) {
                _ if path == "/healthz" => (StatusCode::OK, "ok".to_owned()),
                // To ask a gate by hand, a body is not needed everywhere.
                Err(_) if matches!(path.as_str(), "/gate/approve" | "/gate/halt") => {
                    self.gate(&path, &Hook::default())
                }
                Err(error) => (
                    StatusCode::BAD_REQUEST,
                    format!("the body is no webhook of a release: {error}"),
                ),
                Ok(hook) if path == "/" && head.method == Method::POST => self.task(&hook).await,
                Ok(hook) => self.gate(&path, &hook),
            },
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response
    }

    fn gate(&self, path: &str, hook: &Hook) -> Answer {
        let (kind, what) = match path {
            "/gate/approve" => return (StatusCode::OK, "approved".to_owned()),
            "/gate/halt" => return (StatusCode::FORBIDDEN, "halted".to_owned()),
            "/gate/check" | "/gate/open" | "/gate/close" => ("gate", &path[6..]),
            "/rollback/check" | "/rollback/open" | "/rollback/close" => ("rollback", &path[10..]),
            _ => return (StatusCode::NOT_FOUND, format!("there is nothing at {path}")),
        };
        let release = format!("{}.{}", hook.name, hook.namespace);
        let mut gates = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates.entry((kind, release.clone())).or_default();
        match what {
            "open" | "close" => {
                *gate = what == "open";
                (StatusCode::ACCEPTED, format!("{kind} {release}: {what}"))
            }
            _ if *gate => (StatusCode::OK, format!("{kind} {release} is open")),
            _ => (StatusCode::FORBIDDEN, format!("{kind} {release} is closed")),
        }
    }

    /// Does what a webhook asks for. Load and `cmd` go on by themselves; `bash` is waited for, and its end is the answer.
    async fn task(&self, hook: &Hook) -> Answer {
        let of = |key: &str| hook.metadata.get(key).map_or("", String::as_str);
        let kind = if of("type").is_empty() { "cmd" } else { of("type") };
        match kind {
            "load" => self.load(hook),
            "cmd" | "bash" if !self.allows_commands => (
                StatusCode::FORBIDDEN,
                "commands are not run here; start `serin load --serve` with --allow-commands"
                    .to_owned(),
            ),
            "cmd" | "bash" if of("cmd").is_empty() => {
                (StatusCode::BAD_REQUEST, "metadata.cmd holds no command".to_owned())
            }
            "bash" => execute(of("cmd")).await,
            "cmd" => {
                let command = of("cmd").to_owned();
                self.start(hook, async move {
                    let (status, text) = execute(&command).await;
                    tracing::info!(command, %status, text, "a command of a webhook ended");
                })
            }
            other => (
                StatusCode::BAD_REQUEST,
                format!(
                    "tasks of the type {other:?} are not done here; there are load, cmd and bash"
                ),
            ),
        }
    }

    fn load(&self, hook: &Hook) -> Answer {
        let of = |key: &str, otherwise: &str| {
            hook.metadata.get(key).cloned().unwrap_or_else(|| otherwise.to_owned())
        };
        let rate = of("rate", "10").parse::<f64>().unwrap_or(0.0);
        let duration = of("duration", "1m").parse::<serin_api::values::Duration>();
        let Ok(duration) = duration else {
            return (StatusCode::BAD_REQUEST, "metadata.duration is no duration".to_owned());
        };
        match Wanted::of(&of("url", ""), rate, duration.to_std()) {
            Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")),
            Ok(wanted) => self.start(hook, async move {
                let outcome = generate(&wanted, std::future::pending()).await;
                tracing::info!(uri = %wanted.uri, outcome.requests, outcome.failed, "load ended");
            }),
        }
    }

    /// Begins a task, unless the same one of the same release goes on.
    fn start(&self, hook: &Hook, task: impl Future<Output = ()> + Send + 'static) -> Answer {
        let key = format!("{}.{} {:?}", hook.name, hook.namespace, hook.metadata);
        let Some(goes_on) = self.running.begin(key) else {
            return (StatusCode::ACCEPTED, "it goes on".to_owned());
        };
        tokio::spawn(async move {
            task.await;
            drop(goes_on);
        });
        (StatusCode::ACCEPTED, "started".to_owned())
    }
}

async fn execute(command: &str) -> Answer {
    let child = tokio::process::Command::new("bash")
        .args(["-c", command])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PATIENCE, child).await {
        Ok(Ok(output)) => {
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            let status = if output.status.success() {
                StatusCode::OK
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            (status, text)
        }
        Ok(Err(error)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("bash cannot be run: {error}"))
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the command took too long".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates(allows_commands: bool) -> Gates {
        Gates { allows_commands, ..Gates::default() }
    }

    fn hook(metadata: &[(&str, &str)]) -> Hook {
        Hook {
            name: "podinfo".to_owned(),
            namespace: "test".to_owned(),
            metadata: metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    #[test]
    fn gates_are_closed_until_they_are_opened() {
        let gates = gates(false);
        let of = |path: &str| gates.gate(path, &hook(&[])).0.as_u16();
        assert_eq!(
            ["/gate/check", "/gate/open", "/gate/check", "/gate/close", "/gate/check"].map(of),
            [403, 202, 200, 202, 403]
        );
        assert_eq!(
            ["/rollback/check", "/rollback/open", "/rollback/check"].map(of),
            [403, 202, 200]
        );
        assert_eq!(
            ["/gate/approve", "/gate/halt", "/gate/other", "/"].map(of),
            [200, 403, 404, 404]
        );
        let other = Hook { name: "other".to_owned(), ..hook(&[]) };
        assert_eq!(
            gates.gate("/rollback/check", &other).0,
            403,
            "each release has gates of its own"
        );
    }

    #[tokio::test]
    async fn commands_are_run_only_where_they_are_allowed() {
        let bash = hook(&[("type", "bash"), ("cmd", "echo out; exit $((1+1))")]);
        assert_eq!(gates(false).task(&bash).await.0, 403);
        let (status, text) = gates(true).task(&bash).await;
        assert_eq!((status.as_u16(), text.as_str()), (500, "out\n"));
        let fine = hook(&[("type", "bash"), ("cmd", "true")]);
        assert_eq!(gates(true).task(&fine).await.0, 200);
        let long = hook(&[("cmd", "exec sleep 600")]);
        let gates_that_run = gates(true);
        let other = Hook { name: "other".to_owned(), ..hook(&[("cmd", "exec sleep 600")]) };
        for (hook, expect) in [(&long, "started"), (&long, "it goes on"), (&other, "started")] {
            assert_eq!(gates_that_run.task(hook).await, (StatusCode::ACCEPTED, expect.to_owned()));
        }
        assert_eq!(gates(true).task(&hook(&[("type", "helmv3")])).await.0, 400);
        assert_eq!(gates(false).task(&hook(&[("type", "load"), ("url", "ftp://x")])).await.0, 400);
    }
}
