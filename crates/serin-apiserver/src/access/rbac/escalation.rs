//! Nobody gives what they do not have: writing a role needs all its rules, and binding one too, unless the verbs `escalate`
//! and `bind` say otherwise.

use serde_json::Value;
use serin_objects::{Resource, Status};

use super::rule::{Rule, missing};
use super::{Rbac, User};
use crate::access::attributes::Attributes;
use crate::access::user::MASTERS;

/// The group of roles and bindings.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// Checks a role or binding that is about to be stored. `old` is null for a new one.
pub(crate) fn check(
    rbac: &Rbac,
    user: &User,
    resource: &Resource,
    object: &Value,
    old: &Value,
) -> Result<(), Status> {
    if resource.group != GROUP || user.is_in(MASTERS) {
        return Ok(());
    }
    let asked = Asked {
        rbac,
        user,
        resource,
        name: object["metadata"]["name"].as_str().unwrap_or_default(),
        namespace: object["metadata"]["namespace"].as_str().unwrap_or_default(),
    };
    if resource.kind.ends_with("Binding") { asked.binding(object) } else { asked.role(object, old) }
}

struct Asked<'a> {
    rbac: &'a Rbac,
    user: &'a User,
    resource: &'a Resource,
    name: &'a str,
    namespace: &'a str,
}

impl Asked<'_> {
    fn role(&self, role: &Value, old: &Value) -> Result<(), Status> {
        if self.may("escalate", &self.resource.plural, self.name) {
            return Ok(());
        }
        let gathers = &role["aggregationRule"];
        if gathers.is_object() && *gathers != old["aggregationRule"] {
            let own = self.rbac.rules(self.user, "");
            if !missing(&own, &Rule::everything()).is_empty() {
                let why = "must have cluster-admin privileges to use an aggregationRule";
                return Err(Status::forbidden(self.resource, self.name, why));
            }
        }
        self.holds(&Rule::read_all(role))
    }

    fn binding(&self, binding: &Value) -> Result<(), Status> {
        let text = |field: &str| binding["roleRef"][field].as_str().unwrap_or_default();
        let (kind, name) = (text("kind"), text("name"));
        let plural = if kind == "ClusterRole" { "clusterroles" } else { "roles" };
        if self.may("bind", plural, name) {
            return Ok(());
        }
        let Some(rules) = self.rbac.role(self.namespace, kind, name) else {
            let message = format!("{plural}.{GROUP} {name:?} not found");
            let details = serin_objects::status::Details {
                name: name.to_owned(),
                group: GROUP.to_owned(),
                kind: plural.to_owned(),
                ..Default::default()
            };
            return Err(Status::new(404, "NotFound", message).with(details));
        };
        self.holds(&rules)
    }

    fn may(&self, verb: &str, plural: &str, name: &str) -> bool {
        let what = Attributes {
            verb,
            namespace: self.namespace,
            group: GROUP,
            resource: plural,
            name,
            ..Attributes::default()
        };
        self.rbac.allows(self.user, &what)
    }

    fn holds(&self, wanted: &[Rule]) -> Result<(), Status> {
        let lacking = missing(&self.rbac.rules(self.user, self.namespace), wanted);
        if lacking.is_empty() {
            return Ok(());
        }
        let groups: Vec<String> = self.user.groups.iter().map(|it| format!("{it:?}")).collect();
        let why = format!(
            "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            self.user.name,
            groups.join(" "),
            lacking.join("\n")
        );
        Err(Status::forbidden(self.resource, self.name, &why))
    }
}
