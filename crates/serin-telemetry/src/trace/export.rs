//! Spans on their way to a collector: a bounded queue, batches, and one request after the other.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::secure::{Secure, Trust};
use super::{Span, attribute};

/// Spans that may wait.
const QUEUE: usize = 2048;
/// Spans in one request to the collector.
const BATCH: usize = 256;
/// A span waits no longer for others.
const WAIT: Duration = Duration::from_secs(1);
/// Time for the collector to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Connects to `host:port`; runs on the thread that sends spans.
pub type Connect = Box<dyn Fn(&str) -> io::Result<TcpStream> + Send>;

/// The way to a collector.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: SyncSender<(Arc<str>, Span)>,
    dropped: AtomicU64,
}

impl Exporter {
    /// # Errors
    /// The URL is no collector's, there are no authorities for it, or the thread cannot be made.
    pub(super) fn start(connect: Connect, url: &str, trust: &Trust) -> io::Result<Self> {
        let address = Address::parse(url).ok_or_else(|| {
            let message =
                format!("{url}: write http://host:port/v1/traces, or the same with https");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        let secure = address.is_secure.then(|| Secure::new(trust, address.host())).transpose()?;
        let collector = Collector { address, secure, connect };
        let (queue, spans) = sync_channel(QUEUE);
        thread::Builder::new().name("traces".into()).spawn(move || collector.export(&spans))?;
        Ok(Self { queue, dropped: AtomicU64::new(0) })
    }

    pub(super) fn send(&self, service: Arc<str>, span: Span) {
        if self.queue.try_send((service, span)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Where a collector listens: `http://host:port/path`, or the same with `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    is_secure: bool,
    authority: String,
    path: String,
}

impl Address {
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let is_secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, "v1/traces"));
        let has_port =
            authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let (authority, path) = (authority.to_owned(), format!("/{path}"));
        has_port.then_some(Self { is_secure, authority, path })
    }

    /// Without the port, and without the brackets of IPv6.
    fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':').map_or("", |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

struct Collector {
    address: Address,
    secure: Option<Secure>,
    connect: Connect,
}

impl Collector {
    /// Sends spans until there can be no more.
    fn export(&self, spans: &Receiver<(Arc<str>, Span)>) {
        let mut is_failing = false;
        while let Ok(first) = spans.recv() {
            let mut batch = vec![first];
            let due = Instant::now() + WAIT;
            while batch.len() < BATCH {
                match spans.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Ok(span) => batch.push(span),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            // Traces of a collector that is gone are lost; requests are not its business.
            let sent = self.post(&body(&batch).to_string());
            if let (Err(error), false) = (&sent, is_failing) {
                let collector = &self.address.authority;
                tracing::warn!(collector, %error, "spans do not reach their collector");
            }
            is_failing = sent.is_err();
        }
    }

    /// Sends a body; what comes back does not matter.
    fn post(&self, body: &str) -> io::Result<()> {
        let stream = (self.connect)(&self.address.authority)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        match &self.secure {
            Some(secure) => self.ask(&mut secure.over(stream)?, body),
            None => self.ask(&mut &stream, body),
        }
    }

    fn ask(&self, stream: &mut (impl Read + Write), body: &str) -> io::Result<()> {
        let (path, host, length) = (&self.address.path, &self.address.authority, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        stream.flush()?;
        // The collector may close the connection once it has answered.
        stream.read(&mut [0; 1024]).map(drop)
    }
}

/// Connects as the system does.
pub(super) fn connect(authority: &str) -> io::Result<TcpStream> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let address = authority.to_socket_addrs()?.next().ok_or_else(unknown)?;
    TcpStream::connect_timeout(&address, LIMIT)
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

    #[test]
    fn a_collector_has_a_host_and_a_port() {
        let check = |url: &str, expect: Option<(bool, &str, &str)>| {
            let found = Address::parse(url);
            let found = found.as_ref().map(|it| (it.is_secure, it.host(), it.path.as_str()));
            assert_eq!(found, expect, "{url}");
        };
        check("http://otel:4318/v1/traces", Some((false, "otel", "/v1/traces")));
        check("http://otel:4318", Some((false, "otel", "/v1/traces")));
        check("https://otel.example:4318/in", Some((true, "otel.example", "/in")));
        check("https://[::1]:4318", Some((true, "::1", "/v1/traces")));
        check("http://otel/v1/traces", None);
        check("otel:4318", None);
    }

    /// A collector on TLS, its certificate in a file, and the requests that it gets.
    fn collector(folder: &std::path::Path) -> (u16, Trust, Receiver<String>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = folder.join("ca.pem");
        std::fs::write(&file, made.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, requests) = sync_channel(8);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let tls = rustls::ServerConnection::new(Arc::new(config.clone())).unwrap();
                let mut stream = rustls::StreamOwned::new(tls, stream.unwrap());
                let mut request = String::new();
                while !request.ends_with("}]}") {
                    let mut piece = [0; 4096];
                    let Ok(count @ 1..) = stream.read(&mut piece) else { break };
                    request.push_str(std::str::from_utf8(&piece[..count]).unwrap());
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                told.send(request).unwrap();
            }
        });
        (port, Trust { authorities: Some(file), server_name: None }, requests)
    }

    #[test]
    fn spans_reach_a_collector_by_tls_if_its_certificate_is_the_hosts() {
        let folder = tempfile::tempdir().unwrap();
        let (port, trust, requests) = collector(folder.path());
        let report = |trust: &Trust| {
            let url = format!("https://localhost:{port}/v1/traces");
            let to = move |_: &str| TcpStream::connect(("127.0.0.1", port));
            let tracing = super::super::Tracing::start_by(Box::new(to), &url, trust, "till", 1.0);
            tracing.unwrap().report(Span {
                context: super::super::Context { trace: 7, span: 9, sampled: Some(true) },
                parent: None,
                name: "till".to_owned(),
                start: Duration::ZERO,
                duration: Duration::ZERO,
                is_error: false,
                attributes: Vec::new(),
            });
            requests.recv().unwrap()
        };
        let request = report(&trust);
        assert!(request.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\"name\":\"till\""), "{request}");
        let other = Trust { server_name: Some("other.test".to_owned()), ..trust };
        assert_eq!(report(&other), "", "nothing is said to a stranger");
    }

    #[test]
    fn authorities_that_cannot_be_read_are_told_at_the_start() {
        let trust = Trust { authorities: Some("/nowhere/ca.pem".into()), server_name: None };
        let error = Exporter::start(Box::new(connect), "https://a:1/", &trust).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/ca.pem: "), "{error}");
    }
}
