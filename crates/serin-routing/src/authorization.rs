//! Who may do what: AuthorizationPolicies and `STRICT` mutual TLS as a workload's own proxy keeps them.
//!
//! The rules are Istio's, made into conditions on attributes (its `pilot/pkg/security/authz/model`); what is asked first, what a rule
//! without values means, and what becomes of attributes that bytes without HTTP do not have follow Envoy's RBAC filters as Istio
//! configures them. Who the caller is, and whether that is proven, is told by whoever asks.

mod path;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;

use crate::authentication::{Authentication, Token};
use crate::request::{Request, RequestParts, View};

pub use path::PathTemplate;

/// What workloads take, by their addresses. Those that are not in it take everything.
pub type Inbounds = BTreeMap<IpAddr, Arc<Inbound>>;

/// What a workload takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inbound {
    /// Whether callers must be known by mutual TLS, on ports without a rule of their own.
    pub strict: bool,
    /// The same for single ports.
    pub strict_ports: BTreeMap<u16, bool>,
    /// Who may do what; `None` if no policy says.
    pub authorization: Option<Arc<Authorization>>,
}

impl Inbound {
    /// Whether a port takes callers only that are known by mutual TLS.
    pub fn is_strict(&self, port: u16) -> bool {
        self.strict_ports.get(&port).copied().unwrap_or(self.strict)
    }

    /// Whether the connection of a try is taken at all.
    pub fn connects(&self, caller: &Caller<'_>) -> bool {
        let port = caller.destination.map_or(0, |it| it.port());
        caller.principal.is_some() || !self.is_strict(port)
    }

    /// Whether a try is let in; `request` is what it asks for, where it is HTTP.
    pub fn admits<R: Request>(&self, caller: &Caller<'_>, request: Option<&R>) -> Verdict<'_> {
        if !self.connects(caller) {
            return Verdict::NotMutual;
        }
        let authorization = self.authorization.as_deref();
        authorization.map_or(Verdict::Allowed, |it| it.judge(caller, request))
    }

    /// The same for bytes that are no HTTP.
    pub fn admits_bytes(&self, caller: &Caller<'_>) -> Verdict<'_> {
        self.admits::<RequestParts>(caller, None)
    }
}

/// The policies of a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Authorization {
    /// Which tokens are taken, before anything else is asked; `None` if no policy says.
    pub tokens: Option<Arc<Authentication>>,
    /// What is denied; asked first.
    pub deny: Vec<Rule>,
    /// What is allowed, if anything says so: then all else is denied.
    pub allow: Option<Vec<Rule>>,
}

/// A rule of a policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// As Istio names it in details: `ns[shop]-policy[viewer]-rule[0]`.
    pub name: Arc<str>,
    /// Sources, one of which must hold; any if there is none.
    pub from: Vec<Vec<Condition>>,
    /// Operations, one of which must hold; any if there is none.
    pub to: Vec<Vec<Condition>>,
    /// What must hold beside.
    pub when: Vec<Condition>,
}

/// A condition on one attribute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// What it looks at.
    pub attribute: Attribute,
    /// One of these must fit; any value does if there is none.
    pub values: Vec<Value>,
    /// None of these may fit.
    pub not_values: Vec<Value>,
}

/// What is known of a try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Attribute {
    /// The caller's identity: `trust-domain/ns/namespace/sa/account`.
    Principal,
    /// The namespace in it.
    Namespace,
    /// The account in it, with its namespace: `namespace/sa/account`.
    ServiceAccount,
    /// The trust domain in it.
    TrustDomain,
    /// The address of the connection's peer.
    SourceAddress,
    /// The client's, as far as proxies tell.
    RemoteAddress,
    /// The workload's own.
    DestinationAddress,
    /// The workload's own port.
    DestinationPort,
    /// The server name that the connection asked for.
    ServerName,
    /// Of the request.
    Method,
    /// Of the request, with its port if it names one.
    Host,
    /// Of the request, without the query.
    Path,
    /// A header of the request, by its name in lower case.
    Header(Arc<str>),
    /// Issuer and subject of the request's token: `issuer/subject`.
    TokenPrincipal,
    /// A claim of the request's token, by its path; of a list any element.
    Claim(Vec<Arc<str>>),
    /// What no proxy here knows.
    Unknown,
}

impl Attribute {
    /// Whether only HTTP has it.
    const fn is_of_requests(&self) -> bool {
        matches!(
            self,
            Self::Method
                | Self::Host
                | Self::Path
                | Self::Header(_)
                | Self::TokenPrincipal
                | Self::Claim(_)
                | Self::Unknown
        )
    }
}

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Value {
    /// Anything that is there: `*`.
    Present,
    /// The same text.
    Exact(Arc<str>),
    /// A text that begins so.
    Prefix(Arc<str>),
    /// A text that ends so.
    Suffix(Arc<str>),
    /// A path of this form.
    Template(PathTemplate),
    /// An address in this network.
    Network(IpNet),
    /// This port.
    Port(u16),
}

impl Value {
    /// A text as policies write it: `*` at one end stands for anything there, alone for any text.
    pub fn text(written: &str) -> Self {
        match (written.strip_suffix('*'), written.strip_prefix('*')) {
            _ if written == "*" => Self::Present,
            (_, Some(end)) => Self::Suffix(end.into()),
            (Some(begin), None) => Self::Prefix(begin.into()),
            (None, None) => Self::Exact(written.into()),
        }
    }

    fn fits(&self, text: &[u8]) -> bool {
        match self {
            Self::Present => !text.is_empty(),
            Self::Exact(value) => text == value.as_bytes(),
            Self::Prefix(value) => text.starts_with(value.as_bytes()),
            Self::Suffix(value) => text.ends_with(value.as_bytes()),
            Self::Template(template) => template.fits(text),
            Self::Network(_) | Self::Port(_) => false,
        }
    }

    /// Hosts are compared without regard to case.
    fn fits_host(&self, text: &[u8]) -> bool {
        let same = |one: &[u8], other: &str| one.eq_ignore_ascii_case(other.as_bytes());
        match self {
            Self::Exact(value) => same(text, value),
            Self::Prefix(value) => text.get(..value.len()).is_some_and(|it| same(it, value)),
            Self::Suffix(value) => {
                let begin = text.len().checked_sub(value.len());
                begin.and_then(|begin| text.get(begin..)).is_some_and(|it| same(it, value))
            }
            other => other.fits(text),
        }
    }

    fn fits_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(&address.to_canonical()))
    }
}

/// Who makes a try, as the workload that it comes to sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'c> {
    /// The identity that is proven, without a scheme; `None` if none is.
    pub principal: Option<&'c str>,
    /// The address of the connection's peer.
    pub source: Option<IpAddr>,
    /// The client's address, as far as proxies tell.
    pub remote: Option<IpAddr>,
    /// The workload's own address and port.
    pub destination: Option<SocketAddr>,
    /// The server name that the connection asked for.
    pub server_name: Option<&'c str>,
    /// The request's token, where it has one that is good.
    pub token: Option<&'c Token>,
}

/// What becomes of a try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict<'r> {
    /// It is let in.
    Allowed,
    /// A rule denies it, or, if there is none, no rule allows it.
    Denied(Option<&'r Rule>),
    /// The port takes mutual TLS only, and the caller has none: its connection is closed.
    NotMutual,
}

impl Authorization {
    /// Whether anything is asked that only requests tell.
    pub fn looks_at_requests(&self) -> bool {
        let mut rules = self.deny.iter().chain(self.allow.iter().flatten());
        let looks = |rule: &Rule| rule.conditions().any(|it| it.attribute.is_of_requests());
        self.tokens.is_some() || rules.any(looks)
    }

    /// What becomes of a try.
    pub fn judge<R: Request>(&self, caller: &Caller<'_>, request: Option<&R>) -> Verdict<'_> {
        let mut arrival = Try { caller, request: request.map(View::new), buffer: Vec::new() };
        if let Some(rule) = self.deny.iter().find(|rule| arrival.fits(rule)) {
            return Verdict::Denied(Some(rule));
        }
        match &self.allow {
            Some(rules) if !rules.iter().any(|rule| arrival.is_allowed_by(rule)) => {
                Verdict::Denied(None)
            }
            _ => Verdict::Allowed,
        }
    }

    /// The same for bytes that are no HTTP.
    pub fn judge_bytes(&self, caller: &Caller<'_>) -> Verdict<'_> {
        self.judge::<RequestParts>(caller, None)
    }
}

impl Rule {
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.from.iter().chain(&self.to).flatten().chain(&self.when)
    }
}

/// A try that is judged.
struct Try<'t, R> {
    caller: &'t Caller<'t>,
    request: Option<View<'t, R>>,
    buffer: Vec<u8>,
}

impl<R: Request> Try<'_, R> {
    /// A rule that allows by attributes of requests allows no bytes.
    fn is_allowed_by(&mut self, rule: &Rule) -> bool {
        let asks_for_request = || rule.conditions().any(|it| it.attribute.is_of_requests());
        if self.request.is_none() && asks_for_request() { false } else { self.fits(rule) }
    }

    fn fits(&mut self, rule: &Rule) -> bool {
        let mut one_of = |all: &[Vec<Condition>]| {
            all.is_empty() || all.iter().any(|all| all.iter().all(|it| self.holds(it)))
        };
        one_of(&rule.from) && one_of(&rule.to) && rule.when.iter().all(|it| self.holds(it))
    }

    fn holds(&mut self, condition: &Condition) -> bool {
        // What a rule that denies says of requests is passed over where there is none.
        if self.request.is_none() && condition.attribute.is_of_requests() {
            return true;
        }
        let Condition { attribute, values, not_values } = condition;
        (values.is_empty() || self.is_any(attribute, values)) && !self.is_any(attribute, not_values)
    }

    fn is_any(&mut self, attribute: &Attribute, values: &[Value]) -> bool {
        if values.is_empty() {
            return false;
        }
        let caller = self.caller;
        let text = |text: Option<&str>| {
            text.is_some_and(|text| values.iter().any(|it| it.fits(text.as_bytes())))
        };
        let address = |address: Option<IpAddr>| {
            address.is_some_and(|address| values.iter().any(|it| it.fits_address(address)))
        };
        match attribute {
            Attribute::Principal => text(caller.principal),
            Attribute::Namespace => text(identity(caller).map(|it| it.namespace)),
            Attribute::ServiceAccount => text(identity(caller).map(|it| it.account)),
            Attribute::TrustDomain => text(identity(caller).map(|it| it.trust_domain)),
            Attribute::SourceAddress => address(caller.source),
            Attribute::RemoteAddress => address(caller.remote),
            Attribute::DestinationAddress => address(caller.destination.map(|it| it.ip())),
            Attribute::DestinationPort => {
                let port = caller.destination.map(|it| Value::Port(it.port()));
                port.is_some_and(|port| values.contains(&port))
            }
            Attribute::ServerName => text(caller.server_name),
            Attribute::TokenPrincipal => text(caller.token.and_then(Token::principal)),
            Attribute::Claim(path) => caller.token.is_some_and(|token| {
                token.any_claim(path, &mut |text| values.iter().any(|it| it.fits(text)))
            }),
            Attribute::Unknown => false,
            Attribute::Method | Attribute::Host | Attribute::Path | Attribute::Header(_) => {
                self.is_any_of_request(attribute, values)
            }
        }
    }

    fn is_any_of_request(&mut self, attribute: &Attribute, values: &[Value]) -> bool {
        let Some(view) = &self.request else { return false };
        let fits = |text: &[u8]| values.iter().any(|it| it.fits(text));
        match attribute {
            Attribute::Method => fits(view.request.method()),
            Attribute::Host => {
                let host = view.request.authority();
                values.iter().any(|it| it.fits_host(host))
            }
            Attribute::Path => fits(view.path),
            Attribute::Header(name) => view.header(name, &mut self.buffer).is_some_and(fits),
            _ => false,
        }
    }
}

/// The parts of an identity.
struct Identity<'i> {
    trust_domain: &'i str,
    namespace: &'i str,
    /// With its namespace: `namespace/sa/account`.
    account: &'i str,
}

/// The parts of `trust-domain/ns/namespace/sa/account`.
fn identity<'c>(caller: &Caller<'c>) -> Option<Identity<'c>> {
    let (trust_domain, rest) = caller.principal?.split_once("/ns/")?;
    let (namespace, _) = rest.split_once("/sa/")?;
    Some(Identity { trust_domain, namespace, account: rest })
}

#[cfg(test)]
mod tests;
