//! The bookshop's front: pages for people and an API for programs, made of what details and reviews say.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::{PASSED_ON, page, service, session};
use crate::environment::Environment;
use crate::message::{
    Call, Reply, html, json as json_reply, not_found, redirect, text, wrong_method,
};
use crate::sample::BadSample;
use crate::upstream::Upstream;

/// How long each service may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is said about the one book.
const DESCRIPTION: &str = "Two masters who have never met, two servants who have never met, and one face for each pair. \
    In a single day in Ephesus everybody takes everybody for somebody else. Shakespeare's shortest play, and one of his \
    merriest.";

/// The service.
#[derive(Debug)]
pub(crate) struct Productpage {
    details: Upstream,
    reviews: Upstream,
    ratings: Upstream,
    instance: String,
    /// Answers counted by who gave them and their status.
    answers: Mutex<BTreeMap<(&'static str, u16), u64>>,
}

/// What a service said, or in its place an object with `error`.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    pub(super) took: Duration,
}

impl Fetched {
    pub(super) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK
    }
}

impl Productpage {
    pub(crate) fn new(environment: &Environment) -> Result<Self, BadSample> {
        Ok(Self {
            details: service(environment, "details", PATIENCE)?,
            reviews: service(environment, "reviews", PATIENCE)?,
            ratings: service(environment, "ratings", PATIENCE)?,
            instance: environment.instance(),
            answers: Mutex::default(),
        })
    }

    pub(crate) async fn answer(&self, call: &Call) -> Reply {
        let path = call.path();
        match (&call.method, path) {
            (&Method::POST, "/login") => sign_in(call),
            (_, "/login") => wrong_method(),
            (&Method::GET | &Method::HEAD, _) => match path {
                "/" | "/index.html" => html(StatusCode::OK, page::landing()),
                "/productpage" => self.page(call).await,
                "/logout" => sign_out(),
                "/metrics" => self.metrics(),
                "/api/v1/products" => json_reply(StatusCode::OK, &products()),
                _ => match path.strip_prefix("/api/v1/products/") {
                    Some(product) => self.product(call, product).await,
                    None => not_found(),
                },
            },
            _ => wrong_method(),
        }
    }

    async fn page(&self, call: &Call) -> Reply {
        let headers = headers(call);
        let (details, reviews) = tokio::join!(
            self.fetch_details("0", headers.clone()),
            self.fetch_reviews("0", headers)
        );
        let user = session::user(&call.headers);
        let page = page::Page {
            user: user.as_deref(),
            product: &products()[0],
            details: &details,
            reviews: &reviews,
            instance: &self.instance,
        };
        html(StatusCode::OK, page.render())
    }

    async fn product(&self, call: &Call, rest: &str) -> Reply {
        let (id, what) = rest.split_once('/').unwrap_or((rest, "details"));
        if id.parse::<i64>().is_err() {
            return not_found();
        }
        let headers = headers(call);
        let fetched = match what {
            "details" if !rest.contains('/') => self.fetch_details(id, headers).await,
            "reviews" => self.fetch_reviews(id, headers).await,
            "ratings" => self.fetch_ratings(id, headers).await,
            _ => return not_found(),
        };
        json_reply(fetched.status, &fetched.body)
    }

    async fn fetch_details(&self, id: &str, headers: HeaderMap) -> Fetched {
        self.fetch("details", &self.details, &format!("/details/{id}"), headers).await
    }

    /// Asks twice before giving up, as the original does: a delay between patience and twice patience shows as an error.
    async fn fetch_reviews(&self, id: &str, headers: HeaderMap) -> Fetched {
        let path = format!("/reviews/{id}");
        let first = self.fetch("reviews", &self.reviews, &path, headers.clone()).await;
        if first.is_ok() {
            return first;
        }
        self.fetch("reviews", &self.reviews, &path, headers).await
    }

    async fn fetch_ratings(&self, id: &str, headers: HeaderMap) -> Fetched {
        self.fetch("ratings", &self.ratings, &format!("/ratings/{id}"), headers).await
    }

    async fn fetch(
        &self,
        name: &'static str,
        upstream: &Upstream,
        path: &str,
        headers: HeaderMap,
    ) -> Fetched {
        let start = Instant::now();
        let answer = upstream.get(path, headers).await;
        let took = start.elapsed();
        let said = |body: &[u8]| serde_json::from_slice(body).ok();
        let (status, body) = match answer {
            Ok(answer) if answer.status == StatusCode::OK => (StatusCode::OK, said(&answer.body)),
            Ok(answer) => (answer.status, None),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((name, status.as_u16())).or_default() += 1;
        match body {
            Some(body) => Fetched { status, body, took },
            // An answer that is no JSON is none.
            None => {
                let status = if status.is_success() { StatusCode::BAD_GATEWAY } else { status };
                let sorry = format!("The product {name} are currently unavailable for this book.");
                Fetched { status, body: json!({ "error": sorry }), took }
            }
        }
    }

    fn metrics(&self) -> Reply {
        let mut page = "# HELP request_result_total Answers of the services behind the page.\n\
                        # TYPE request_result_total counter\n"
            .to_owned();
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for ((app, code), count) in &*answers {
            let labels = format!("destination_app=\"{app}\",response_code=\"{code}\"");
            let _ = writeln!(page, "request_result_total{{{labels}}} {count}");
        }
        text(StatusCode::OK, page)
    }
}

fn products() -> Value {
    json!([{ "id": 0, "title": "The Comedy of Errors", "descriptionHtml": DESCRIPTION }])
}

/// The headers to ask with. Who the user is, the session says, and no client by itself.
fn headers(call: &Call) -> HeaderMap {
    let mut headers = call.pick(PASSED_ON);
    headers.remove("end-user");
    let user = session::user(&call.headers);
    if let Some(value) = user.as_deref().and_then(session::header) {
        headers.insert("end-user", value);
    }
    headers
}

fn sign_in(call: &Call) -> Reply {
    let mut reply = redirect("/productpage");
    let user = call.form("username").or_else(|| call.query("username"));
    if let Some(user) = user.as_deref().and_then(session::acceptable) {
        session::begin(&mut reply, &user);
    }
    reply
}

fn sign_out() -> Reply {
    let mut reply = redirect("/productpage");
    session::end(&mut reply);
    reply
}
