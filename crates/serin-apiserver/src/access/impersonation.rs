//! Acting in another's name, for who has the verb `impersonate` for it.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serin_objects::Status;

use super::attributes::Attributes;
use super::rbac::{Decision, Rbac};
use super::user::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User};

const PREFIX: &str = "impersonate-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The user in whose name a request is made, where the headers name one.
pub(crate) fn acting(
    rbac: &Rbac,
    user: &User,
    headers: &HeaderMap,
) -> Result<Option<User>, Status> {
    if !headers.keys().any(|name| name.as_str().starts_with(PREFIX)) {
        return Ok(None);
    }
    let texts = |name: &str| -> Vec<String> {
        let all = headers.get_all(name).into_iter();
        all.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let one = |name: &str| texts(name).into_iter().next().unwrap_or_default();
    let name = one("impersonate-user");
    if name.is_empty() {
        return Err(Status::internal("groups, uids or extras are impersonated without a user"));
    }
    let may = |what: Attributes<'_>| match rbac.decide(user, &what) {
        Decision::Allowed(_) => Ok(()),
        Decision::Refused(reason) => Err(what.forbidden(&user.name, &reason)),
    };
    let what = Attributes { verb: "impersonate", ..Attributes::default() };
    let account = name.strip_prefix("system:serviceaccount:").and_then(|it| it.split_once(':'));
    let mut acting = User { name: name.clone(), ..User::default() };
    match account {
        Some((namespace, account)) => {
            may(Attributes {
                resource: "serviceaccounts",
                namespace,
                name: account,
                ..what.clone()
            })?;
        }
        None => may(Attributes { resource: "users", name: &name, ..what.clone() })?,
    }
    for group in texts("impersonate-group") {
        may(Attributes { resource: "groups", name: &group, ..what.clone() })?;
        acting.groups.push(group);
    }
    acting.uid = one("impersonate-uid");
    if !acting.uid.is_empty() {
        may(Attributes {
            resource: "uids",
            group: AUTHENTICATION,
            name: &acting.uid,
            ..what.clone()
        })?;
    }
    for (header, value) in headers {
        let Some(key) = header.as_str().strip_prefix("impersonate-extra-") else { continue };
        let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
        let value = value.to_str().unwrap_or_default().to_owned();
        let extra = Attributes {
            resource: "userextras",
            group: AUTHENTICATION,
            subresource: &key,
            name: &value,
            ..what.clone()
        };
        may(extra)?;
        acting.extra.entry(key).or_default().push(value);
    }
    if let (Some((namespace, account)), true) = (account, acting.groups.is_empty()) {
        acting.groups = User::service_account(namespace, account, "").groups;
    }
    let everyone = if name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !acting.is_in(AUTHENTICATED) && !acting.is_in(UNAUTHENTICATED) {
        acting.groups.push(everyone.to_owned());
    }
    Ok(Some(acting))
}
