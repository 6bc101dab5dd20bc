//! Who may do what: roles, their rules, and the bindings that give them to users.
//!
//! The rules are read from the store into an index, which is made anew when a role or a binding has changed. Members of
//! `system:masters` may do everything, whatever the roles say.

pub(crate) mod aggregation;
pub(crate) mod bootstrap;
pub(crate) mod escalation;
mod rule;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::rule::Rule;

use super::attributes::Attributes;
use super::user::{MASTERS, User};
use crate::store::Store;
use crate::store::indexed::Indexed;

const ROLES: &str = "rbac.authorization.k8s.io/roles";
const CLUSTER_ROLES: &str = "rbac.authorization.k8s.io/clusterroles";
const ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";
const CLUSTER_ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";

/// Decides by roles and bindings.
pub(crate) struct Rbac {
    store: Store,
    index: Indexed<Index, 4>,
}

/// Whether someone may do something, and by what: the texts are those of access reviews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed(String),
    /// Roles that bindings of the user name and that do not exist.
    Refused(String),
}

/// All rules at one state of the store.
struct Index {
    roles: HashMap<(String, String), Vec<Rule>>,
    cluster_roles: HashMap<String, Vec<Rule>>,
    /// Those of the whole cluster first.
    bindings: Vec<Binding>,
}

/// A binding of a role to subjects, in a namespace or everywhere.
struct Binding {
    name: String,
    namespace: Option<String>,
    kind: String,
    role: String,
    subjects: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

impl Rbac {
    pub(crate) const fn new(store: Store) -> Self {
        let of = [ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS];
        Self { store, index: Indexed::new(of) }
    }

    /// Whether a user may do something, and why.
    pub(crate) fn decide(&self, user: &User, what: &Attributes<'_>) -> Decision {
        if user.is_in(MASTERS) {
            return Decision::Allowed(String::new());
        }
        let index = self.index();
        let mut absent: Vec<String> = Vec::new();
        for (binding, subject) in index.bindings_of(user, what.namespace) {
            match index.rules_of(binding) {
                Some(rules) if rules.iter().any(|rule| rule.allows(what)) => {
                    return Decision::Allowed(format!(
                        "RBAC: allowed by {}",
                        binding.describe(subject)
                    ));
                }
                Some(_) => {}
                None => absent.push(format!(
                    "{}.rbac.authorization.k8s.io {:?} not found",
                    binding.kind.to_lowercase(),
                    binding.role
                )),
            }
        }
        absent.sort();
        absent.dedup();
        Decision::Refused(match absent.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        })
    }

    /// Whether a user may do something.
    pub(crate) fn allows(&self, user: &User, what: &Attributes<'_>) -> bool {
        matches!(self.decide(user, what), Decision::Allowed(_))
    }

    /// All rules that hold for a user in a namespace; cluster-wide ones included.
    pub(crate) fn rules(&self, user: &User, namespace: &str) -> Vec<Rule> {
        let index = self.index();
        let bindings = index.bindings_of(user, namespace);
        bindings.filter_map(|(binding, _)| index.rules_of(binding)).flatten().cloned().collect()
    }

    /// The rules of a role that a binding refers to; `None` where there is no such role.
    pub(crate) fn role(&self, namespace: &str, kind: &str, name: &str) -> Option<Vec<Rule>> {
        self.index().role(namespace, kind, name).cloned()
    }

    fn index(&self) -> Arc<Index> {
        self.index.get(&self.store, Index::read)
    }
}

impl Index {
    fn read(store: &Store) -> Self {
        let values = |resource: &str| {
            let (objects, _) = store.list(resource, "", None);
            objects.into_iter().map(|(_, object)| object.value()).collect::<Vec<Value>>()
        };
        let bindings = values(CLUSTER_ROLE_BINDINGS)
            .iter()
            .chain(&values(ROLE_BINDINGS))
            .filter_map(Binding::read)
            .collect();
        Self {
            roles: values(ROLES)
                .iter()
                .map(|role| ((text(role, "namespace"), text(role, "name")), Rule::read_all(role)))
                .collect(),
            cluster_roles: values(CLUSTER_ROLES)
                .iter()
                .map(|role| (text(role, "name"), Rule::read_all(role)))
                .collect(),
            bindings,
        }
    }

    /// The bindings that name a user and hold in a namespace (those of the cluster alone for things outside of
    /// namespaces), each with the subject that is the user.
    fn bindings_of<'i>(
        &'i self,
        user: &'i User,
        namespace: &'i str,
    ) -> impl Iterator<Item = (&'i Binding, &'i Subject)> {
        let holds = move |binding: &&Binding| {
            binding.namespace.as_deref().is_none_or(|it| it == namespace && !namespace.is_empty())
        };
        self.bindings.iter().filter(holds).filter_map(|binding| {
            let subject = binding.subjects.iter().find(|subject| subject.is(user, binding))?;
            Some((binding, subject))
        })
    }

    fn rules_of(&self, binding: &Binding) -> Option<&Vec<Rule>> {
        self.role(binding.namespace.as_deref().unwrap_or_default(), &binding.kind, &binding.role)
    }

    fn role(&self, namespace: &str, kind: &str, name: &str) -> Option<&Vec<Rule>> {
        match kind {
            "ClusterRole" => self.cluster_roles.get(name),
            _ => self.roles.get(&(namespace.to_owned(), name.to_owned())),
        }
    }
}

impl Binding {
    fn read(value: &Value) -> Option<Self> {
        let role = value.get("roleRef")?;
        let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str);
        Some(Self {
            name: text(value, "name"),
            namespace: namespace.map(str::to_owned),
            kind: role.get("kind")?.as_str()?.to_owned(),
            role: role.get("name")?.as_str()?.to_owned(),
            subjects: value
                .get("subjects")
                .and_then(|subjects| Vec::deserialize(subjects).ok())
                .unwrap_or_default(),
        })
    }

    /// The binding with the subject to which it applies, for people.
    fn describe(&self, subject: &Subject) -> String {
        let (kind, name) = match &self.namespace {
            None => ("ClusterRoleBinding", self.name.clone()),
            Some(namespace) => ("RoleBinding", format!("{}/{namespace}", self.name)),
        };
        let who = match subject.kind.as_str() {
            "ServiceAccount" => format!("{}/{}", subject.name, subject.namespace(self)),
            _ => subject.name.clone(),
        };
        format!("{kind} {name:?} of {} {:?} to {} {who:?}", self.kind, self.role, subject.kind)
    }
}

impl Subject {
    fn namespace<'s>(&'s self, binding: &'s Binding) -> &'s str {
        if self.namespace.is_empty() {
            binding.namespace.as_deref().unwrap_or_default()
        } else {
            &self.namespace
        }
    }

    fn is(&self, user: &User, binding: &Binding) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.name,
            "Group" => user.is_in(&self.name),
            "ServiceAccount" => user
                .name
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'))
                .is_some_and(|(namespace, name)| {
                    namespace == self.namespace(binding) && name == self.name
                }),
            _ => false,
        }
    }
}

fn text(object: &Value, field: &str) -> String {
    object["metadata"][field].as_str().unwrap_or_default().to_owned()
}
