//! Listeners of one Gateway, its own and those of ListenerSets, that cannot exist beside each other.
//!
//! The Gateway's own listeners come first, then those of ListenerSets by age, then name. A listener that clashes with an
//! earlier one loses, and a loser is in nobody's way.

use std::collections::BTreeMap;

use serin_api::gateway_api::Listener;

use super::parent::ParentKey;

/// Why each losing listener loses, by the object it stands in and its name.
pub(super) type Conflicts = BTreeMap<(ParentKey, String), &'static str>;

/// The losers among `listeners`, which are in order of precedence.
pub(super) fn find<'a>(
    listeners: impl Iterator<Item = (&'a ParentKey, &'a Listener)>,
) -> Conflicts {
    let mut winners: Vec<&Listener> = Vec::new();
    let mut losers = Conflicts::new();
    for (owner, listener) in listeners {
        match winners.iter().find_map(|winner| clash(listener, winner)) {
            Some(reason) => {
                losers.insert((owner.clone(), listener.name.clone()), reason);
            }
            None => winners.push(listener),
        }
    }
    losers
}

#[derive(PartialEq, Eq)]
enum Layer<'a> {
    /// TCP and UDP: one listener takes the whole port.
    Transport,
    /// Protocols that know the host: HTTP, HTTPS, TLS.
    Host,
    Other(&'a str),
}

fn layer(listener: &Listener) -> Layer<'_> {
    match listener.protocol.as_str() {
        "TCP" | "UDP" => Layer::Transport,
        "HTTP" | "HTTPS" | "TLS" => Layer::Host,
        other => Layer::Other(other),
    }
}

fn clash(one: &Listener, other: &Listener) -> Option<&'static str> {
    if one.port != other.port {
        return None;
    }
    let hostname =
        |it: &Listener| it.hostname.clone().filter(|name| !name.is_empty() && name != "*");
    match (layer(one), layer(other)) {
        (Layer::Transport, Layer::Transport | Layer::Host) | (Layer::Host, Layer::Transport) => {
            Some("ProtocolConflict")
        }
        (Layer::Host, Layer::Host) if hostname(one) != hostname(other) => None,
        (Layer::Host, Layer::Host) if one.protocol != other.protocol => Some("ProtocolConflict"),
        (Layer::Host, Layer::Host) => Some("HostnameConflict"),
        (one, other) if one == other => Some("HostnameConflict"),
        _ => None,
    }
}
