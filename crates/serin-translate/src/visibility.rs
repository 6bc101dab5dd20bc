//! Which namespaces may see an object (`exportTo`).
//!
//! `*` is every namespace, `.` the object's own, `~` none; anything else names a namespace. Public wins over none, none over
//! the rest (`push_context.go`, `initServiceRegistry` and its likes).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The namespaces that see an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// All of them.
    Public,
    /// These; none at all if empty.
    Namespaces(BTreeSet<Arc<str>>),
}

impl Visibility {
    /// What `export_to` of an object in `namespace` means. An empty list stands for `default`, the mesh's list for the kind,
    /// of which only `.` and `*` count; an empty default is `*`.
    pub fn new(export_to: &[String], namespace: &str, default: &[String]) -> Self {
        let has = |list: &[String], sign: &str| list.iter().any(|entry| entry == sign);
        if export_to.is_empty() {
            return match default {
                [] => Self::Public,
                list if has(list, ".") => Self::only(namespace),
                list if has(list, "*") => Self::Public,
                _ => Self::nobody(),
            };
        }
        if has(export_to, "*") {
            Self::Public
        } else if has(export_to, "~") {
            Self::nobody()
        } else {
            let name =
                |entry: &String| Arc::from(if entry == "." { namespace } else { entry.as_str() });
            Self::Namespaces(export_to.iter().map(name).collect())
        }
    }

    /// Seen in one namespace only.
    pub fn only(namespace: &str) -> Self {
        Self::Namespaces(BTreeSet::from([Arc::from(namespace)]))
    }

    /// Seen nowhere.
    pub const fn nobody() -> Self {
        Self::Namespaces(BTreeSet::new())
    }

    /// Whether objects and proxies of `namespace` see the object.
    pub fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::Public => true,
            Self::Namespaces(list) => list.contains(namespace),
        }
    }

    /// Whether the object is seen in `namespace` and nowhere else.
    pub fn is_private_to(&self, namespace: &str) -> bool {
        matches!(self, Self::Namespaces(list) if list.len() == 1 && list.contains(namespace))
    }
}

/// Objects by the namespaces that see them, each list in the order in which objects were added.
#[derive(Clone, Debug)]
pub struct VisibilityIndex<T> {
    all: Vec<T>,
    public: Vec<usize>,
    /// Objects that their own namespace sees.
    own: HashMap<Arc<str>, Vec<usize>>,
    /// Objects that were made visible to a namespace by its name.
    exported: HashMap<Arc<str>, Vec<usize>>,
}

impl<T> Default for VisibilityIndex<T> {
    fn default() -> Self {
        Self { all: Vec::new(), public: Vec::new(), own: HashMap::new(), exported: HashMap::new() }
    }
}

impl<T> VisibilityIndex<T> {
    /// Adds an object of `namespace`.
    pub fn add(&mut self, object: T, namespace: &str, visibility: &Visibility) {
        let position = self.all.len();
        self.all.push(object);
        match visibility {
            Visibility::Public => self.public.push(position),
            Visibility::Namespaces(list) => {
                for seer in list {
                    let map = if **seer == *namespace { &mut self.own } else { &mut self.exported };
                    map.entry(Arc::clone(seer)).or_default().push(position);
                }
            }
        }
    }

    /// Every object, whoever sees it, in the order of adding.
    pub fn all(&self) -> &[T] {
        &self.all
    }

    /// The objects that `namespace` sees in istiod's order of preference: narrow ones, then public ones.
    pub fn seen_by(&self, namespace: &str) -> impl Iterator<Item = &T> {
        self.narrow(namespace).chain(self.public())
    }

    /// The objects that `namespace` sees and not every other: its own private ones, then those exported to it by name.
    pub fn narrow(&self, namespace: &str) -> impl Iterator<Item = &T> {
        let own = self.own.get(namespace).into_iter().flatten();
        own.chain(self.exported.get(namespace).into_iter().flatten())
            .map(|&position| &self.all[position])
    }

    /// The objects that every namespace sees.
    pub fn public(&self) -> impl Iterator<Item = &T> {
        self.public.iter().map(|&position| &self.all[position])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn export_to_says_which_namespaces_see_an_object() {
        let check = |export_to: &[&str], default: &[&str], seen_by: &[&str]| {
            let visibility = Visibility::new(&list(export_to), "own", &list(default));
            let seen: Vec<_> =
                ["own", "a", "b"].into_iter().filter(|it| visibility.includes(it)).collect();
            assert_eq!(seen, seen_by, "{export_to:?} {default:?}");
        };
        check(&[], &[], &["own", "a", "b"]);
        check(&[], &["*"], &["own", "a", "b"]);
        check(&[], &["."], &["own"]);
        check(&[], &["~"], &[]);
        check(&[], &["a"], &[]);
        check(&["."], &[], &["own"]);
        check(&["*"], &["."], &["own", "a", "b"]);
        check(&["~"], &[], &[]);
        check(&["~", "*"], &[], &["own", "a", "b"]);
        check(&["~", "a"], &[], &[]);
        check(&["a"], &[], &["a"]);
        check(&[".", "b"], &[], &["own", "b"]);
    }

    #[test]
    fn an_object_is_private_if_only_its_own_namespace_sees_it() {
        let private =
            |export_to: &[&str]| Visibility::new(&list(export_to), "own", &[]).is_private_to("own");
        assert!(private(&["."]));
        assert!(private(&["own"]));
        assert!(!private(&["own", "a"]));
        assert!(!private(&["*"]));
        assert!(!private(&[]));
    }

    #[test]
    fn the_index_answers_what_a_namespace_sees_narrow_before_public() {
        let mut index = VisibilityIndex::default();
        index.add(1, "a", &Visibility::Public);
        index.add(2, "b", &Visibility::only("a"));
        index.add(3, "a", &Visibility::nobody());
        index.add(4, "a", &Visibility::only("a"));
        index.add(5, "b", &Visibility::Public);
        assert_eq!(index.seen_by("a").copied().collect::<Vec<_>>(), [4, 2, 1, 5]);
        assert_eq!(index.seen_by("b").copied().collect::<Vec<_>>(), [1, 5]);
        assert_eq!(index.all(), [1, 2, 3, 4, 5]);
    }
}
