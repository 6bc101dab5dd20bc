//! Checksums of the ConfigMaps and Secrets that a workload uses: a change of theirs is a change of the workload.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// The annotation by which a ConfigMap or Secret is left out, with `disable` or `disabled`.
pub const TRACKING: &str = "flagger.app/config-tracking";

/// Whether changes of an object with these annotations are followed.
pub fn is_tracked(annotations: &BTreeMap<String, String>) -> bool {
    !annotations.get(TRACKING).is_some_and(|value| value.starts_with("disable"))
}

/// The checksum of a ConfigMap's or Secret's data: 16 hexadecimal digits. Of text alone it is what Flagger stores, so that
/// a Canary that changes hands begins no release; binary data counts too.
pub fn checksum(data: &BTreeMap<String, String>, binary: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    // Go writes an absent map as null.
    let json = |map: &BTreeMap<String, String>| {
        if map.is_empty() {
            "null".to_owned()
        } else {
            serde_json::to_string(map).unwrap_or_default()
        }
    };
    hash.update(json(data));
    if !binary.is_empty() {
        hash.update(json(binary));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn text_and_binary_data_both_count() {
        let none = map(&[]);
        let one = checksum(&map(&[("a", "1")]), &none);
        // The first half of SHA-256 of {"a":"1"}.
        assert_eq!((one.len(), one.as_str()), (16, "9afeb0f2b203f254"));
        assert_ne!(one, checksum(&map(&[("a", "2")]), &none));
        assert_ne!(one, checksum(&map(&[("a", "1")]), &map(&[("logo", "AAAA")])));
    }

    #[test]
    fn an_annotation_leaves_an_object_out() {
        assert!(is_tracked(&map(&[])) && is_tracked(&map(&[(TRACKING, "enabled")])));
        assert!(!is_tracked(&map(&[(TRACKING, "disabled")])));
    }
}
