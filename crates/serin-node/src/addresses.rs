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

    /// An address that is free.
    pub(crate) fn take(&mut self) -> Option<Ipv4Addr> {
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

    /// Takes an address that was given out before; whether it is free, and one of these.
    pub(crate) fn take_former(&mut self, former: Ipv4Addr) -> bool {
        let former = u32::from(former);
        (self.first..self.first.saturating_add(self.count)).contains(&former)
            && self.taken.insert(former)
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
        let ip = |last| Ipv4Addr::new(10, 0, 0, last);
        let mut all = Addresses::new((ip(0), 29));
        let mut take = || all.take().map(|ip| ip.octets()[3]);
        assert_eq!([take(), take()], [Some(2), Some(3)]);
        assert!(all.take_former(ip(5)));
        assert!(!all.take_former(ip(5)), "somebody has it");
        assert!(!all.take_former(Ipv4Addr::new(10, 9, 0, 5)), "it is of another network");
        let mut take = || all.take().map(|ip| ip.octets()[3]);
        assert_eq!([take(), take(), take()], [Some(4), Some(6), None]);
        all.give_back(ip(3));
        assert_eq!(all.take(), Some(ip(3)));
    }
}
