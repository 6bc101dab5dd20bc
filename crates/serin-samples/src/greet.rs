//! Two services, one behind the other: the one in front passes the question on, with its query; the one behind says which version and
//! which instance greets whom. A rule on the query parameter `name` can thus choose the version two services deep.

use std::time::Duration;

use http::StatusCode;

use crate::bookinfo::PASSED_ON;
use crate::environment::Environment;
use crate::message::{Call, Reply, text};
use crate::sample::BadSample;
use crate::upstream::Upstream;

const TIMEOUT: Duration = Duration::from_secs(10);

/// One of the two.
#[derive(Debug)]
pub(crate) struct Greet {
    upstream: Option<Upstream>,
    service: String,
    version: String,
    instance: String,
    address: Option<String>,
}

impl Greet {
    pub(crate) fn new(environment: &Environment) -> Result<Self, BadSample> {
        let timeout = environment.timeout(TIMEOUT)?;
        let url = environment.first(&["SERIN_SAMPLE_UPSTREAM", "UPSTREAM_URL"]);
        let name = environment.get("SERIN_SAMPLE_NAME");
        Ok(Self {
            upstream: url.map(|url| Upstream::parse(url, timeout)).transpose()?,
            service: name.unwrap_or("svc-b").to_owned(),
            version: environment.version("SERVICE_VERSION").unwrap_or("v1").to_owned(),
            instance: environment.instance(),
            address: environment.get("POD_IP").map(str::to_owned),
        })
    }

    pub(crate) async fn answer(&self, call: &Call) -> Reply {
        match &self.upstream {
            Some(upstream) => self.pass_on(upstream, call).await,
            None => self.greet(call),
        }
    }

    fn greet(&self, call: &Call) -> Reply {
        let Self { service, version, instance, .. } = self;
        let address = self.address.clone().unwrap_or_else(|| call.local.ip().to_string());
        let name = call.query("name").unwrap_or_else(|| "nobody".to_owned());
        let greeting = format!(
            "response from [{service}] [{version}] HostName: {instance} HostAddress: {address} name is: {name}-{version}"
        );
        text(StatusCode::OK, greeting)
    }

    async fn pass_on(&self, upstream: &Upstream, call: &Call) -> Reply {
        let path = match call.uri.query() {
            Some(query) => format!("{}?{query}", upstream.path()),
            None => upstream.path().to_owned(),
        };
        match upstream.get(&path, call.pick(PASSED_ON)).await {
            Ok(answer) => text(answer.status, answer.body),
            Err(error) => text(StatusCode::BAD_GATEWAY, format!("no answer: {error}\n")),
        }
    }
}
