//! A link of a chain: says which service in which version it is, and what the next link says.
//!
//! Set up by the variables `app`, `version` and, except in the last link, `upstream_url`. The answer reads
//! `appa-v1 ==> appb-v1`, without an end of line.

use std::time::Duration;

use http::StatusCode;

use crate::bookinfo::PASSED_ON;
use crate::environment::Environment;
use crate::message::{Call, Reply, text};
use crate::sample::BadSample;
use crate::upstream::Upstream;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A link.
#[derive(Debug)]
pub(crate) struct Chain {
    name: String,
    upstream: Option<Upstream>,
}

impl Chain {
    pub(crate) fn new(environment: &Environment) -> Result<Self, BadSample> {
        let app = environment.first(&["SERIN_SAMPLE_NAME", "app"]).unwrap_or("app");
        let version = environment.version("version").unwrap_or("v1");
        let timeout = environment.timeout(TIMEOUT)?;
        let url = environment.first(&["SERIN_SAMPLE_UPSTREAM", "upstream_url"]);
        Ok(Self {
            name: format!("{app}-{version}"),
            upstream: url.map(|url| Upstream::parse(url, timeout)).transpose()?,
        })
    }

    pub(crate) async fn answer(&self, call: &Call) -> Reply {
        let Some(upstream) = &self.upstream else {
            return text(StatusCode::OK, self.name.clone());
        };
        // Rules by version look for this header in every service, so it goes on, too.
        let mut headers = call.pick(PASSED_ON);
        headers.extend(call.pick(&["version"]));
        match upstream.get(upstream.path(), headers).await {
            Ok(answer) => {
                let next = String::from_utf8_lossy(&answer.body);
                let next = match answer.status {
                    StatusCode::OK => next.into_owned(),
                    status => format!("{} said {status}: {}", upstream.authority(), next.trim()),
                };
                text(answer.status, format!("{} ==> {next}", self.name))
            }
            Err(error) => text(StatusCode::BAD_GATEWAY, format!("{} ==> {error}", self.name)),
        }
    }
}
