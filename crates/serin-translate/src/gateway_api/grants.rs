//! ReferenceGrants: which objects may be referred to from other namespaces.

use std::collections::HashMap;
use std::sync::Arc;

use serin_api::Object;
use serin_api::gateway_api::ReferenceGrant;

/// API group and kind.
pub(crate) type GroupKind<'a> = (&'a str, &'a str);

/// Who refers, and what kind of object in which namespace is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pair<'a> {
    from: GroupKind<'a>,
    from_namespace: &'a str,
    to: GroupKind<'a>,
    to_namespace: &'a str,
}

/// All grants, by who refers to what.
#[derive(Default)]
pub(crate) struct Grants<'a>(HashMap<Pair<'a>, Vec<Option<&'a str>>>);

impl<'a> Grants<'a> {
    pub(crate) fn new(objects: &'a [Arc<Object<ReferenceGrant>>]) -> Self {
        let mut grants: HashMap<_, Vec<_>> = HashMap::new();
        for object in objects {
            for from in &object.spec.from {
                for to in &object.spec.to {
                    let pair = Pair {
                        from: (&from.group, &from.kind),
                        from_namespace: &from.namespace,
                        to: (&to.group, &to.kind),
                        to_namespace: &object.meta.namespace,
                    };
                    grants.entry(pair).or_default().push(to.name.as_deref());
                }
            }
        }
        Self(grants)
    }

    /// Whether an object of kind `from` in `from_namespace` may refer to `name` of kind `to` in `to_namespace`. Within a
    /// namespace everything may.
    pub(crate) fn allow(
        &self,
        (from, from_namespace): (GroupKind<'_>, &str),
        (to, to_namespace): (GroupKind<'_>, &str),
        name: &str,
    ) -> bool {
        if from_namespace == to_namespace {
            return true;
        }
        let pair = Pair { from, from_namespace, to, to_namespace };
        self.0
            .get(&pair)
            .is_some_and(|names| names.iter().any(|granted| granted.is_none_or(|it| it == name)))
    }
}
