//! Traces: the context that requests carry, and spans on their way to a collector.
//!
//! Contexts are read and written in the forms of the W3C (`traceparent`) and of B3 (one header, or several). Spans leave as OTLP over HTTP
//! or HTTPS with JSON bodies, in batches, from a thread of their own; what does not fit into its queue is dropped and counted.

mod export;
mod secure;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub use export::Connect;
use export::Exporter;
pub use secure::Trust;

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

impl Tracing {
    /// Reports spans of `service` to a collector, `http://host:port/v1/traces` or the same with `https`, whose certificate the
    /// system's authorities must have issued.
    ///
    /// # Errors
    /// The URL is none of this form, there are no authorities, or the thread cannot be made.
    pub fn start(url: &str, service: &str, share: f64) -> std::io::Result<Self> {
        Self::start_by(Box::new(export::connect), url, &Trust::default(), service, share)
    }

    /// The same with connections of another kind, and other authorities.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_by(
        connect: Connect,
        url: &str,
        trust: &Trust,
        service: &str,
        share: f64,
    ) -> std::io::Result<Self> {
        let exporter = Arc::new(Exporter::start(connect, url, trust)?);
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
        self.exporter.send(Arc::clone(&self.service), span);
    }

    /// Spans that were dropped because the collector is too slow.
    pub fn dropped(&self) -> u64 {
        self.exporter.dropped()
    }
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
}
