//! Names of versions: a short hash of what a workload's pods are made of.

use serde::Serialize;

/// The letters of names that are made: no vowels, so that no words come about, and nothing that looks like another.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a template, in the form of the label `pod-template-hash`. `collisions` makes it another one where another
/// template had the same.
pub(crate) fn of(template: &impl Serialize, collisions: Option<i32>) -> String {
    // Maps in these types are ordered, so the text is the same for the same template. Writing it cannot fail.
    let text = serde_json::to_vec(template).unwrap_or_default();
    let mut hash = fnv(0x811c_9dc5, &text);
    if let Some(collisions) = collisions {
        hash = fnv(hash, &collisions.to_le_bytes());
    }
    let digits = format!("{hash:010}");
    digits.bytes().map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()])).collect()
}

/// FNV-1a, 32 bits.
fn fnv(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_the_template_and_the_collisions() {
        let first = of(&"a", None);
        assert_eq!(first, of(&"a", None));
        assert_ne!(first, of(&"b", None));
        assert_ne!(first, of(&"a", Some(1)));
        assert_eq!(first.len(), 10);
    }
}
