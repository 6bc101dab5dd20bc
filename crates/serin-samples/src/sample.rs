//! Which service a sample plays.

use http::StatusCode;
use serde_json::json;

use crate::bookinfo::{Details, Productpage, Ratings, Reviews};
use crate::chain::Chain;
use crate::echo::Echo;
use crate::environment::Environment;
use crate::greet::Greet;
use crate::hello::Hello;
use crate::message::{Call, Reply, json as json_reply};
use crate::upstream::BadUrl;
use crate::web::Web;

/// The names of all samples, each with what it is.
pub const NAMES: &[(&str, &str)] = &[
    ("productpage", "the bookshop's page; asks details and reviews"),
    ("details", "what is known about a book"),
    ("reviews", "what readers say; versions v2 and v3 ask ratings"),
    ("ratings", "how many stars readers give"),
    ("greet", "greets who `name` says, or passes the question on (--upstream)"),
    ("chain", "says its name and version, and what the next in the chain says (--upstream)"),
    ("web", "a web server with nginx' headers and a page of welcome"),
    ("hello", "says hello with its version and instance"),
    ("echo", "tells what it was asked; /status/CODE and /delay/SECONDS do as they are told"),
];

/// A service, ready to answer.
#[derive(Debug)]
pub struct Sample {
    service: Service,
    port: u16,
}

#[derive(Debug)]
enum Service {
    Productpage(Productpage),
    Details(Details),
    Reviews(Reviews),
    Ratings(Ratings),
    Greet(Greet),
    Chain(Chain),
    Web(Web),
    Hello(Hello),
    Echo(Echo),
}

/// A sample that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BadSample {
    /// No sample has this name.
    #[error("there is no sample `{0}`")]
    Unknown(String),
    /// The service that it shall call is named wrongly.
    #[error("the service to call is named wrongly: {0}")]
    Upstream(#[from] BadUrl),
    /// A port that is none.
    #[error("the port in {variable} is `{value}`, which is none")]
    Port {
        /// The variable that says it.
        variable: String,
        /// What it says.
        value: String,
    },
    /// A time that is none.
    #[error("the time in {variable} is `{value}`, which is none: 500ms, 30s and 1m are")]
    Timeout {
        /// The variable that says it.
        variable: &'static str,
        /// What it says.
        value: String,
    },
}

impl Sample {
    /// The sample of this name, set up by these variables.
    ///
    /// # Errors
    /// There is none of this name, or a variable says what cannot be.
    pub fn new(name: &str, environment: &Environment) -> Result<Self, BadSample> {
        let (service, port) = match name {
            "productpage" => (Service::Productpage(Productpage::new(environment)?), 9080),
            "details" => (Service::Details(Details), 9080),
            "reviews" => (Service::Reviews(Reviews::new(environment)?), 9080),
            "ratings" => (Service::Ratings(Ratings::new(environment)), 9080),
            "greet" => (Service::Greet(Greet::new(environment)?), 8080),
            "chain" => (Service::Chain(Chain::new(environment)?), 8000),
            "web" => (Service::Web(Web::new(environment)), 80),
            "hello" => (Service::Hello(Hello::new(environment)), 5000),
            "echo" => (Service::Echo(Echo::new(environment)), 8080),
            _ => return Err(BadSample::Unknown(name.to_owned())),
        };
        Ok(Self { service, port })
    }

    /// The port that the image listens on which this sample stands in for.
    pub const fn default_port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn answer(&self, call: &Call) -> Reply {
        match &self.service {
            Service::Productpage(it) => it.answer(call).await,
            Service::Details(it) => it.answer(call),
            Service::Reviews(it) => it.answer(call).await,
            Service::Ratings(it) => it.answer(call).await,
            Service::Greet(it) => it.answer(call).await,
            Service::Chain(it) => it.answer(call).await,
            Service::Web(it) => it.answer(call),
            Service::Hello(it) => it.answer(call),
            Service::Echo(it) => it.answer(call).await,
        }
    }

    /// What a probe of `/health` learns if nothing misbehaves.
    pub(crate) fn health(&self) -> Reply {
        match &self.service {
            Service::Ratings(it) => it.health(),
            Service::Productpage(_) => well("Productpage"),
            Service::Details(_) => well("Details"),
            Service::Reviews(_) => well("Reviews"),
            Service::Greet(_) => well("Greet"),
            Service::Chain(_) => well("Chain"),
            Service::Web(_) => well("Web"),
            Service::Hello(_) => well("Hello"),
            Service::Echo(_) => well("Echo"),
        }
    }
}

/// The answer of a service that is well.
pub(crate) fn well(name: &str) -> Reply {
    json_reply(StatusCode::OK, &json!({ "status": format!("{name} is healthy") }))
}
