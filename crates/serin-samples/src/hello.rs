//! Istio's smallest sample: `/hello` says hello with a version and an instance.

use http::StatusCode;

use crate::environment::Environment;
use crate::message::{Call, Reply, not_found, text};

/// The service.
#[derive(Debug)]
pub(crate) struct Hello(String);

impl Hello {
    pub(crate) fn new(environment: &Environment) -> Self {
        let version = environment.version("SERVICE_VERSION").unwrap_or("v1");
        Self(format!("Hello version: {version}, instance: {}\n", environment.instance()))
    }

    pub(crate) fn answer(&self, call: &Call) -> Reply {
        if call.path() == "/hello" { text(StatusCode::OK, self.0.clone()) } else { not_found() }
    }
}
