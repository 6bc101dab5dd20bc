//! A web server that looks like nginx to those who look at headers: its version in `Server`, one page of welcome.

use http::header::{
    ACCEPT_RANGES, ALLOW, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, SERVER,
};
use http::{HeaderValue, Method, StatusCode};

use crate::environment::Environment;
use crate::message::{Call, Reply, of_type};

/// The page of welcome, as long as nginx' own.
const WELCOME: &str = include_str!("web/welcome.html");
/// Versions, and when their pages of welcome were last changed: as a date, and as the beginning of the entity tag.
const CHANGED: &[(&str, &str, &str)] = &[
    ("1.14.2", "Tue, 04 Dec 2018 14:44:49 GMT", "5c0692e1"),
    ("1.16.1", "Tue, 13 Aug 2019 10:05:00 GMT", "5d528b4c"),
];
/// The same for all other versions.
const CHANGED_LAST: (&str, &str) = ("Wed, 01 Jan 2025 00:00:00 GMT", "67748580");

/// The server.
#[derive(Debug)]
pub(crate) struct Web {
    server: HeaderValue,
    modified: HeaderValue,
    tag: HeaderValue,
}

impl Web {
    pub(crate) fn new(environment: &Environment) -> Self {
        let version = environment.version("NGINX_VERSION").unwrap_or_default();
        let known = CHANGED.iter().find(|(known, ..)| *known == version);
        let (modified, seconds) = known.map_or(CHANGED_LAST, |(_, date, tag)| (*date, *tag));
        let value = |text: String| {
            HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("nginx"))
        };
        let slash = if version.is_empty() { "" } else { "/" };
        Self {
            server: value(format!("nginx{slash}{version}")),
            modified: HeaderValue::from_static(modified),
            tag: value(format!("\"{seconds}-{:x}\"", WELCOME.len())),
        }
    }

    pub(crate) fn answer(&self, call: &Call) -> Reply {
        let mut reply = if !matches!(call.method, Method::GET | Method::HEAD) {
            let mut refusal = self.refusal(StatusCode::METHOD_NOT_ALLOWED);
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        } else if !matches!(call.path(), "/" | "/index.html") {
            self.refusal(StatusCode::NOT_FOUND)
        } else if self.is_known_to(call) {
            let mut reply = of_type(StatusCode::NOT_MODIFIED, "text/html", "");
            reply.headers_mut().remove(http::header::CONTENT_TYPE);
            self.describe(&mut reply);
            reply
        } else {
            let mut reply = of_type(StatusCode::OK, "text/html", WELCOME);
            self.describe(&mut reply);
            reply.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            reply
        };
        reply.headers_mut().insert(SERVER, self.server.clone());
        reply
    }

    /// Whether the client has the page already, as it says in a condition. The tag decides where there is one.
    fn is_known_to(&self, call: &Call) -> bool {
        let condition = |name: HeaderName| call.headers.get(name);
        match condition(IF_NONE_MATCH) {
            Some(tag) => tag == self.tag || tag == "*",
            None => condition(IF_MODIFIED_SINCE).is_some_and(|since| since == self.modified),
        }
    }

    fn describe(&self, reply: &mut Reply) {
        reply.headers_mut().insert(LAST_MODIFIED, self.modified.clone());
        reply.headers_mut().insert(ETAG, self.tag.clone());
    }

    fn refusal(&self, status: StatusCode) -> Reply {
        let server = self.server.to_str().unwrap_or_default();
        let page = format!(
            "<!doctype html>\n<title>{status}</title>\n<h1>{status}</h1>\n<hr>\n<p>{server}</p>\n"
        );
        of_type(status, "text/html", page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_welcome_is_as_long_as_the_one_it_stands_in_for() {
        assert_eq!(WELCOME.len(), 612);
    }
}
