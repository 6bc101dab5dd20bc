//! Cross-origin requests, as Envoy's filter treats them.

use crate::headers::HeaderTable;
use crate::model::Cors;
use crate::request::{Request, View};

/// What a cross-origin policy makes of a request.
pub(crate) struct Examined {
    /// The request comes from an allowed origin.
    pub(crate) is_allowed: bool,
    /// The request is a preflight that goes no further.
    pub(crate) is_answered: bool,
}

pub(crate) fn examine<R: Request>(cors: &Cors, view: &View<'_, R>) -> Examined {
    let origin = view.first_header("origin").filter(|origin| !origin.is_empty());
    let Some(origin) = origin else { return Examined { is_allowed: false, is_answered: false } };
    // A policy that takes the text `*` takes every origin.
    let is_allowed =
        cors.allow_origins.iter().any(|allowed| allowed.holds(b"*") || allowed.holds(origin));
    let asked_method = view.first_header("access-control-request-method").unwrap_or_default();
    let is_preflight = view.request.method() == b"OPTIONS" && !asked_method.is_empty();
    Examined {
        is_allowed,
        is_answered: is_preflight && (is_allowed || !cors.forward_unmatched_preflights),
    }
}

/// Puts the headers on the response to an allowed cross-origin request; `origin` is what the request's header says.
pub fn allow_origin(cors: &Cors, origin: &[u8], is_preflight: bool, table: &mut impl HeaderTable) {
    table.set("access-control-allow-origin", origin);
    if cors.allow_credentials == Some(true) {
        table.set("access-control-allow-credentials", b"true");
    }
    let mut set_unless_empty = |name: &str, value: &str| {
        if !value.is_empty() {
            table.set(name, value.as_bytes());
        }
    };
    set_unless_empty("access-control-expose-headers", &cors.expose_headers);
    if !is_preflight {
        return;
    }
    set_unless_empty("access-control-allow-methods", &cors.allow_methods);
    set_unless_empty("access-control-allow-headers", &cors.allow_headers);
    if let Some(max_age) = cors.max_age {
        table.set("access-control-max-age", max_age.as_secs().to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::headers::HeaderList;
    use crate::model::ValueMatch;
    use crate::request::RequestParts;

    fn policy(origin: &str) -> Cors {
        Cors {
            allow_origins: vec![ValueMatch::Exact(origin.into())],
            allow_methods: "GET,POST".into(),
            allow_headers: "x-a".into(),
            expose_headers: "x-b".into(),
            max_age: Some(Duration::from_secs(86_400)),
            allow_credentials: Some(true),
            forward_unmatched_preflights: true,
        }
    }

    fn preflight(origin: &str) -> RequestParts {
        RequestParts::get("a", "/")
            .with_method("OPTIONS")
            .with_header("origin", origin)
            .with_header("access-control-request-method", "POST")
    }

    #[track_caller]
    fn check(cors: &Cors, request: &RequestParts, is_allowed: bool, is_answered: bool) {
        let found = examine(cors, &View::new(request));
        assert_eq!((found.is_allowed, found.is_answered), (is_allowed, is_answered), "{request:?}");
    }

    #[test]
    fn preflights_of_allowed_origins_are_answered() {
        let cors = policy("https://a.example");
        check(&cors, &preflight("https://a.example"), true, true);
        check(&cors, &preflight("https://b.example"), false, false);
        check(&cors, &preflight(""), false, false);
        check(&policy("*"), &preflight("https://b.example"), true, true);
    }

    #[test]
    fn preflights_of_other_origins_are_answered_only_if_they_are_not_to_be_forwarded() {
        let cors = Cors { forward_unmatched_preflights: false, ..policy("https://a.example") };
        check(&cors, &preflight("https://b.example"), false, true);
        check(
            &cors,
            &RequestParts::get("a", "/").with_header("origin", "https://b.example"),
            false,
            false,
        );
    }

    #[test]
    fn requests_that_are_no_preflight_go_on() {
        let cors = policy("https://a.example");
        check(
            &cors,
            &RequestParts::get("a", "/").with_header("origin", "https://a.example"),
            true,
            false,
        );
        check(&cors, &preflight("https://a.example").with_method("POST"), true, false);
        check(&cors, &RequestParts::get("a", "/"), false, false);
        let without_method = RequestParts::get("a", "/")
            .with_method("OPTIONS")
            .with_header("origin", "https://a.example");
        check(&cors, &without_method, true, false);
    }

    #[test]
    fn responses_tell_the_browser_what_is_allowed() {
        let names = |is_preflight: bool| {
            let mut table = HeaderList::default();
            allow_origin(&policy("*"), b"https://b.example", is_preflight, &mut table);
            assert_eq!(
                table.first("access-control-allow-origin"),
                Some(b"https://b.example".as_slice())
            );
            table.0.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(
            names(true),
            [
                "access-control-allow-origin",
                "access-control-allow-credentials",
                "access-control-expose-headers",
                "access-control-allow-methods",
                "access-control-allow-headers",
                "access-control-max-age",
            ]
        );
        assert_eq!(
            names(false),
            [
                "access-control-allow-origin",
                "access-control-allow-credentials",
                "access-control-expose-headers"
            ]
        );
    }
}
