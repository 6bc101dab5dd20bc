//! Who makes a request.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The group whose members may do everything.
pub(crate) const MASTERS: &str = "system:masters";
/// Everyone who proved who they are.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// Everyone else.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of who did not say who they are.
pub(crate) const ANONYMOUS: &str = "system:anonymous";

/// A user: a person, a ServiceAccount, or a part of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// An id that is never used twice; may be empty.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// What else is known: the pod of a token, for example.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user with groups, who is authenticated.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { name: name.to_owned(), groups, ..Self::default() }
    }

    /// The administrator.
    pub fn administrator() -> Self {
        Self::new("kubernetes-admin", &[MASTERS])
    }

    /// A part of Serin itself, by name: it may do everything, and audit logs tell it apart.
    pub fn component(name: &str) -> Self {
        Self::new(&format!("system:serin:{name}"), &[MASTERS])
    }

    /// The ServiceAccount `name` in `namespace`.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let own = format!("system:serviceaccounts:{namespace}");
        Self { uid: uid.to_owned(), ..Self::new(&user, &["system:serviceaccounts", &own]) }
    }

    /// Someone who did not say who they are.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Whether it is the server itself, which makes what has to be there whatever others think of it.
    pub(crate) fn is_the_server(&self) -> bool {
        self.is_in(MASTERS)
            && matches!(self.name.as_str(), "system:serin:bootstrap" | "system:serin:namespaces")
    }

    /// Whether the user is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|it| it == group)
    }

    /// The user as reviews and webhooks are told.
    pub(crate) fn to_value(&self) -> Value {
        let mut out = json!({"username": self.name});
        if !self.uid.is_empty() {
            out["uid"] = json!(self.uid);
        }
        if !self.groups.is_empty() {
            out["groups"] = json!(self.groups);
        }
        if !self.extra.is_empty() {
            out["extra"] = json!(self.extra);
        }
        out
    }
}
