//! Who makes a request, and whether they may.

use http::HeaderMap;
use serin_objects::Status;

use super::ApiServer;
use crate::access::User;
use crate::access::attributes::Attributes;
use crate::access::impersonation;
use crate::access::rbac::Decision;

impl ApiServer {
    /// Who makes the request, and in whose name, where that is another.
    pub(super) fn identify(
        &self,
        known: Option<User>,
        headers: &HeaderMap,
    ) -> Result<(User, Option<User>), Status> {
        let user = match known {
            Some(user) => user,
            None => self
                .inner
                .authn
                .authenticate(headers)
                .map_err(|_| Status::unauthorized())?
                .unwrap_or_else(User::anonymous),
        };
        let acting = impersonation::acting(&self.inner.rbac, &user, headers)?;
        Ok((user, acting))
    }

    /// Refuses what no role allows.
    pub(crate) fn permit(&self, user: &User, what: &Attributes<'_>) -> Result<(), Status> {
        match self.inner.rbac.decide(user, what) {
            Decision::Allowed(_) => Ok(()),
            Decision::Refused(reason) => Err(what.forbidden(&user.name, &reason)),
        }
    }
}
