//! Consistent hashing: tables that lead a hash to an endpoint so that most hashes keep theirs when endpoints come and go.
//! The algorithms, and so the choices, are Envoy's.

use crate::hash::xxh64;

/// The most points of a ring (Envoy's `maximum_ring_size`).
const MAX_RING_SIZE: f64 = (8 * 1024 * 1024) as f64;

/// An endpoint as tables see it.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'e> {
    pub(super) index: u32,
    /// What identifies it: its address.
    pub(super) key: &'e str,
    /// Its share; those of a table add up to 1.
    pub(super) weight: f64,
}

/// A table of endpoints by hash.
#[derive(Debug)]
pub(super) enum Table {
    /// Points in order of their hash; a hash belongs to the first point that is not before it.
    Ring(Box<[(u64, u32)]>),
    /// One endpoint for each remainder of the hash.
    Maglev(Box<[u32]>),
}

impl Table {
    /// Ketama: each endpoint has as many points as its weight is worth, the least at least one.
    pub(super) fn ring(candidates: &[Candidate<'_>], minimum_size: u64) -> Self {
        let least = candidates.iter().map(|candidate| candidate.weight).fold(1.0, f64::min);
        // The endpoint of the least weight has a whole number of points; others are rounded by running sums.
        let scale = ((least * minimum_size as f64).ceil() / least).min(MAX_RING_SIZE);
        let mut points = Vec::with_capacity(scale.ceil() as usize);
        let mut target = 0.0;
        let mut text = String::new();
        for candidate in candidates {
            target += scale * candidate.weight;
            text.clear();
            text.push_str(candidate.key);
            text.push('_');
            let stem = text.len();
            let mut number = 0_u32;
            while (points.len() as f64) < target {
                text.truncate(stem);
                push_number(&mut text, number);
                points.push((xxh64(text.as_bytes(), 0), candidate.index));
                number += 1;
            }
        }
        points.sort_by_key(|point| point.0);
        Self::Ring(points.into())
    }

    /// Maglev: endpoints take turns to take the next free place of a permutation of their own, the heavier more often.
    pub(super) fn maglev(candidates: &[Candidate<'_>], size: u64) -> Self {
        const FREE: u32 = u32::MAX;
        let size = size.max(2);
        let largest = candidates.iter().map(|candidate| candidate.weight).fold(0.0, f64::max);
        let mut builders: Vec<_> = candidates
            .iter()
            .map(|candidate| MaglevBuilder {
                place: xxh64(candidate.key.as_bytes(), 0) % size,
                step: xxh64(candidate.key.as_bytes(), 1) % (size - 1) + 1,
                target: 0.0,
            })
            .collect();
        let mut places = vec![FREE; if candidates.is_empty() { 0 } else { size as usize }];
        let mut free = places.len();
        let mut round = 1.0;
        while free > 0 {
            for (builder, candidate) in builders.iter_mut().zip(candidates) {
                if free == 0 {
                    break;
                }
                // One of the largest weight takes a place each round, one of a third of it every third round.
                if round * candidate.weight < builder.target {
                    continue;
                }
                builder.target += largest;
                while places[builder.place as usize] != FREE {
                    builder.advance(size);
                }
                places[builder.place as usize] = candidate.index;
                builder.advance(size);
                free -= 1;
            }
            round += 1.0;
        }
        Self::Maglev(places.into())
    }

    /// The endpoint of a hash; a later attempt may lead to another one.
    pub(super) fn choose(&self, hash: u64, attempt: u32) -> Option<u32> {
        match self {
            Self::Ring(points) if points.is_empty() => None,
            Self::Ring(points) => {
                let point = points.partition_point(|point| point.0 < hash);
                Some(points[(point % points.len() + attempt as usize) % points.len()].1)
            }
            Self::Maglev(places) if places.is_empty() => None,
            Self::Maglev(places) => {
                let hash =
                    if attempt == 0 { hash } else { hash ^ (u64::MAX - u64::from(attempt) + 1) };
                Some(places[(hash % places.len() as u64) as usize])
            }
        }
    }
}

struct MaglevBuilder {
    place: u64,
    step: u64,
    target: f64,
}

impl MaglevBuilder {
    fn advance(&mut self, size: u64) {
        self.place = (self.place + self.step) % size;
    }
}

/// Appends a number in decimal.
fn push_number(text: &mut String, number: u32) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates<'e>(keys: &'e [String], weights: &[u32]) -> Vec<Candidate<'e>> {
        let total: u32 = weights.iter().sum();
        let candidate = |(index, (key, &weight)): (usize, (&'e String, &u32))| Candidate {
            index: index as u32,
            key,
            weight: f64::from(weight) / f64::from(total),
        };
        keys.iter().zip(weights).enumerate().map(candidate).collect()
    }

    fn addresses(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("10.0.0.{index}:8080")).collect()
    }

    fn shares(table: &Table, count: usize) -> Vec<u32> {
        let mut shares = vec![0; count];
        for hash in 0..100_000_u64 {
            shares[table.choose(xxh64(&hash.to_le_bytes(), 0), 0).unwrap() as usize] += 1;
        }
        shares
    }

    /// Builds a table of each kind.
    fn tables(candidates: &[Candidate<'_>]) -> [Table; 2] {
        [Table::ring(candidates, 1024), Table::maglev(candidates, 65_537)]
    }

    #[test]
    fn the_ring_has_at_least_its_minimum_of_points_and_whole_ones_for_the_lightest() {
        let points = |weights: &[u32], minimum| {
            let keys = addresses(weights.len());
            let Table::Ring(points) = Table::ring(&candidates(&keys, weights), minimum) else {
                unreachable!()
            };
            let mut counts = vec![0; weights.len()];
            for point in &points {
                counts[point.1 as usize] += 1;
            }
            counts
        };
        assert_eq!(points(&[1], 1024), [1024]);
        assert_eq!(points(&[1, 1, 1], 1024), [342, 342, 342]);
        assert_eq!(points(&[1, 2, 3], 12), [2, 4, 6]);
        assert_eq!(points(&[1, 1, 1], 1), [1, 1, 1]);
        assert_eq!(points(&[], 1024), [0; 0]);
    }

    #[test]
    fn the_ring_is_made_of_the_hashes_of_numbered_addresses() {
        let keys = addresses(1);
        let table = Table::ring(&candidates(&keys, &[1]), 4);
        let mut expect: Vec<_> =
            (0..4).map(|number| xxh64(format!("10.0.0.0:8080_{number}").as_bytes(), 0)).collect();
        expect.sort_unstable();
        let Table::Ring(points) = table else { unreachable!() };
        assert_eq!(points.iter().map(|point| point.0).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn a_hash_belongs_to_the_next_point_and_after_the_last_to_the_first() {
        let ring = Table::Ring([(10, 0), (20, 1), (30, 2)].into());
        for (hash, expect) in [(0, 0), (10, 0), (11, 1), (20, 1), (30, 2), (31, 0), (u64::MAX, 0)] {
            assert_eq!(ring.choose(hash, 0), Some(expect), "{hash}");
        }
        assert_eq!([1, 2, 3].map(|attempt| ring.choose(11, attempt)), [Some(2), Some(0), Some(1)]);
    }

    #[test]
    fn places_are_in_proportion_to_weights() {
        let keys = addresses(4);
        let weights = [1, 2, 3, 4];
        let Table::Maglev(places) = Table::maglev(&candidates(&keys, &weights), 65_537) else {
            unreachable!()
        };
        for (index, weight) in weights.map(|weight| weight as usize).into_iter().enumerate() {
            let count = places.iter().filter(|place| **place == index as u32).count();
            assert!(
                count.abs_diff(65_537 * weight / 10) <= 4,
                "{count} places for weight {weight}"
            );
        }
        // The ring is coarser.
        let ring = shares(&Table::ring(&candidates(&keys, &weights), 1024), 4);
        for (share, weight) in ring.into_iter().zip([1, 2, 3, 4]) {
            assert!(
                share.abs_diff(10_000 * weight) < 2_500 * weight,
                "{share} of 100000 for weight {weight}"
            );
        }
    }

    #[test]
    fn no_endpoints_are_no_choice() {
        for table in tables(&[]) {
            assert_eq!(table.choose(1, 0), None);
        }
    }

    #[test]
    fn an_endpoint_that_goes_moves_few_hashes_but_its_own() {
        let keys = addresses(10);
        let all = candidates(&keys, &[1; 10]);
        let mut fewer = candidates(&keys[..9], &[1; 9]);
        fewer.reverse();
        fewer.sort_by_key(|candidate| candidate.index);
        for (before, after) in tables(&all).iter().zip(tables(&fewer)) {
            let moved = (0..10_000_u64).filter(|hash| {
                let hash = xxh64(&hash.to_le_bytes(), 0);
                let kept = before.choose(hash, 0);
                kept != Some(9) && after.choose(hash, 0) != kept
            });
            let moved = moved.count();
            // The ring gives each endpoint more points when there are fewer of them.
            assert!(moved < 1000, "{moved} of 10000 hashes moved without need");
        }
    }

    #[test]
    fn later_attempts_of_maglev_lead_elsewhere() {
        let keys = addresses(8);
        let table = Table::maglev(&candidates(&keys, &[1; 8]), 65_537);
        let elsewhere = (0..1000_u64).filter(|hash| {
            let hash = xxh64(&hash.to_le_bytes(), 0);
            table.choose(hash, 1) != table.choose(hash, 0)
        });
        assert!(elsewhere.count() > 800);
    }
}
