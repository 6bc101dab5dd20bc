//! `authorizer` of expressions: the rights of who writes, by the roles that there are.

use std::sync::Arc;

use serin_api::expression::{Asked, Decide, Scope};

use super::Review;
use crate::access::User;
use crate::access::attributes::Attributes;
use crate::access::rbac::Decision;
use crate::server::ApiServer;

/// Lets expressions ask what may be done.
pub(super) fn set(scope: &mut Scope, server: &ApiServer, review: &Review<'_>) {
    let (server, user) = (server.clone(), review.user.clone());
    let decide: Decide = Arc::new(move |asked| decide(&server, &user, asked));
    let requested = Asked {
        group: review.resource.group.clone(),
        resource: review.resource.plural.clone(),
        subresource: review.subresource.to_owned(),
        namespace: review.namespace.to_owned(),
        name: review.name.to_owned(),
        ..Asked::default()
    };
    scope.authorize(&decide, requested);
}

fn decide(server: &ApiServer, user: &User, asked: &Asked) -> (bool, String) {
    let account =
        asked.account.as_ref().map(|(namespace, name)| User::service_account(namespace, name, ""));
    let what = match &asked.path {
        Some(path) => Attributes::of_path(&asked.verb, path),
        None => Attributes {
            verb: &asked.verb,
            namespace: &asked.namespace,
            group: &asked.group,
            resource: &asked.resource,
            subresource: &asked.subresource,
            name: &asked.name,
            path: None,
        },
    };
    match server.inner.rbac.decide(account.as_ref().unwrap_or(user), &what) {
        Decision::Allowed(reason) => (true, reason),
        Decision::Refused(reason) => (false, reason),
    }
}
