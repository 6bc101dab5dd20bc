//! The annotations by which the author of a VirtualService asks that sessions keep their version while weights change.
//!
//! ```yaml
//! metadata:
//!   annotations:
//!     serin.dev/cohort: cookie:session, header:x-user, client
//!     serin.dev/rollout: reviews-v2     # the default is the object's namespace and name
//! ```
//!
//! A session is what the first of the keys that a request has says; a request with none of them is drawn at random, as
//! Istio draws every request. Without the annotation nothing differs from Istio.

use std::sync::Arc;

use serin_api::{FieldPath, Finding, Meta, ObjectRef};
use serin_routing::cohort::{Cohort, Key};

use crate::codes::COHORT_UNUSABLE;

/// Names the keys of sessions, tried in order.
const KEYS: &str = "serin.dev/cohort";
/// Names the rollout: with another name sessions are placed anew.
const ROLLOUT: &str = "serin.dev/rollout";

/// What the annotations ask for.
pub(super) fn cohort(object: &ObjectRef, meta: &Meta) -> Result<Option<Cohort>, Box<Finding>> {
    let Some(text) = meta.annotations.get(KEYS) else { return Ok(None) };
    let keys = Key::list(text).map_err(|why| {
        let field = FieldPath::root().key("metadata").key("annotations").key(KEYS);
        Box::new(COHORT_UNUSABLE.finding(object, field, why))
    })?;
    let rollout = match meta.annotations.get(ROLLOUT) {
        Some(name) => Arc::from(name.as_str()),
        None => Arc::from(format!("{}/{}", object.namespace, object.name)),
    };
    Ok(Some(Cohort { rollout, keys }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(annotations: &[(&str, &str)]) -> Result<Option<Cohort>, String> {
        let object = ObjectRef {
            api_version: "networking.istio.io/v1".to_owned(),
            kind: "VirtualService".to_owned(),
            namespace: "shop".to_owned(),
            name: "cart".to_owned(),
        };
        let annotations =
            annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let meta = Meta { annotations: annotations.collect(), ..Meta::default() };
        cohort(&object, &meta).map_err(|finding| finding.message)
    }

    #[test]
    fn without_the_annotation_requests_are_drawn_as_istio_draws_them() {
        assert_eq!(asked(&[("serin.dev/rollout", "x")]), Ok(None));
    }

    #[test]
    fn keys_are_tried_in_the_order_written() {
        let cohort = asked(&[(KEYS, "cookie:session, header:X-User,client")]).unwrap().unwrap();
        assert_eq!(&*cohort.rollout, "shop/cart");
        assert_eq!(
            cohort.keys,
            [Key::Cookie("session".into()), Key::Header("x-user".into()), Key::SourceAddress]
        );
        let named = asked(&[(KEYS, "client"), (ROLLOUT, "second")]).unwrap().unwrap();
        assert_eq!(&*named.rollout, "second");
    }

    #[test]
    fn what_names_no_key_is_told() {
        for text in ["", "cookie", "cookie:", "cookie:a b", "query:x", "client:1"] {
            assert!(asked(&[(KEYS, text)]).unwrap_err().contains("names no key"), "{text}");
        }
        assert!(asked(&[(KEYS, &["client"; 9].join(","))]).unwrap_err().contains("too many"));
    }
}
