//! Which of several weighted destinations a request or a connection goes to.

use std::net::IpAddr;

use rand_core::Rng;

use crate::cohort::{Cohort, Key, Place};
use crate::hash::xxh64;
use crate::model::{Destination, Destinations, Forward, TcpProxy};
use crate::request::{Request, cookie};

/// The number of a request's destination; `None` if there is none.
///
/// With a cohort, a session's place decides; a request of no session, and every request without a cohort, is drawn at
/// random.
pub(super) fn choose<R: Request>(
    forward: &Forward,
    request: &R,
    rng: &mut impl Rng,
) -> Option<usize> {
    let destinations = &forward.destinations;
    let total = destinations.total_weight();
    if destinations.list().len() <= 1 {
        return destinations.position(0);
    }
    let place = forward.cohort.as_ref().and_then(|cohort| place(cohort, request));
    let ticket = place.map_or_else(|| rng.next_u64() % total, |place| place.ticket(total));
    destinations.position(ticket)
}

/// The place of the request's session; `None` if it belongs to none.
pub(crate) fn place<R: Request>(cohort: &Cohort, request: &R) -> Option<Place> {
    with_session(&cohort.keys, request, |session| cohort.place(session))
}

/// A hash of the request's session: what the first of `keys` that it has says. `None` if it has none.
pub fn session<R: Request>(keys: &[Key], request: &R) -> Option<u64> {
    with_session(keys, request, |session| xxh64(session, 0))
}

fn with_session<R: Request, T>(keys: &[Key], request: &R, then: impl Fn(&[u8]) -> T) -> Option<T> {
    keys.iter().find_map(|key| match key {
        Key::Cookie(name) => cookie(request, name).map(&then),
        Key::Header(name) => request.header_values(name).next().map(&then),
        Key::SourceAddress => {
            let address = request.downstream().remote?;
            Some(AddressText::with(address.ip(), &then))
        }
    })
}

/// The destination of a connection of bytes; drawn once, when the connection is made.
pub fn tcp_destination<'m>(proxy: &'m TcpProxy, rng: &mut impl Rng) -> Option<&'m Destination> {
    let destinations: &Destinations = &proxy.destinations;
    match destinations.list() {
        [] => None,
        [only] => Some(only),
        _ => destinations.at(rng.next_u64() % destinations.total_weight()),
    }
}

/// An IP address as text, on the stack.
pub(super) struct AddressText {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl AddressText {
    /// Enough for the longest IPv6 address, also with a port.
    const CAPACITY: usize = 64;

    /// Hands the text of an address to `then`.
    pub(super) fn with<T>(address: IpAddr, then: impl FnOnce(&[u8]) -> T) -> T {
        use std::fmt::Write;

        let mut text = Self { bytes: [0; Self::CAPACITY], length: 0 };
        let written = write!(text, "{address}");
        debug_assert!(written.is_ok(), "an address is shorter than {}", Self::CAPACITY);
        then(&text.bytes[..text.length])
    }
}

impl std::fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
