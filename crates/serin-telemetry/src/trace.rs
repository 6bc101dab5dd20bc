//! Traces: the context that requests carry, and spans on their way to a collector.
//!
//! Contexts are read and written in the forms of the W3C (`traceparent`) and of B3 (one header, or several). Spans leave as OTLP over HTTP
//! with JSON bodies, in batches, from a thread of their own; what does not fit into its queue is dropped and counted.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Spans that may wait.
const QUEUE: usize = 2048;
/// Spans in one request to the collector.
const BATCH: usize = 256;
/// A span waits no longer for others.
const WAIT: Duration = Duration::from_secs(1);
/// Time for the collector to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Where a request stands in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace; never 0.
    pub trace: u128,
    /// The span; never 0.
    pub span: u64,
    /// Whether the trace is reported; `None` leaves it to whoever reads it.
    pub sampled: Option<bool>,
}

impl Context {
    /// Reads `traceparent` (W3C Trace Context §3.2). Versions to come are read as far as this one goes.
    pub fn from_w3c(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version.len() != 2 || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let flags = (flags.len() == 2).then(|| u8::from_str_radix(flags, 16).ok())??;
        Some(Self { sampled: Some(flags & 1 == 1), ..Self::new(trace, span, 32)? })
    }

    /// Reads the one header of B3: `TRACE-SPAN[-SAMPLED[-PARENT]]`.
    pub fn from_b3(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let context = Self::new(parts.next()?, parts.next()?, 16)?;
        Some(Self { sampled: parts.next().and_then(b3_decision), ..context })
    }

    /// Reads the several headers of B3, as `header` gives them.
    pub fn from_b3_headers<'h>(header: impl Fn(&str) -> Option<&'h str>) -> Option<Self> {
        let context = Self::new(header("x-b3-traceid")?, header("x-b3-spanid")?, 16)?;
        let debug = header("x-b3-flags").filter(|flags| *flags == "1").map(|_| true);
        Some(Self { sampled: debug.or_else(|| b3_decision(header("x-b3-sampled")?)), ..context })
    }

    fn new(trace: &str, span: &str, shortest: usize) -> Option<Self> {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let fits = (trace.len() == 32 || trace.len() == shortest) && span.len() == 16;
        if !fits || !is_hex(trace) || !is_hex(span) {
            return None;
        }
        let (trace, span) =
            (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
        (trace != 0 && span != 0).then_some(Self { trace, span, sampled: None })
    }

    /// As `traceparent`.
    pub fn to_w3c(self) -> String {
        format!(
            "00-{:032x}-{:016x}-0{}",
            self.trace,
            self.span,
            u8::from(self.sampled == Some(true))
        )
    }

    /// As the one header of B3.
    pub fn to_b3(self) -> String {
        format!("{:032x}-{:016x}-{}", self.trace, self.span, u8::from(self.sampled == Some(true)))
    }
}

fn b3_decision(text: &str) -> Option<bool> {
    match text {
        "1" | "d" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// A span that is over.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its place.
    pub context: Context,
    /// The span it belongs to.
    pub parent: Option<u64>,
    /// What it is about.
    pub name: String,
    /// When it began, since the Unix epoch.
    pub start: Duration,
    /// How long it took.
    pub duration: Duration,
    /// Whether it failed.
    pub is_error: bool,
    /// What else is known.
    pub attributes: Vec<(&'static str, String)>,
}

impl Span {
    fn to_json(&self) -> Value {
        let attributes: Vec<Value> =
            self.attributes.iter().map(|(key, value)| attribute(key, value)).collect();
        let mut span = json!({
            "traceId": format!("{:032x}", self.context.trace),
            "spanId": format!("{:016x}", self.context.span),
            "name": self.name,
            // SPAN_KIND_SERVER
            "kind": 2,
            "startTimeUnixNano": self.start.as_nanos().to_string(),
            "endTimeUnixNano": (self.start + self.duration).as_nanos().to_string(),
            "attributes": attributes,
            // STATUS_CODE_ERROR, or unset.
            "status": {"code": if self.is_error { 2 } else { 0 }},
        });
        if let (Some(parent), Some(span)) = (self.parent, span.as_object_mut()) {
            span.insert("parentSpanId".to_owned(), format!("{parent:016x}").into());
        }
        span
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// How requests are traced.
#[derive(Clone, Debug)]
pub struct Tracing {
    /// Share of traces that begin here and are reported, from 0 to 1.
    pub share: f64,
    /// Whose spans they are.
    service: Arc<str>,
    exporter: Arc<Exporter>,
}

#[derive(Debug)]
struct Exporter {
    queue: SyncSender<(Arc<str>, Span)>,
    dropped: AtomicU64,
}

/// Connects to `host:port`; runs on the thread that sends spans.
pub type Connect = Box<dyn Fn(&str) -> std::io::Result<TcpStream> + Send>;

/// A collector: `http://host:port/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Collector {
    authority: String,
    path: String,
}

impl Tracing {
    /// Reports spans of `service` to a collector, `http://host:port/v1/traces`.
    ///
    /// # Errors
    /// The URL is none of this form, or the thread cannot be made.
    pub fn start(url: &str, service: &str, share: f64) -> std::io::Result<Self> {
        Self::start_by(Box::new(connect), url, service, share)
    }

    /// The same with connections of another kind.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_by(
        connect: Connect,
        url: &str,
        service: &str,
        share: f64,
    ) -> std::io::Result<Self> {
        let collector = Collector::parse(url).ok_or_else(|| {
            let message = format!("{url}: write http://host:port/v1/traces");
            std::io::Error::new(std::io::ErrorKind::InvalidInput, message)
        })?;
        let (queue, spans) = sync_channel(QUEUE);
        thread::Builder::new().name("traces".into()).spawn(move || {
            export(&collector, &connect, &spans);
        })?;
        let exporter = Arc::new(Exporter { queue, dropped: AtomicU64::new(0) });
        Ok(Self { share, service: service.into(), exporter })
    }

    /// The same with another share.
    #[must_use]
    pub fn with_share(&self, share: f64) -> Self {
        Self { share, ..self.clone() }
    }

    /// The same for the spans of another service.
    #[must_use]
    pub fn of_service(&self, service: &str) -> Self {
        Self { service: service.into(), ..self.clone() }
    }

    /// Reports a span.
    pub fn report(&self, span: Span) {
        let span = (Arc::clone(&self.service), span);
        if self.exporter.queue.try_send(span).is_err() {
            self.exporter.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans that were dropped because the collector is too slow.
    pub fn dropped(&self) -> u64 {
        self.exporter.dropped.load(Ordering::Relaxed)
    }
}

impl Collector {
    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, "v1/traces"));
        let has_port =
            authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        has_port.then(|| Self { authority: authority.to_owned(), path: format!("/{path}") })
    }

    /// Sends a body; what comes back does not matter.
    fn post(&self, connect: &Connect, body: &str) -> std::io::Result<()> {
        let mut stream = connect(&self.authority)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let (path, host, length) = (&self.path, &self.authority, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        // The collector may close the connection once it has answered.
        let mut answer = [0; 1024];
        stream.read(&mut answer).map(drop)
    }
}

/// Connects as the system does.
fn connect(authority: &str) -> std::io::Result<TcpStream> {
    let unknown = || std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    let address = authority.to_socket_addrs()?.next().ok_or_else(unknown)?;
    TcpStream::connect_timeout(&address, LIMIT)
}

fn export(collector: &Collector, connect: &Connect, spans: &Receiver<(Arc<str>, Span)>) {
    loop {
        let Ok(first) = spans.recv() else { return };
        let mut batch = vec![first];
        let due = Instant::now() + WAIT;
        while batch.len() < BATCH {
            match spans.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(span) => batch.push(span),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        // Traces of a collector that is gone are lost; requests are not its business.
        let _ = collector.post(connect, &body(&batch).to_string());
    }
}

/// `ExportTraceServiceRequest`: spans by the service whose they are.
fn body(batch: &[(Arc<str>, Span)]) -> Value {
    let mut by_service: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (service, span) in batch {
        by_service.entry(service).or_default().push(span.to_json());
    }
    let of_service = |(service, spans): (&str, Vec<Value>)| {
        json!({
            "resource": {"attributes": [attribute("service.name", service)]},
            "scopeSpans": [{"scope": {"name": "serin"}, "spans": spans}],
        })
    };
    json!({"resourceSpans": by_service.into_iter().map(of_service).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn traceparent_is_read_strictly() {
        let check = |text: &str, expect: Option<bool>| {
            let found = Context::from_w3c(text);
            assert_eq!(found.map(|it| it.sampled), expect.map(Some), "{text}");
        };
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-00"), Some(false));
        check(&format!("01-{TRACE}-00f067aa0ba902b7-01-more"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01-more"), None);
        check(&format!("ff-{TRACE}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{TRACE}-0000000000000000-01"), None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check(&format!("00-{TRACE}-00f067aa0ba902b7"), None);
        check("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
    }

    #[test]
    fn b3_is_read_in_both_forms_and_lengths() {
        let one =
            Context::from_b3(&format!("{TRACE}-00f067aa0ba902b7-1-05e3ac9a4f6e3b90")).unwrap();
        assert_eq!((one.span, one.sampled), (0x00f0_67aa_0ba9_02b7, Some(true)));
        let short = Context::from_b3("a3ce929d0e0e4736-00f067aa0ba902b7").unwrap();
        assert_eq!((short.trace, short.sampled), (0xa3ce_929d_0e0e_4736, None));
        assert_eq!(Context::from_b3("0"), None);
        let headers = |name: &str| match name {
            "x-b3-traceid" => Some(TRACE),
            "x-b3-spanid" => Some("00f067aa0ba902b7"),
            "x-b3-sampled" => Some("0"),
            _ => None,
        };
        assert_eq!(Context::from_b3_headers(headers).unwrap().sampled, Some(false));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let context = Context { trace: 7, span: 9, sampled: Some(true) };
        assert_eq!(Context::from_w3c(&context.to_w3c()), Some(context));
        assert_eq!(Context::from_b3(&context.to_b3()), Some(context));
    }

    #[test]
    fn a_collector_has_a_host_and_a_port() {
        let check = |url: &str, expect: Option<(&str, &str)>| {
            let found = Collector::parse(url);
            let found = found.as_ref().map(|it| (it.authority.as_str(), it.path.as_str()));
            assert_eq!(found, expect, "{url}");
        };
        check("http://otel:4318/v1/traces", Some(("otel:4318", "/v1/traces")));
        check("http://otel:4318", Some(("otel:4318", "/v1/traces")));
        check("https://otel:4318/v1/traces", None);
        check("http://otel/v1/traces", None);
    }
}
