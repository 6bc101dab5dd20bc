//! xxHash64, the hash that Envoy's consistent hashing is built on; and a quicker one for tables.
//!
//! Tables are filled from configuration and only looked up with what clients send, so that a keyed hash is not needed.

use std::hash::{BuildHasher, Hasher};

const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

/// xxHash64 of `bytes`.
pub(crate) fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    let (stripes, rest) = bytes.as_chunks::<32>();
    let mut hash =
        if stripes.is_empty() { seed.wrapping_add(PRIME_5) } else { stripe_hash(stripes, seed) };
    hash = hash.wrapping_add(bytes.len() as u64);
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
    }
    for &byte in rest {
        hash ^= u64::from(byte).wrapping_mul(PRIME_5);
        hash = hash.rotate_left(11).wrapping_mul(PRIME_1);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(PRIME_2);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(PRIME_3);
    hash ^ (hash >> 32)
}

fn stripe_hash(stripes: &[[u8; 32]], seed: u64) -> u64 {
    let mut lanes = [
        seed.wrapping_add(PRIME_1).wrapping_add(PRIME_2),
        seed.wrapping_add(PRIME_2),
        seed,
        seed.wrapping_sub(PRIME_1),
    ];
    for stripe in stripes {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let mut hash = lanes
        .iter()
        .zip([1, 7, 12, 18])
        .fold(0_u64, |hash, (lane, turn)| hash.wrapping_add(lane.rotate_left(turn)));
    for lane in lanes {
        hash = (hash ^ round(0, lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
    }
    hash
}

const fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

/// Hashes the keys of tables, which are short: one multiplication for eight bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextHash;

impl BuildHasher for TextHash {
    type Hasher = TextHasher;

    fn build_hasher(&self) -> TextHasher {
        TextHasher(PRIME_5)
    }
}

/// The state of [`TextHash`].
#[derive(Debug)]
pub struct TextHasher(u64);

impl Hasher for TextHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if rest.is_empty() {
            return;
        }
        let last = match bytes.last_chunk::<8>() {
            // Some bytes a second time: that is quicker than to look at each.
            Some(last) => u64::from_le_bytes(*last),
            None => rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        // Texts of which one begins the other are told apart by their lengths.
        self.write_u64(last ^ (bytes.len() as u64) << 56);
    }

    // Lengths and discriminants, which come with every text.
    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    /// Both halves of the product: each bit of the value has its way into all of the hash.
    #[inline]
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value) * u128::from(PRIME_1);
        self.0 = (product as u64 ^ (product >> 64) as u64).wrapping_add(PRIME_3);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference_implementation() {
        let check = |text: &str, seed: u64, expected: u64| {
            assert_eq!(xxh64(text.as_bytes(), seed), expected, "{text:?}")
        };
        check("", 0, 0xEF46_DB37_51D8_E999);
        check("a", 0, 0xD24E_C4F1_A98C_6E5B);
        check("abc", 0, 0x44BC_2CF5_AD77_0999);
        check("message digest", 0, 0x066E_D728_FCEE_B3BE);
        check("abcdefghijklmnopqrstuvwxyz", 0, 0xCFE1_F278_FA89_835C);
        check(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            0,
            0xAAA4_6907_D304_7814,
        );
        check("Nobody inspects the spammish repetition", 0, 0xFBCE_A83C_8A37_8BF1);
    }

    #[test]
    fn keys_of_tables_spread_over_all_bits() {
        let hash = |text: &str| TextHash.hash_one(text.as_bytes());
        let names: Vec<String> =
            (0..4096).map(|it| format!("outbound|80|v{it}|web.test")).collect();
        for shift in [0, 26, 52] {
            let mut filled = vec![0_u32; 4096];
            names.iter().for_each(|name| filled[(hash(name) >> shift) as usize % 4096] += 1);
            // Thrown at random, so many are alone or with a few: more than ten in one place have a chance below 1e-4.
            assert!(filled.iter().all(|&count| count <= 10), "{shift}");
            assert!(filled.iter().filter(|&&count| count == 0).count() < 1800, "{shift}");
        }
        let differs =
            |one: &str, other: &str| assert_ne!(hash(one), hash(other), "{one:?} {other:?}");
        differs("", "\0");
        differs("\0", "\0\0");
        differs("abcdefgh", "abcdefghh");
    }
}
