//! Who acts: of several controllers, the one that holds the Lease.
//!
//! A controller trusts its own clock only: a Lease is free when it has not changed for its whole duration as seen from here,
//! and its holder stops acting well before others may take it.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};

/// A Lease that has not changed for so long is free.
const DURATION: Duration = Duration::from_secs(15);
/// The holder acts for so long after it has last renewed.
const TRUSTED: Duration = Duration::from_secs(10);
/// How often it is renewed, or looked at.
pub(crate) const PACE: Duration = Duration::from_secs(2);

/// The Lease as one controller sees it.
pub(crate) struct Leadership {
    leases: Api<Lease>,
    name: String,
    identity: String,
    /// What the Lease was when it last changed, and when that was seen.
    seen: Option<(LeaseSpec, Instant)>,
    /// Until when this controller may act.
    until: Option<Instant>,
}

impl Leadership {
    pub(crate) fn new(
        client: kube::Client,
        (namespace, name): &(String, String),
        identity: &str,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.clone(),
            identity: identity.to_owned(),
            seen: None,
            until: None,
        }
    }

    /// Whether this controller may act now.
    pub(crate) fn is_held(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Renews the Lease, or takes it if it is free.
    pub(crate) async fn attempt(&mut self, now: Instant) {
        match self.try_hold(now).await {
            Ok(true) => self.until = Some(now + TRUSTED),
            Ok(false) => self.until = None,
            // Whether it was renewed is unknown; what was known before holds until its time is over.
            Err(error) => tracing::warn!(%error, "the Lease cannot be renewed"),
        }
    }

    async fn try_hold(&mut self, now: Instant) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.held(None)),
            };
            return settled(self.leases.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let is_mine = spec.holder_identity.as_ref() == Some(&self.identity);
        if !is_mine && !self.is_free(&spec, now) {
            return Ok(false);
        }
        lease.spec = Some(self.held(Some(&spec)));
        // With the version that was read: of two who try, one fails.
        settled(self.leases.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn is_free(&mut self, spec: &LeaseSpec, now: Instant) -> bool {
        if spec.holder_identity.as_ref().is_none_or(String::is_empty) {
            return true;
        }
        match &self.seen {
            Some((seen, since)) if seen == spec => now.duration_since(*since) >= DURATION,
            _ => {
                self.seen = Some((spec.clone(), now));
                false
            }
        }
    }

    fn held(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let before = before.cloned().unwrap_or_default();
        let is_mine = before.holder_identity.as_ref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if is_mine { before.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(transitions + i32::from(!is_mine)),
            ..before
        }
    }

    /// Gives the Lease back, so that others need not wait.
    pub(crate) async fn release(&mut self) {
        self.until = None;
        let Ok(Some(mut lease)) = self.leases.get_opt(&self.name).await else { return };
        if let Some(spec) =
            lease.spec.as_mut().filter(|it| it.holder_identity.as_ref() == Some(&self.identity))
        {
            spec.holder_identity = None;
            if let Err(error) =
                self.leases.replace(&self.name, &PostParams::default(), &lease).await
            {
                tracing::debug!(%error, "the Lease was not given back");
            }
        }
    }
}

fn settled(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        // Someone else was quicker.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serin_apiserver::{ApiServer, Settings, User};

    use super::*;

    #[tokio::test]
    async fn only_one_of_two_holds_the_lease_and_another_takes_over_when_it_is_gone() {
        let server = ApiServer::start(Settings::default()).await.unwrap();
        let place = ("default".to_owned(), "serin-operator".to_owned());
        let contender = |identity| {
            let client = kube::Client::new(server.client(User::administrator()), "default");
            Leadership::new(client, &place, identity)
        };
        let (mut a, mut b) = (contender("a"), contender("b"));
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        a.attempt(at(0)).await;
        b.attempt(at(0)).await;
        assert_eq!((a.is_held(at(1)), b.is_held(at(1))), (true, false));
        // It is renewed, so that the other never sees it unchanged for long enough.
        for second in 1..30 {
            a.attempt(at(second)).await;
            b.attempt(at(second)).await;
            assert_eq!((a.is_held(at(second)), b.is_held(at(second))), (true, false));
        }
        // The holder is gone: it has stopped before the other begins.
        for second in 30..60 {
            b.attempt(at(second)).await;
            assert!(!(a.is_held(at(second)) && b.is_held(at(second))), "both at {second}");
        }
        assert!(b.is_held(at(60)) && !a.is_held(at(60)));
        a.attempt(at(61)).await;
        assert!(!a.is_held(at(61)));
        b.release().await;
        a.attempt(at(62)).await;
        assert!(a.is_held(at(62)) && !b.is_held(at(62)));
    }
}
