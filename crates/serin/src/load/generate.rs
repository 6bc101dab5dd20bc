//! An open loop: requests are sent at their times, and what comes of them is counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) uri: Uri,
    pub(crate) method: Method,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// Requests per second.
    pub(crate) rate: f64,
    pub(crate) duration: Duration,
    /// Requests without an answer at any time.
    pub(crate) concurrency: usize,
    pub(crate) timeout: Duration,
    /// Told of each answer as it comes.
    pub(crate) progress: Arc<Progress>,
}

/// What has come of it so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    succeeded: AtomicU64,
    failed: AtomicU64,
    last_failure: Mutex<Option<String>>,
}

impl Progress {
    /// Requests that have their answer, and those of them that failed.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        let failed = self.failed.load(Ordering::Relaxed);
        (self.succeeded.load(Ordering::Relaxed) + failed, failed)
    }

    /// Why the last request that failed did.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts an answer; one of 500 and above is a failure.
    pub(crate) fn count(&self, status: u16, body: &[u8]) {
        if status < 500 {
            self.succeeded.fetch_add(1, Ordering::Relaxed);
        } else {
            let body = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
            self.fail(format!("{status} {}", body.trim()).trim().to_owned());
        }
    }

    /// Counts a request that has no answer.
    pub(crate) fn fail(&self, why: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// Requests that were sent.
    pub(crate) requests: u64,
    /// Answers below 500.
    pub(crate) succeeded: u64,
    /// Answers of 500 and above, and no answer at all.
    pub(crate) failed: u64,
    /// Requests that were due and not sent, because too many had no answer.
    pub(crate) missed: u64,
    pub(crate) seconds: f64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) errors: BTreeMap<String, u64>,
    /// Milliseconds from the time at which a request was due to the end of its answer.
    pub(crate) latency: Latency,
    #[serde(skip)]
    all: Vec<f32>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// So many bytes of an answer that is a failure are shown.
const SHOWN: usize = 200;

type Idle = Mutex<Vec<SendRequest<Full<Bytes>>>>;

/// Sends for as long as is wanted, or until `stop`, and waits for the answers.
pub(crate) async fn generate(wanted: &Wanted, stop: impl Future<Output = ()>) -> Outcome {
    let idle = Arc::new(Idle::default());
    let mut outcome = Outcome::default();
    let mut open: JoinSet<(Result<u16, String>, Duration)> = JoinSet::new();
    let start = Instant::now();
    let count = (wanted.rate * wanted.duration.as_secs_f64()).round() as u64;
    let mut stop = std::pin::pin!(stop);
    for index in 0..count {
        let due = start + Duration::from_secs_f64(index as f64 / wanted.rate);
        let mut is_stopped = false;
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = &mut stop => is_stopped = true,
        }
        if is_stopped {
            break;
        }
        while let Some(ended) = open.try_join_next() {
            outcome.count(ended.ok());
        }
        if open.len() >= wanted.concurrency {
            outcome.missed += 1;
            continue;
        }
        outcome.requests += 1;
        let (wanted, idle) = (wanted.clone(), Arc::clone(&idle));
        open.spawn(async move {
            let answer = tokio::time::timeout(wanted.timeout, send(&wanted, &idle)).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            match &answer {
                Ok((status, body)) => wanted.progress.count(*status, body),
                Err(error) => wanted.progress.fail(error.clone()),
            }
            (answer.map(|(status, _)| status), due.elapsed())
        });
    }
    while let Some(ended) = open.join_next().await {
        outcome.count(ended.ok());
    }
    outcome.finish(start.elapsed())
}

/// The status of the answer, and where its body begins if it is a failure.
async fn send(wanted: &Wanted, idle: &Idle) -> Result<(u16, Vec<u8>), String> {
    // A connection that was idle may have been closed meanwhile; a request that was not sent goes on another one.
    loop {
        let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let is_kept = kept.is_some();
        let mut sender = match kept {
            Some(sender) => sender,
            None => connect(wanted).await?,
        };
        if is_kept && sender.ready().await.is_err() {
            continue;
        }
        let answer = match sender.try_send_request(request(wanted)?).await {
            Ok(answer) => answer,
            Err(error) if is_kept && error.message().is_some() => continue,
            Err(error) => return Err(error.into_error().to_string()),
        };
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let shown = if status < 500 { 0 } else { SHOWN };
        let mut begin = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            let data = frame.data_ref().map_or(&[][..], |it| it);
            begin.extend_from_slice(&data[..data.len().min(shown - begin.len())]);
        }
        idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        return Ok((status, begin));
    }
}

async fn connect(wanted: &Wanted) -> Result<SendRequest<Full<Bytes>>, String> {
    let host = wanted.uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = wanted.uri.port_u16().unwrap_or(80);
    let stream =
        TcpStream::connect((host, port)).await.map_err(|error| format!("connect: {error}"))?;
    // Small requests must not wait for each other; without it they are only slower.
    let _ = stream.set_nodelay(true);
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(wanted: &Wanted) -> Result<Request<Full<Bytes>>, String> {
    let path = wanted.uri.path_and_query().map_or("/", |it| it.as_str());
    let mut request = Request::builder().method(wanted.method.clone()).uri(path);
    if !wanted.has_host() {
        request = request.header(header::HOST, wanted.uri.authority().map_or("", |it| it.as_str()));
    }
    for (name, value) in &wanted.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(wanted.body.clone())).map_err(|error| error.to_string())
}

impl Outcome {
    fn count(&mut self, ended: Option<(Result<u16, String>, Duration)>) {
        let Some((answer, elapsed)) = ended else {
            self.failed += 1;
            return;
        };
        match answer {
            Ok(status) => {
                *self.statuses.entry(status).or_default() += 1;
                if status < 500 {
                    self.succeeded += 1
                } else {
                    self.failed += 1
                }
                self.all.push(elapsed.as_secs_f32() * 1000.0);
            }
            Err(error) => {
                *self.errors.entry(error).or_default() += 1;
                self.failed += 1;
            }
        }
    }

    fn finish(mut self, elapsed: Duration) -> Self {
        self.seconds = elapsed.as_secs_f64();
        let mut all = std::mem::take(&mut self.all);
        all.sort_by(f32::total_cmp);
        // The least latency that this share of the answers does not exceed.
        let at = |share: f64| {
            let rank = (share * all.len() as f64).ceil() as usize;
            all.get(rank.max(1) - 1).map_or(0.0, |it| f64::from(*it))
        };
        let sum: f64 = all.iter().map(|it| f64::from(*it)).sum();
        self.latency = Latency {
            mean: if all.is_empty() { 0.0 } else { sum / all.len() as f64 },
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_answers() {
        let mut outcome = Outcome::default();
        for milliseconds in 1..=100 {
            outcome.count(Some((Ok(200), Duration::from_millis(milliseconds))));
        }
        outcome.count(Some((Ok(503), Duration::from_millis(1))));
        outcome.count(Some((Err("connect".to_owned()), Duration::ZERO)));
        let outcome = outcome.finish(Duration::from_secs(1));
        assert_eq!((outcome.succeeded, outcome.failed, outcome.statuses[&503]), (100, 2, 1));
        let it = outcome.latency;
        assert!(
            (it.p50 - 50.0).abs() < 0.01
                && (it.p99 - 99.0).abs() < 0.01
                && (it.max - 100.0).abs() < 0.01,
            "{it:?}"
        );
    }
}
