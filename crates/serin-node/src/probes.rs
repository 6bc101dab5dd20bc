//! Probes: whether a container has come up, takes requests, and lives.
//!
//! The startup probe comes first; the others begin when it has passed. What they find goes to the pod's task, which decides.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::core::v1::{Container, GRPCAction, Pod, Probe};
use tokio::io::AsyncReadExt as _;

use crate::events::Severity;
use crate::http as requests;
use crate::node::Shared;
use crate::pod::worker::Verdict;
use crate::running::Place;
use crate::streams::exec;

/// How much a command may say about its failure.
const OUTPUT: u64 = 10 << 10;

/// A container whose probes run.
pub(crate) struct Probed {
    pub shared: Arc<Shared>,
    pub pod: Arc<Pod>,
    pub container: Container,
    pub place: Place,
    /// How events name it.
    pub part: String,
}

/// Which probe it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Startup,
    Readiness,
    Liveness,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// Runs the probes of a container for as long as it runs; the caller ends it.
pub(crate) async fn run(probed: Probed, tell: impl Fn(Verdict)) {
    let container = &probed.container;
    if let Some(probe) = &container.startup_probe {
        if !watch(&probed, probe, Kind::Startup, &tell).await {
            return;
        }
        tell(Verdict::Started);
    }
    let liveness = async {
        if let Some(probe) = &container.liveness_probe {
            watch(&probed, probe, Kind::Liveness, &tell).await;
        }
    };
    let readiness = async {
        if let Some(probe) = &container.readiness_probe {
            watch(&probed, probe, Kind::Readiness, &tell).await;
        }
    };
    tokio::join!(liveness, readiness);
}

/// Runs one probe again and again. A startup probe is over when it has passed: true; so is one that condemns: false.
async fn watch(probed: &Probed, probe: &Probe, kind: Kind, tell: &impl Fn(Verdict)) -> bool {
    let seconds = |value: Option<i32>, usual: u64| {
        value.and_then(|value| u64::try_from(value).ok()).map_or(usual, |value| value)
    };
    tokio::time::sleep(Duration::from_secs(seconds(probe.initial_delay_seconds, 0))).await;
    let period = Duration::from_secs(seconds(probe.period_seconds, 10).max(1));
    let patience = Duration::from_secs(seconds(probe.timeout_seconds, 1).max(1));
    let (needed, allowed) =
        (seconds(probe.success_threshold, 1).max(1), seconds(probe.failure_threshold, 3).max(1));
    let (mut good, mut bad) = (0, 0);
    let mut next = tokio::time::interval(period);
    next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        next.tick().await;
        let result = match tokio::time::timeout(patience, once(probed, probe)).await {
            Ok(result) => result,
            Err(_) => Err(timed_out(probe, patience)),
        };
        match result {
            Ok(()) => (good, bad) = (good + 1, 0),
            Err(message) => {
                (good, bad) = (0, bad + 1);
                let text = format!("{} probe failed: {message}", kind.name());
                let part = Some(probed.part.clone());
                probed.shared.events.tell(&probed.pod, part, Severity::Warning, "Unhealthy", text);
            }
        }
        let name = &probed.container.name;
        match kind {
            Kind::Startup if good >= needed => return true,
            Kind::Readiness if good >= needed => tell(Verdict::Ready(true)),
            Kind::Readiness if bad >= allowed => tell(Verdict::Ready(false)),
            Kind::Startup | Kind::Liveness if bad >= allowed => {
                let what = kind.name().to_lowercase();
                tell(Verdict::Condemned(format!(
                    "Container {name} failed {what} probe, will be restarted"
                )));
                return false;
            }
            _ => {}
        }
    }
}

fn timed_out(probe: &Probe, patience: Duration) -> String {
    if probe.exec.is_some() {
        format!("command timed out after {}s", patience.as_secs())
    } else {
        "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned()
    }
}

/// One try.
async fn once(probed: &Probed, probe: &Probe) -> Result<(), String> {
    let (place, container) = (&probed.place, Some(&probed.container));
    if let Some(action) = &probe.http_get {
        let asked = requests::of_action(action, container, &place.sandbox)?;
        let answer = requests::get(&place.sandbox, &asked).await?;
        return match answer.status {
            200..=399 => Ok(()),
            status => Err(format!("HTTP probe failed with statuscode: {status}")),
        };
    }
    if let Some(action) = &probe.tcp_socket {
        let ip = requests::address(action.host.as_deref(), &place.sandbox)?;
        let address = (ip, requests::port(&action.port, container)?).into();
        let connected = place.sandbox.connect(address).await;
        return match connected {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err(format!("dial tcp {address}: connect: connection refused"))
            }
            Err(error) => Err(format!("dial tcp {address}: {error}")),
        };
    }
    if let Some(action) = &probe.exec {
        let command = action.command.clone().unwrap_or_default();
        return run_command(probed, command).await;
    }
    match &probe.grpc {
        Some(action) => health(place, action).await,
        None => Ok(()),
    }
}

async fn run_command(probed: &Probed, command: Vec<String>) -> Result<(), String> {
    let program = &probed.shared.settings.program;
    let run = exec(&probed.place, program, command, false, false).await;
    let mut run = run.map_err(|error| error.to_string())?;
    let mut text = String::new();
    let reading = async {
        if let Some(out) = run.output.stdout.take() {
            // What is no text is not shown.
            let _ = out.take(OUTPUT).read_to_string(&mut text).await;
        }
        if let Some(out) = run.output.stderr.take() {
            let _ = out.take(OUTPUT).read_to_string(&mut text).await;
        }
    };
    let (exit, ()) = tokio::join!(run.process.wait(), async {
        // A process that goes on in the background may hold the pipe.
        let _ = tokio::time::timeout(Duration::from_secs(1), reading).await;
    });
    if exit.code == 0 { Ok(()) } else { Err(text) }
}

/// Asks the health service of gRPC (`grpc.health.v1`).
async fn health(place: &Place, action: &GRPCAction) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("timeout: failed to connect service \"{}\": {error}", action.port)
    };
    let ip = requests::address(None, &place.sandbox)?;
    let port = u16::try_from(action.port).map_err(|error| failed(&error))?;
    let stream = place.sandbox.connect((ip, port).into()).await.map_err(|error| failed(&error))?;
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| failed(&error))?;
    let driver = tokio::spawn(connection);
    let service = action.service.clone().unwrap_or_default();
    let request = Request::post(format!("http://{ip}:{port}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(question(&service)))
        .map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let head = answer.headers().get("grpc-status").cloned();
    let body = answer.into_body().collect().await.map_err(|error| failed(&error))?;
    let status = head.or_else(|| body.trailers()?.get("grpc-status").cloned());
    driver.abort();
    let code = status.and_then(|status| status.to_str().ok()?.parse::<u32>().ok());
    match (code, status_told(&body.to_bytes())) {
        (Some(0), "SERVING") => Ok(()),
        (Some(0), told) => Err(format!("service unhealthy (responded with \"{told}\")")),
        (Some(12), _) => {
            Err("this server does not implement the grpc health protocol (grpc.health.v1.Health)"
                .to_owned())
        }
        (code, _) => Err(format!("rpc error: code = {}", code.unwrap_or(2))),
    }
}

/// A `HealthCheckRequest` in its frame: the service is its first field.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0A);
        let mut length = service.len();
        while length >= 0x80 {
            message.extend(u8::try_from(length & 0x7F | 0x80));
            length >>= 7;
        }
        message.extend(u8::try_from(length));
        message.extend(service.bytes());
    }
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    frame.extend(message);
    Bytes::from(frame)
}

/// The status of a `HealthCheckResponse` in its frame; left out, it is the first.
fn status_told(frame: &[u8]) -> &'static str {
    match frame.get(5..) {
        Some([0x08, 1, ..]) => "SERVING",
        Some([0x08, 2, ..]) => "NOT_SERVING",
        Some([0x08, 3, ..]) => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_carries_the_name_of_the_service_whatever_its_length() {
        assert_eq!(question(""), [0; 5][..]);
        assert_eq!(question("a.B"), b"\0\0\0\0\x05\x0A\x03a.B"[..]);
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 0x2F, 0x0A, 0xAC, 0x02]);
        assert_eq!(long.len(), 5 + 3 + 300);
    }

    #[test]
    fn a_status_that_is_left_out_is_unknown() {
        assert_eq!(status_told(&[0; 5]), "UNKNOWN");
        assert_eq!(status_told(&[0, 0, 0, 0, 2, 8, 1]), "SERVING");
    }
}
