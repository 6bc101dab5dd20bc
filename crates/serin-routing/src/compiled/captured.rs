//! Which listener gets a connection that was captured, by the address and port that it was meant for.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::model::{Bind, ByName, Direction, Listener};

/// The listeners without sockets of their own, by what they stand for.
#[derive(Debug)]
pub(super) struct Captured {
    exact: HashMap<(Direction, IpAddr, u16), Arc<Listener>>,
    /// Those for any address.
    of_port: HashMap<(Direction, u16), Arc<Listener>>,
}

impl Captured {
    pub(super) fn of(listeners: &ByName<Listener>) -> Self {
        let mut captured = Self { exact: HashMap::new(), of_port: HashMap::new() };
        // Of those that stand for the same the first is taken, as where they are looked for one by one.
        for listener in listeners.values().rev().filter(|it| it.bind != Bind::Capture) {
            let Listener { direction, address, port, .. } = **listener;
            let listener = Arc::clone(listener);
            if address.is_unspecified() {
                captured.of_port.insert((direction, port), listener);
            } else {
                captured.exact.insert((direction, address, port), listener);
            }
        }
        captured
    }

    /// The listener for an exact address before that for all addresses (Istio's `virtualOutbound`); `None` if there is neither.
    pub(super) fn find(&self, direction: Direction, meant: SocketAddr) -> Option<&Arc<Listener>> {
        let (address, port) = (meant.ip().to_canonical(), meant.port());
        let exact = self.exact.get(&(direction, address, port));
        exact.or_else(|| self.of_port.get(&(direction, port)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use crate::connection::listener;
    use crate::model::Inspect;

    fn listening(address: &str, port: u16, bind: Bind) -> Arc<Listener> {
        Arc::new(Listener {
            name: format!("{address}_{port}").into(),
            address: address.parse().unwrap(),
            port,
            bind,
            direction: Direction::Outbound,
            inspect: Inspect::default(),
            filter_chains: Vec::new(),
            default_filter_chain: None,
        })
    }

    #[test]
    fn an_exact_address_wins_over_all_addresses_and_both_over_the_capturing_listener() {
        let listeners = [
            listening("0.0.0.0", 80, Bind::Captured),
            listening("10.96.0.7", 80, Bind::Captured),
            listening("10.96.0.8", 90, Bind::Captured),
            listening("0.0.0.0", 15001, Bind::Capture),
        ];
        let listeners: ByName<Listener> =
            listeners.into_iter().map(|it| (Arc::clone(&it.name), it)).collect();
        let model = Model { listeners, ..Model::default() };
        let captured = Captured::of(&model.listeners);
        let check = |meant: &str, expect: Option<&str>| {
            let meant: SocketAddr = meant.parse().unwrap();
            let found = captured.find(Direction::Outbound, meant);
            assert_eq!(found.map(|it| &*it.name), expect, "{meant}");
            // The same as by looking at one after the other.
            let slow =
                listener(&model, Direction::Outbound, meant.ip().to_canonical(), meant.port());
            assert_eq!(slow.map(|it| &*it.name), expect.or(Some("0.0.0.0_15001")), "{meant}");
        };
        check("10.96.0.7:80", Some("10.96.0.7_80"));
        check("[::ffff:10.96.0.7]:80", Some("10.96.0.7_80"));
        check("10.96.0.8:80", Some("0.0.0.0_80"));
        check("10.96.0.8:90", Some("10.96.0.8_90"));
        check("10.96.0.7:90", None);
        check("10.96.0.7:15001", None);
    }
}
