//! Cohorts: a session's place in a release, kept while the weight grows.
//!
//! Without a cohort the weights of a route are drawn at random for each request, as Istio does, and a session can go
//! back and forth between versions. With one, a hash of the session puts it at a place in [0, 100) that is its own for
//! the whole rollout, and the destinations divide that line.
//!
//! What the session is (a cookie, a header) is looked up by the caller; a request that has none is drawn at random.

use std::sync::Arc;

use serde::Serialize;

use crate::hash::xxh64;

/// Where a route finds the session, and which rollout it belongs to. Opt-in; without it weights are drawn at random
/// for each request as Istio does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cohort {
    /// Names the rollout: sessions are placed anew for another one.
    pub rollout: Arc<str>,
    /// What identifies a session, tried in order.
    pub keys: Vec<Key>,
}

/// A part of the request that identifies a session.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Key {
    /// The value of a cookie.
    Cookie(Arc<str>),
    /// The value of a header, lower-case name.
    Header(Arc<str>),
    /// The client's address.
    SourceAddress,
}

/// More keys than this would be looked for in every request.
const MAX_KEYS: usize = 8;

impl Key {
    /// Keys as people write them: `cookie:session, header:x-user, client`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let keys: Vec<Self> =
            text.split(',').map(|part| Self::one(part.trim())).collect::<Result<_, _>>()?;
        if keys.len() > MAX_KEYS {
            let count = keys.len();
            return Err(format!("{count} keys are too many: at most {MAX_KEYS} are looked for"));
        }
        Ok(keys)
    }

    fn one(text: &str) -> Result<Self, String> {
        let is_token = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        match text.split_once(':') {
            Some(("cookie", name)) if is_token(name) => Ok(Self::Cookie(name.into())),
            Some(("header", name)) if is_token(name) => {
                Ok(Self::Header(name.to_ascii_lowercase().into()))
            }
            None if text == "client" => Ok(Self::SourceAddress),
            _ => Err(format!(
                "{text:?} names no key of a session: write cookie:NAME, header:NAME or client (the client's address)"
            )),
        }
    }
}

impl Cohort {
    /// The place of a session in this rollout: the same in every proxy, and independent of its place in others.
    pub fn place(&self, session: &[u8]) -> Place {
        Place(xxh64(session, xxh64(self.rollout.as_bytes(), 0)))
    }
}

/// A place on the line that destinations divide among themselves, in parts of 2^-64 of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

impl Place {
    /// The place in percent, in [0, 100).
    pub fn percent(self) -> f64 {
        // Without the bits that a float cannot hold, which would round the last places up to 100.
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64 * 100.0
    }

    /// The ticket for [`Destinations::at`](crate::model::Destinations::at) of destinations whose weights sum up to
    /// `total_weight`; 0 if that is 0.
    ///
    /// The line is divided from the end of the list, so that with a primary and, last, a canary, the canary has the
    /// sessions at places below its weight. A session only ever moves from a destination to a later one in the list as
    /// long as for each destination the share of it and those behind it does not shrink: raising the canary's weight
    /// moves no session back, and taking the weight away moves all of them.
    pub fn ticket(self, total_weight: u64) -> u64 {
        let from_end = (u128::from(self.0) * u128::from(total_weight)) >> 64;
        // Less than the total, by the shift.
        total_weight.saturating_sub(1).saturating_sub(from_end as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Destination, Destinations};

    fn cohort(rollout: &str) -> Cohort {
        Cohort { rollout: rollout.into(), keys: vec![Key::Cookie("session".into())] }
    }

    fn destinations(weights: &[u32]) -> Destinations {
        let destination =
            |(index, &weight): (usize, &u32)| Destination::new(index.to_string().into(), weight);
        Destinations::new(weights.iter().enumerate().map(destination).collect())
    }

    fn destination_of(destinations: &Destinations, place: Place) -> usize {
        let chosen = destinations.at(place.ticket(destinations.total_weight())).unwrap();
        chosen.cluster.parse().unwrap()
    }

    #[test]
    fn a_session_goes_to_the_canary_iff_its_place_is_below_the_weight() {
        let cohort = cohort("reviews-v2");
        for weight in [0, 1, 10, 50, 99, 100] {
            let destinations = destinations(&[100 - weight, weight]);
            for session in 0..1000 {
                let place = cohort.place(format!("session-{session}").as_bytes());
                let canary = destination_of(&destinations, place) == 1;
                assert_eq!(
                    canary,
                    place.percent() < f64::from(weight),
                    "{session} at {place:?}, {weight} %"
                );
            }
        }
    }

    #[test]
    fn sessions_spread_evenly_and_anew_for_each_rollout() {
        let (first, second) = (cohort("reviews-v2"), cohort("reviews-v3"));
        let sessions: Vec<String> =
            (0..10_000).map(|session| format!("session-{session}")).collect();
        let below = |cohort: &Cohort, limit: f64| {
            sessions
                .iter()
                .filter(|session| cohort.place(session.as_bytes()).percent() < limit)
                .count()
        };
        for percent in [1, 10, 50, 90] {
            let count = below(&first, f64::from(percent));
            assert!(
                count.abs_diff(percent as usize * 100) < 150,
                "{count} sessions below {percent} %"
            );
        }
        let both = sessions.iter().filter(|session| {
            let session = session.as_bytes();
            first.place(session).percent() < 50.0 && second.place(session).percent() < 50.0
        });
        assert!(
            both.count().abs_diff(2500) < 200,
            "the places of two rollouts depend on each other"
        );
    }

    proptest! {
        #[test]
        fn raising_the_last_weights_moves_no_session_back(
            before in prop::collection::vec(0_u32..50, 2..5),
            moves in prop::collection::vec((0_usize..4, 1_usize..4, 1_u32..20), 1..5),
            places in prop::collection::vec(any::<u64>(), 50),
        ) {
            prop_assume!(before.iter().any(|&weight| weight > 0));
            // Each move takes weight from a destination for a later one.
            let mut after = before.clone();
            for (from, step, weight) in moves {
                let from = from % after.len();
                let to = (from + step).min(after.len() - 1);
                let weight = weight.min(after[from]);
                after[from] -= weight;
                after[to] += weight;
            }
            let (before, after) = (destinations(&before), destinations(&after));
            for place in places.into_iter().map(Place) {
                prop_assert!(destination_of(&before, place) <= destination_of(&after, place));
            }
        }

        #[test]
        fn every_place_falls_on_a_destination_in_proportion(weights in prop::collection::vec(0_u32..30, 1..6)) {
            let destinations = destinations(&weights);
            let total = destinations.total_weight();
            prop_assume!(total > 0);
            // Walk the line in steps of one share: the middle of each share is one ticket, and no ticket is left out.
            let mut tickets: Vec<u64> = (0..total)
                .map(|share| Place((((u128::from(share) * 2 + 1) << 63) / u128::from(total)) as u64).ticket(total))
                .collect();
            tickets.sort_unstable();
            prop_assert_eq!(tickets, (0..total).collect::<Vec<_>>());
        }

        #[test]
        fn weights_are_conserved(weights in prop::collection::vec(0_u32..30, 1..6)) {
            let destinations = destinations(&weights);
            let mut counts = vec![0; weights.len()];
            for ticket in 0..destinations.total_weight() {
                let index: usize = destinations.at(ticket).unwrap().cluster.parse().unwrap();
                counts[index] += 1;
            }
            // One destination alone has everything; of several, those without weight nothing.
            let expect = if weights.len() == 1 { vec![weights[0].max(1)] } else { weights };
            prop_assert_eq!(counts, expect);
            prop_assert!(destinations.at(destinations.total_weight()).is_none());
        }
    }

    #[test]
    fn no_destinations_have_no_ticket_to_fall_on() {
        let none = destinations(&[0, 0]);
        assert_eq!(Place(u64::MAX).ticket(none.total_weight()), 0);
        assert!(none.at(0).is_none());
    }
}
