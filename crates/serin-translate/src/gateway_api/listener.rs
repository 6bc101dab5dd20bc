//! One listener of a Gateway or a ListenerSet: the server it becomes, and what its status says.

use serde_json::{Value, json};
use serin_api::gateway_api::{
    AllowedRoutes, FromNamespaces, FrontendTlsValidation, Listener, RouteGroupKind, TlsMode,
};
use serin_api::networking::{Port, Server, ServerTlsSettings};

use super::class::Class;
use super::condition::{Condition, Refusal, Report};
use super::parent::Owner;
use super::route::RouteKind;
use super::tls;
use super::world::World;

const HBONE: &str = "HBONE";
const HBONE_PORT: i32 = 15008;
const PROTOCOLS: [&str; 5] = ["HTTP", "HTTPS", "TLS", "TCP", HBONE];
const NO_ERRORS: &str = "No errors found";

/// A listener, looked at.
pub(super) struct Built {
    /// The server; of no use if the listener is not valid.
    pub server: Server,
    /// Whether the listener can serve.
    pub valid: bool,
    /// What its status says.
    pub verdict: Verdict,
}

/// What the status of a listener says, all but the routes attached to it.
pub(super) struct Verdict {
    pub name: String,
    pub conditions: Vec<Condition>,
    pub supported: Vec<RouteKind>,
}

/// Looks at `listener` of a Gateway of class `class`.
pub(super) fn build(
    world: &World<'_>,
    owner: &Owner<'_>,
    class: Class,
    listener: &Listener,
    validation: Option<&FrontendTlsValidation>,
) -> Built {
    let (tls, tls_refusal) = match tls::settings(world, owner, listener, validation) {
        Ok(tls) => (tls, None),
        Err(refusal) => (None, Some(refusal)),
    };
    let shape_refusal = check_shape(world, class, listener);
    let unusable = tls_refusal.is_some() || misses_tls(listener);
    let barred = tls_refusal.as_ref().filter(|it| tls::bars_acceptance(it));
    let barred = barred.map(|it| Refusal::new("NoValidCACertificate", it.message.clone()));
    let unusual = unusual_tunnel(class, listener);
    let accepted = Condition::holds("Accepted", "Accepted", NO_ERRORS)
        .unless(unusual.as_ref().or(shape_refusal.as_ref()).or(barred.as_ref()));
    let bad_tls = unusable.then(|| Refusal::new("Invalid", "Bad TLS configuration"));
    let conditions = vec![
        accepted,
        Condition::fails("Conflicted", "NoConflicts", NO_ERRORS),
        Condition::holds("Programmed", "Programmed", NO_ERRORS).unless(bad_tls.as_ref()),
        Condition::holds("ResolvedRefs", "ResolvedRefs", NO_ERRORS).unless(tls_refusal.as_ref()),
    ];
    let valid = !unusable && shape_refusal.is_none();
    Built {
        server: server(world, owner, listener, tls),
        valid,
        verdict: verdict(listener, conditions),
    }
}

/// The verdict on a listener that loses to another one of the same Gateway for `reason`.
pub(super) fn conflicted(listener: &Listener, reason: &'static str) -> Verdict {
    let message = "Listener has a conflict with another listener attached to the same Gateway";
    let conditions = vec![
        Condition::fails("Accepted", reason, message),
        Condition::holds("Conflicted", reason, message),
        Condition::fails("Programmed", reason, message),
    ];
    verdict(listener, conditions)
}

fn verdict(listener: &Listener, mut conditions: Vec<Condition>) -> Verdict {
    let (supported, all_known) = supported_kinds(listener);
    if !all_known {
        conditions.retain(|it| it.kind != "ResolvedRefs");
        conditions.push(Condition::fails(
            "ResolvedRefs",
            "InvalidRouteKinds",
            "Invalid route kinds",
        ));
    }
    Verdict { name: listener.name.clone(), conditions, supported }
}

fn server(
    world: &World<'_>,
    owner: &Owner<'_>,
    listener: &Listener,
    tls: Option<ServerTlsSettings>,
) -> Server {
    // There is one server in each Gateway object that is made, so one name serves for all of their ports.
    let port = Port {
        name: "default".to_owned(),
        number: u32::try_from(listener.port).unwrap_or_default(),
        protocol: listener.protocol.clone(),
        ..Port::default()
    };
    Server { port: Some(port), hosts: hosts(world, owner, listener), tls, ..Server::default() }
}

/// The hosts of the server: the listener's host name with each namespace that may attach routes.
fn hosts(world: &World<'_>, owner: &Owner<'_>, listener: &Listener) -> Vec<String> {
    let hostname = listener.hostname.as_deref().unwrap_or("*");
    let namespaces = namespaces(world, &owner.meta.namespace, listener.allowed_routes.as_ref());
    if namespaces.is_empty() {
        // A server must have a host. With this namespace no route matches it, yet its server name is taken.
        return vec![format!("~/{hostname}")];
    }
    namespaces.iter().map(|namespace| format!("{namespace}/{hostname}")).collect()
}

fn namespaces(world: &World<'_>, own: &str, allowed: Option<&AllowedRoutes>) -> Vec<String> {
    let namespaces = allowed.and_then(|it| it.namespaces.as_ref());
    match (namespaces.and_then(|it| it.from), namespaces.and_then(|it| it.selector.as_ref())) {
        (None | Some(FromNamespaces::Same), _) => vec![own.to_owned()],
        (Some(FromNamespaces::None), _) => Vec::new(),
        (Some(FromNamespaces::All), _) | (_, None) => vec!["*".to_owned()],
        (Some(FromNamespaces::Selector), Some(selector)) => {
            let chosen = world.namespaces().filter(|(_, labels)| selector.matches(labels));
            chosen.map(|(name, _)| name.to_owned()).collect()
        }
    }
}

fn check_shape(world: &World<'_>, class: Class, listener: &Listener) -> Option<Refusal> {
    let refuse = |message: String| Some(Refusal::new("UnsupportedProtocol", message));
    let protocol = listener.protocol.as_str();
    match protocol {
        "HTTP" | "HTTPS" | "TLS" | "TCP" => {}
        HBONE if class.is_tunnel() => {}
        HBONE => {
            return refuse(format!("protocol {protocol:?} is only supported for waypoint proxies"));
        }
        _ => {
            let upper = protocol.to_uppercase();
            return refuse(if PROTOCOLS.contains(&upper.as_str()) {
                format!(
                    "protocol {protocol:?} is unsupported. hint: {upper:?} (uppercase) may be supported"
                )
            } else {
                format!("protocol {protocol:?} is unsupported")
            });
        }
    }
    if matches!(protocol, "TLS" | "TCP") && !world.input.features.alpha {
        return refuse(format!(
            "protocol {protocol:?} is supported only with the alpha Gateway API"
        ));
    }
    if listener.port <= 0 {
        return refuse("the listener has no port, and none is chosen for it".to_owned());
    }
    misses_tls(listener).then(|| {
        Refusal::new(
            "UnsupportedProtocol",
            format!("protocol is {protocol} but no TLS section is defined"),
        )
    })
}

fn misses_tls(listener: &Listener) -> bool {
    matches!(listener.protocol.as_str(), "HTTPS" | "TLS") && listener.tls.is_none()
}

/// What is unusual about a listener of a proxy that speaks HBONE. It serves all the same.
fn unusual_tunnel(class: Class, listener: &Listener) -> Option<Refusal> {
    let expected = listener.port == HBONE_PORT && listener.protocol == HBONE;
    let terminates = listener.tls.as_ref().is_some_and(|it| it.mode != Some(TlsMode::Passthrough));
    let message = match class {
        Class::Waypoint if !expected => {
            r#"Expected a single listener on port 15008 with protocol "HBONE""#
        }
        Class::EastWest if !expected || !terminates => {
            r#"Expected a single listener on port 15008 with protocol "HBONE" and TLS.Mode == Terminate"#
        }
        _ => return None,
    };
    Some(Refusal::new("UnsupportedProtocol", message))
}

/// The kinds of routes that may attach to `listener`, and whether all that it asks for are among those possible.
pub(super) fn supported_kinds(listener: &Listener) -> (Vec<RouteKind>, bool) {
    let terminates = listener.tls.as_ref().is_some_and(|it| it.mode == Some(TlsMode::Terminate));
    let possible: &[RouteKind] = match listener.protocol.as_str() {
        "HTTP" | "HTTPS" => &[RouteKind::Http, RouteKind::Grpc],
        "TCP" => &[RouteKind::Tcp],
        "TLS" if terminates => &[RouteKind::Tls, RouteKind::Tcp],
        "TLS" => &[RouteKind::Tls],
        _ => &[],
    };
    let wanted = listener.allowed_routes.as_ref().map(|it| it.kinds.as_slice()).unwrap_or_default();
    if wanted.is_empty() {
        return (possible.to_vec(), true);
    }
    let is_wanted = |kind: &RouteKind| wanted.iter().any(|it| means(it, *kind));
    let supported: Vec<_> = possible.iter().copied().filter(is_wanted).collect();
    let all_known = supported.len() == wanted.len();
    (supported, all_known)
}

fn means(written: &RouteGroupKind, kind: RouteKind) -> bool {
    written.kind == kind.name()
        && written.group.as_deref().is_none_or(|group| group == RouteKind::GROUP)
}

impl Verdict {
    /// The entry of this listener in a status whose entries are `existing`.
    pub(super) fn write(&self, report: Report, existing: &Value, attached: usize) -> Value {
        let before =
            existing.as_array().into_iter().flatten().find(|it| it["name"] == self.name.as_str());
        let before = before.map_or(&Value::Null, |it| &it["conditions"]);
        let kinds: Vec<_> = self
            .supported
            .iter()
            .map(|it| json!({"group": RouteKind::GROUP, "kind": it.name()}))
            .collect();
        json!({
            "name": self.name,
            "attachedRoutes": attached,
            "supportedKinds": kinds,
            "conditions": report.merge(before, self.conditions.clone()),
        })
    }
}
