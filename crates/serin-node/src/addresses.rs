//! The addresses of pods: each is given out once, and a freed one comes last.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A network whose addresses are given out.
#[derive(Debug)]
pub(crate) struct Addresses {
    first: u32,
    count: u32,
    next: u32,
    taken: BTreeSet<u32>,
}

impl Addresses {
    /// The network; its first two addresses and its last one are left out.
    pub(crate) fn new((network, prefix): (Ipv4Addr, u8)) -> Self {
        let size = 1_u32.checked_shl(u32::from(32 - prefix.min(30))).unwrap_or(u32::MAX);
        Self {
            first: u32::from(network).saturating_add(2),
            count: size.saturating_sub(3),
            next: 0,
            taken: BTreeSet::new(),
        }
    }

    /// An address that is free: the one wanted, if it is.
    pub(crate) fn take(&mut self, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        if let Some(wanted) = wanted.map(u32::from)
            && (self.first..self.first.saturating_add(self.count)).contains(&wanted)
            && self.taken.insert(wanted)
        {
            return Some(wanted.into());
        }
        for step in 0..self.count {
            let place = self.next.wrapping_add(step) % self.count;
            let address = self.first + place;
            if self.taken.insert(address) {
                self.next = (place + 1) % self.count;
                return Some(address.into());
            }
        }
        None
    }

    /// Gives an address back.
    pub(crate) fn give_back(&mut self, address: Ipv4Addr) {
        self.taken.remove(&u32::from(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_once_and_come_round() {
        let mut all = Addresses::new((Ipv4Addr::new(10, 0, 0, 0), 29));
        let mut take = |wanted| all.take(wanted).map(|ip| ip.octets()[3]);
        assert_eq!([take(None), take(None)], [Some(2), Some(3)]);
        assert_eq!(take(Some(Ipv4Addr::new(10, 0, 0, 5))), Some(5));
        assert_eq!(take(Some(Ipv4Addr::new(10, 9, 0, 5))), Some(4));
        assert_eq!([take(None), take(None)], [Some(6), None]);
        all.give_back(Ipv4Addr::new(10, 0, 0, 3));
        assert_eq!(all.take(None), Some(Ipv4Addr::new(10, 0, 0, 3)));
    }
}
