//! How many stars readers give. Versions whose names begin with `v-` fail each in its own way.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::id_of;
use crate::environment::Environment;
use crate::message::{Call, Reply, error, json as json_reply, not_found, wrong_method};
use crate::sample::well;

/// How many books can be rated: enough for a demonstration, and a bound.
const MAX_RATED: usize = 10_000;

/// The service.
#[derive(Debug)]
pub(crate) struct Ratings {
    version: Version,
    since: Instant,
    /// What was posted, by book.
    rated: Mutex<BTreeMap<i64, Value>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// Keeps ratings in memory and works.
    V1,
    /// Keeps them in a database, which is never there.
    V2,
    /// Every other answer, by chance, is an error.
    Faulty,
    /// Every other answer, by chance, is late.
    Delayed,
    /// Fails for a minute, works for a minute.
    Unavailable,
    /// Fails for a quarter of an hour and says so in its health, works as long.
    Unhealthy,
}

impl Version {
    fn named(name: &str) -> Self {
        match name {
            "v2" => Self::V2,
            "v-faulty" => Self::Faulty,
            "v-delayed" => Self::Delayed,
            "v-unavailable" => Self::Unavailable,
            "v-unhealthy" => Self::Unhealthy,
            _ => Self::V1,
        }
    }

    /// Whether it is in one of its times of failure, so long after it began.
    fn is_down(self, age: Duration) -> bool {
        let turn = match self {
            Self::Unavailable => 60,
            Self::Unhealthy => 15 * 60,
            Self::V1 | Self::V2 | Self::Faulty | Self::Delayed => return false,
        };
        age.as_secs() / turn % 2 == 1
    }
}

impl Ratings {
    pub(crate) fn new(environment: &Environment) -> Self {
        // The variable of the deployment knows more than the image's name, from which the flag comes.
        let version = environment.first(&["SERVICE_VERSION", "SERIN_SAMPLE_VERSION"]);
        Self {
            version: Version::named(version.unwrap_or("v1")),
            since: Instant::now(),
            rated: Mutex::default(),
        }
    }

    pub(crate) fn health(&self) -> Reply {
        if self.version == Version::Unhealthy && self.version.is_down(self.since.elapsed()) {
            let status = json!({ "status": "Ratings is not healthy" });
            return json_reply(StatusCode::INTERNAL_SERVER_ERROR, &status);
        }
        well("Ratings")
    }

    pub(crate) async fn answer(&self, call: &Call) -> Reply {
        if !call.path().starts_with("/ratings/") {
            return not_found();
        }
        let Some(id) = id_of(call.path()) else {
            return error(StatusCode::BAD_REQUEST, "please provide numeric product ID");
        };
        match call.method {
            Method::GET | Method::HEAD => self.look_up(id).await,
            Method::POST => self.rate(id, &call.body),
            _ => wrong_method(),
        }
    }

    async fn look_up(&self, id: i64) -> Reply {
        let unlucky = matches!(self.version, Version::Faulty | Version::Delayed) && rand::random();
        match self.version {
            Version::V2 => {
                return error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "could not connect to ratings database",
                );
            }
            Version::Delayed if unlucky => tokio::time::sleep(Duration::from_secs(7)).await,
            version if unlucky || version.is_down(self.since.elapsed()) => {
                return error(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable");
            }
            _ => {}
        }
        let rated = self.rated.lock().unwrap_or_else(PoisonError::into_inner);
        let usual = || json!({ "Reviewer1": 5, "Reviewer2": 4 });
        let ratings = rated.get(&id).cloned().unwrap_or_else(usual);
        json_reply(StatusCode::OK, &json!({ "id": id, "ratings": ratings }))
    }

    fn rate(&self, id: i64, body: &[u8]) -> Reply {
        let Ok(ratings) = serde_json::from_slice::<Value>(body) else {
            return error(StatusCode::BAD_REQUEST, "please provide valid ratings JSON");
        };
        if self.version == Version::V2 {
            return error(StatusCode::NOT_IMPLEMENTED, "a database takes no ratings");
        }
        let mut rated = self.rated.lock().unwrap_or_else(PoisonError::into_inner);
        if rated.len() >= MAX_RATED && !rated.contains_key(&id) {
            return error(StatusCode::INSUFFICIENT_STORAGE, "too many books are rated already");
        }
        let reply = json_reply(StatusCode::OK, &json!({ "id": id, "ratings": ratings }));
        rated.insert(id, ratings);
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_fail_by_turns() {
        let check = |version: &str, seconds: u64, expect: bool| {
            let is_down = Version::named(version).is_down(Duration::from_secs(seconds));
            assert_eq!(is_down, expect, "{version} after {seconds} s");
        };
        check("v1", 61, false);
        check("v-faulty", 61, false);
        check("v-unavailable", 59, false);
        check("v-unavailable", 60, true);
        check("v-unavailable", 120, false);
        check("v-unhealthy", 899, false);
        check("v-unhealthy", 900, true);
        check("v-unhealthy", 1800, false);
    }
}
