//! Expressions in CEL over Envoy's attributes of a request or a connection, and what Istio adds: the proxy's node, and the workload at the
//! other end.

mod workloads;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use cel::{Context, Program, Value};
use serin_routing::format::{Address, Facts, GrpcStatusForm, Property};

pub(crate) use workloads::Node;

/// A compiled expression.
pub(super) struct Expression {
    program: Program,
    /// Names in quotes: those headers that it can ask for.
    headers: Vec<String>,
    /// The proxy's own workload, if the expression may ask for it.
    node: Option<Value>,
    /// Whether it may ask for the one at the other end.
    asks_for_peers: bool,
}

impl Expression {
    /// Compiles an expression for a proxy; otherwise why it is none.
    pub(super) fn new(text: &str, node: &Node) -> Result<Self, String> {
        let program = Program::compile(text).map_err(|error| error.to_string())?;
        let node = asks_for_node(text).then(|| node.value());
        let asks_for_peers = text.contains("_peer");
        Ok(Self { program, headers: header_names(text), node, asks_for_peers })
    }

    /// Its value; `None` if it has none, as when it asks for an attribute that is not there.
    pub(super) fn evaluate(&self, facts: &dyn Facts) -> Option<Value> {
        let mut context = Context::default();
        for (name, attributes) in [
            ("request", request(facts, &self.headers)),
            ("response", response(facts, &self.headers)),
            ("connection", connection(facts)),
            ("source", end(facts, Address::DownstreamRemote)),
            ("destination", end(facts, Address::DownstreamLocal)),
            ("upstream", upstream(facts)),
            ("xds", xds(facts, self.node.as_ref())),
        ] {
            context.add_variable_from_value(name, attributes.value());
        }
        if let Some(node) = &self.node {
            context.add_variable_from_value("node", node.clone());
        }
        if self.asks_for_peers {
            workloads::add_peers(facts, &mut context);
        }
        self.program.execute(&context).ok()
    }

    /// Its value as a text; `None` if it is no text, number or truth.
    pub(super) fn text(&self, facts: &dyn Facts) -> Option<String> {
        match self.evaluate(facts)? {
            Value::String(text) => Some(text.as_str().to_owned()),
            Value::Int(number) => Some(number.to_string()),
            Value::UInt(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }
}

/// Attributes of one kind. Those that are not known are not there.
#[derive(Default)]
struct Attributes(HashMap<String, Value>);

impl Attributes {
    fn add(&mut self, name: &str, value: Option<Value>) -> &mut Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    fn value(self) -> Value {
        Value::from(self.0)
    }
}

fn request(facts: &dyn Facts, headers: &[String]) -> Attributes {
    let header = |name: &str| facts.request_header(name).map(text);
    let path = facts.request_header(":path");
    let mut parts = path.unwrap_or_default().splitn(2, |&byte| byte == b'?');
    let (url_path, query) = (path.and(parts.next()), parts.next());
    let mut attributes = Attributes::default();
    attributes
        .add("method", header(":method"))
        .add("host", header(":authority"))
        .add("scheme", header(":scheme"))
        .add("path", path.map(text))
        .add("url_path", url_path.map(text))
        .add("query", path.map(|_| text(query.unwrap_or_default())))
        .add("useragent", header("user-agent"))
        .add("referer", header("referer"))
        .add("id", header("x-request-id"))
        .add("protocol", property(facts, Property::Protocol))
        .add("size", number(facts, Property::BytesReceived))
        .add("headers", Some(fields(headers, header)));
    attributes
}

fn response(facts: &dyn Facts, headers: &[String]) -> Attributes {
    let header = |name: &str| facts.response_header(name).map(text);
    let mut attributes = Attributes::default();
    attributes
        .add("code", number(facts, Property::ResponseCode))
        .add("code_details", property(facts, Property::ResponseCodeDetails))
        .add("grpc_status", number(facts, Property::GrpcStatus(GrpcStatusForm::Number)))
        .add("size", number(facts, Property::BytesSent))
        .add("headers", Some(fields(headers, header)));
    attributes
}

fn connection(facts: &dyn Facts) -> Attributes {
    let fingerprint = property(facts, Property::DownstreamPeerFingerprint);
    let mut attributes = Attributes::default();
    attributes
        .add("mtls", Some(Value::Bool(fingerprint.is_some())))
        .add("requested_server_name", property(facts, Property::RequestedServerName))
        .add("tls_version", property(facts, Property::DownstreamTlsVersion))
        .add("subject_peer_certificate", property(facts, Property::DownstreamPeerSubject))
        .add("uri_san_peer_certificate", property(facts, Property::DownstreamPeerUriSan));
    attributes
}

fn end(facts: &dyn Facts, address: Address) -> Attributes {
    let address = facts.address(address);
    let shown = |address: SocketAddr| text(address.to_string().as_bytes());
    let mut attributes = Attributes::default();
    attributes
        .add("address", address.map(shown))
        .add("port", address.map(|address| Value::Int(i64::from(address.port()))));
    attributes
}

fn upstream(facts: &dyn Facts) -> Attributes {
    let local = facts.address(Address::UpstreamLocal);
    let mut attributes = end(facts, Address::UpstreamRemote);
    attributes
        .add("local_address", local.map(|address| text(address.to_string().as_bytes())))
        .add("transport_failure_reason", property(facts, Property::UpstreamTransportFailureReason))
        .add("request_attempt_count", number(facts, Property::UpstreamRequestAttemptCount));
    attributes
}

fn xds(facts: &dyn Facts, node: Option<&Value>) -> Attributes {
    let mut attributes = Attributes::default();
    attributes
        .add("node", node.cloned())
        .add("cluster_name", property(facts, Property::UpstreamCluster))
        .add("route_name", property(facts, Property::RouteName))
        .add("virtual_host_name", property(facts, Property::VirtualHostName));
    attributes
}

fn fields(names: &[String], header: impl Fn(&str) -> Option<Value>) -> Value {
    let mut attributes = Attributes::default();
    for name in names {
        attributes.add(name, header(name));
    }
    attributes.value()
}

fn bytes(facts: &dyn Facts, property: Property) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    facts.append(property, &mut bytes).then_some(bytes)
}

fn property(facts: &dyn Facts, property: Property) -> Option<Value> {
    bytes(facts, property).map(|bytes| text(&bytes))
}

fn number(facts: &dyn Facts, property: Property) -> Option<Value> {
    let digits = bytes(facts, property)?;
    std::str::from_utf8(&digits).ok()?.parse().ok().map(Value::Int)
}

fn text(bytes: &[u8]) -> Value {
    Value::String(Arc::new(String::from_utf8_lossy(bytes).into_owned()))
}

/// Whether `node` may be meant, as a name of its own or in `xds.node`.
pub(super) fn asks_for_node(expression: &str) -> bool {
    expression.contains("node")
}

fn header_names(expression: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    for quote in ['\'', '"'] {
        let quoted = expression.split(quote).skip(1).step_by(2);
        names.extend(quoted.map(str::to_ascii_lowercase));
    }
    names.into_iter().collect()
}
