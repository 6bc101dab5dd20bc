//! What rules say, as clients and upstreams see it.

use std::time::Duration;

use serin_routing::model::{HeaderOps, HeaderValue};

use crate::support::{Setup, echo, talk, upstream};

const GET: &str = "GET /a?q HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n";

#[test]
fn header_changes_reach_the_upstream_and_the_client() {
    let mut setup = Setup::new(echo());
    let value = |text: &str| HeaderValue { format: text.into() };
    setup.route().request_headers =
        HeaderOps { set: vec![("x-to-up".into(), value("%REQ(:path)%"))], ..HeaderOps::default() };
    setup.route().response_headers = HeaderOps {
        remove: vec!["x-up".into()],
        add: vec![("x-to-down".into(), value("1"))],
        ..HeaderOps::default()
    };
    let answer = talk(setup.start().address, GET);
    assert!(answer.contains("x-to-up: /a?q\r\n"), "{answer}");
    assert!(answer.contains("x-to-down: 1\r\n") && !answer.contains("x-up: 1"), "{answer}");
}

#[test]
fn a_timeout_is_answered_with_504_and_counts_from_the_end_of_the_request() {
    let silent = upstream(|mut stream| {
        let mut seen = Vec::new();
        while crate::support::next_request(&mut stream, &mut seen).is_some() {}
    });
    let mut setup = Setup::new(silent);
    setup.forward().timeout = Some(Duration::from_millis(20));
    let answer = talk(setup.start().address, GET);
    assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
    assert!(answer.ends_with("upstream request timeout"), "{answer}");
}
