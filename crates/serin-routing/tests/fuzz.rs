//! Fuzz targets, which `cargo test` runs on a sample of inputs and a coverage-guided engine can run for longer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use serin_re2::{Regex, Rewrite};
use serin_routing::balancer::Policy;
use serin_routing::compiled::CompiledModel;
use serin_routing::decide::{Verdict, decide};
use serin_routing::explain::explain;
use serin_routing::format::{Facts, Format};
use serin_routing::matching::first_match;
use serin_routing::model::{
    Action, Cluster, Cors, Destination, Destinations, Discovery, Forward, HashKey, HashPolicy,
    HeaderMatch, HeaderOps, Origin, PathMatch, PathRedirect, PathRewrite, QueryMatch, Redirect,
    RedirectPort, Route, RouteMatch, RouteTable, ValueMatch, VirtualHost,
};
use serin_routing::request::{Downstream, Request};
use serin_routing::{Model, Scratch};

/// A request of any bytes: method, authority and target in lines, and then headers in pairs of lines.
struct Raw<'b> {
    lines: Vec<&'b [u8]>,
    downstream: Downstream,
}

impl<'b> Raw<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        let downstream = Downstream { listener_port: 80, ..Downstream::default() };
        Self { lines: bytes.split(|&byte| byte == b'\n').collect(), downstream }
    }

    fn line(&self, number: usize) -> &[u8] {
        self.lines.get(number).copied().unwrap_or_default()
    }
}

impl Request for Raw<'_> {
    fn method(&self) -> &[u8] {
        self.line(0)
    }

    fn scheme(&self) -> &[u8] {
        b"http"
    }

    fn authority(&self) -> &[u8] {
        self.line(1)
    }

    fn target(&self) -> &[u8] {
        self.line(2)
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = self.lines.get(3..).unwrap_or_default();
        lines.chunks_exact(2).map(|pair| (pair[0], pair[1]))
    }

    fn downstream(&self) -> &Downstream {
        &self.downstream
    }
}

#[expect(clippy::unwrap_used, reason = "the patterns are written here")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

fn conditions() -> Vec<RouteMatch> {
    let path = |path: PathMatch| RouteMatch { path, ..RouteMatch::default() };
    let header = |name: &str, value: ValueMatch, invert: bool| RouteMatch {
        headers: vec![HeaderMatch { name: name.into(), value, invert, missing_is_empty: invert }],
        ..RouteMatch::default()
    };
    let query = |value: ValueMatch| RouteMatch {
        query: vec![QueryMatch { name: "k".into(), value }],
        ..path(PathMatch::Prefix("/q".into()))
    };
    vec![
        path(PathMatch::Exact("/a".into())),
        RouteMatch { ignore_case: true, ..path(PathMatch::Prefix("/Ab".into())) },
        path(PathMatch::Segments("/s".into())),
        path(PathMatch::Regex(regex("/r[0-9]+/(x|y)*"))),
        path(PathMatch::Regex(regex(".*/contained/.*"))),
        path(PathMatch::Regex(regex("/\\C/.*"))),
        header("x", ValueMatch::Exact("1".into()), false),
        header("x", ValueMatch::Suffix("end".into()), false),
        header("cookie", ValueMatch::Regex(regex("^(.*?;)?(user=a)(;.*)?$")), false),
        header(":method", ValueMatch::Exact("PUT".into()), false),
        header("host", ValueMatch::Prefix("a.".into()), false),
        query(ValueMatch::Exact("".into())),
        query(ValueMatch::Regex(regex("[^v]+"))),
        query(ValueMatch::Present),
        header("y", ValueMatch::Regex(regex(".*")), true),
        header("z", ValueMatch::Present, true),
    ]
}

/// Every action in turn.
#[expect(clippy::unwrap_used, reason = "the patterns are written here")]
fn action(number: usize) -> Action {
    let rewrite = match number % 3 {
        0 => PathRewrite::Prefix("/new/".into()),
        1 => PathRewrite::Full("/full".into()),
        _ => PathRewrite::Regex {
            pattern: regex("([a-z]*)/?"),
            substitution: Rewrite::parse("<\\1>", 1).unwrap(),
        },
    };
    let path = match number % 2 {
        0 => PathRedirect::Full("/full".into()),
        _ => PathRedirect::Prefix("/prefix".into()),
    };
    let cookie = HashKey::Cookie {
        name: "sid".into(),
        path: None,
        ttl: Some(Duration::ZERO),
        attributes: Vec::new(),
    };
    let keys = [HashKey::Header("x".into()), cookie, HashKey::Query("k".into())];
    match number % 4 {
        0 => Action::Redirect(Box::new(Redirect {
            status: 302,
            scheme: Some("https".into()),
            authority: None,
            port: Some(RedirectPort::RequestPort),
            path: Some(path),
        })),
        _ => Action::Forward(Box::new(Forward {
            path_rewrite: Some(rewrite),
            hash: keys.map(|key| HashPolicy { key, terminal: false }).into(),
            ..Forward::new(Destinations::new(vec![Destination::new("cluster".into(), 1)]))
        })),
    }
}

fn model(conditions: Vec<RouteMatch>) -> Model {
    let route = |(number, condition): (usize, RouteMatch)| {
        Arc::new(Route {
            name: number.to_string().into(),
            origin: Origin::built_in("test"),
            condition,
            action: action(number),
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
            fault: None,
            cors: Some(Cors {
                allow_origins: vec![ValueMatch::Prefix("http".into())],
                ..Cors::default()
            }),
        })
    };
    let domains = ["a", "*.b", "c.*", "*"].map(Arc::from).into();
    let routes = conditions.into_iter().enumerate().map(route).collect();
    let host = VirtualHost { name: "host".into(), domains, routes, require_tls: false };
    let table = RouteTable { name: "80".into(), virtual_hosts: vec![Arc::new(host)] };
    let balancer = Policy::RingHash { minimum_ring_size: 1024 };
    let cluster = Cluster { balancer, ..Cluster::new("cluster".into(), Discovery::Listed) };
    Model {
        route_tables: [("80".into(), Arc::new(table))].into(),
        clusters: [("cluster".into(), Arc::new(cluster))].into(),
        ..Model::default()
    }
}

struct Zeros;

impl rand_core::TryRng for Zeros {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

/// Decides, explains and scans, and makes every text that the decision offers.
fn check(model: &CompiledModel, scratch: &mut Scratch, bytes: &[u8]) {
    let request = Raw::new(bytes);
    let Some(table) = model.table("80") else { panic!("the model has a table") };
    let routes = &table.table().virtual_hosts[0].routes;
    let scanned = first_match(routes, &request).map(|route| route.name.to_string());
    let explained = explain(model.model(), table.table(), &request).route;
    let decision = decide(model, table, &request, scratch, &mut Zeros);
    let decided = decision.rule.map(|rule| rule.route().name.to_string());
    assert_eq!(decided, scanned);
    assert_eq!(explained, scanned);
    match &decision.verdict {
        Verdict::Forward(forwarding) => {
            forwarding.rewritten_target(&request);
            forwarding.retries(&request);
            forwarding.cookie.map(|cookie| cookie.header());
        }
        Verdict::Redirect(redirection) => {
            redirection.location(&request);
        }
        Verdict::Direct(_) | Verdict::Preflight | Verdict::Fail(_) => {}
    }
}

#[test]
fn decisions_survive_any_bytes_and_agree_with_explanations() {
    let model = CompiledModel::new(Arc::new(model(conditions())));
    bolero::check!().for_each(|bytes: &[u8]| check(&model, &mut Scratch::default(), bytes));
}

/// The same with requests made of pieces that the rules are about.
#[test]
fn decisions_survive_requests_that_nearly_match() {
    const PIECES: [&[u8]; 40] = [
        b"GET",
        b"PUT",
        b"OPTIONS",
        b"CONNECT",
        b"\n",
        b"\n",
        b"\n",
        b"\n",
        b"a",
        b"a.",
        b".b",
        b"c.",
        b":80",
        b"[::1]",
        b"/a",
        b"/AB",
        b"/s",
        b"/",
        b"/r1/",
        b"x",
        b"y",
        b"/contained/",
        b"?",
        b"k",
        b"=",
        b"&",
        b"#",
        b"v",
        b"\nx\n",
        b"\ny\n",
        b"\nz\n",
        b"\ncookie\n",
        b"user=a",
        b";",
        b"1",
        b"end",
        b"\norigin\nhttp",
        b"\xff",
        b"\xc3\xa9",
        b"\naccess-control-request-method\n",
    ];
    let model = CompiledModel::new(Arc::new(model(conditions())));
    bolero::check!().with_type::<Vec<u8>>().for_each(|choice| {
        let piece = |choice: &u8| PIECES[usize::from(*choice) % PIECES.len()];
        let bytes: Vec<u8> = choice.iter().flat_map(piece).copied().collect();
        check(&model, &mut Scratch::default(), &bytes);
    });
}

/// Conditions on headers and parameters, of any texts, and requests that have some of them.
#[test]
fn conditions_of_any_text_hold_for_any_value_as_they_mean() {
    const NAMES: [&str; 4] = ["x", "cookie", "host", ":method"];
    let condition = |(how, text): &(u8, String)| {
        let value = match (how % 5, Regex::new(text)) {
            (0, _) => ValueMatch::Present,
            (1, _) => ValueMatch::Exact(text.as_str().into()),
            (2, _) => ValueMatch::Prefix(text.as_str().into()),
            (3, Ok(regex)) => ValueMatch::Regex(regex),
            _ => ValueMatch::Suffix(text.as_str().into()),
        };
        let (invert, missing_is_empty) = (how & 32 != 0, how & 64 != 0);
        let name = NAMES[usize::from(how >> 3 & 3)];
        if how & 128 == 0 {
            let header = HeaderMatch { name: name.into(), value, invert, missing_is_empty };
            RouteMatch { headers: vec![header], ..RouteMatch::default() }
        } else {
            let name = if invert { text.as_str() } else { "k" };
            let query = vec![QueryMatch { name: name.into(), value }];
            RouteMatch { query, ..RouteMatch::default() }
        }
    };
    type Input = (Vec<(u8, String)>, Vec<(u8, String)>);
    bolero::check!().with_type::<Input>().for_each(|(conditions, requests)| {
        let model = model(conditions.iter().map(condition).collect());
        let model = CompiledModel::new(Arc::new(model));
        let texts = conditions.iter().map(|(_, text)| text).chain(requests.iter().map(|it| &it.1));
        let texts: Vec<&String> = texts.collect();
        for (choice, own) in requests {
            let text = texts[usize::from(*choice) % texts.len()];
            let request =
                format!("{own}\na\n/?{text}={own}&k={text}\nx\n{text}\ncookie\n{text}{own}");
            check(&model, &mut Scratch::default(), request.as_bytes());
        }
    });
}

struct SomeFacts;

impl Facts for SomeFacts {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        (name == "x").then_some(b"\xff%")
    }

    fn start_time(&self) -> Option<Duration> {
        Some(Duration::from_millis(1_709_210_096_789))
    }
}

/// A format string without percent signs is the text itself, and none makes rendering panic.
#[test]
fn format_strings_survive_any_text() {
    const PIECES: [&str; 20] = [
        "%",
        "%%",
        "REQ",
        "(",
        "x",
        ")",
        ":",
        "3",
        "START_TIME",
        "Y",
        "E3S",
        "f",
        "9",
        "RESP",
        "?",
        "é",
        " ",
        "PROTOCOL",
        "\u{10ffff}",
        "UPSTREAM_HOST",
    ];
    bolero::check!().with_type::<Vec<u8>>().for_each(|choice| {
        let piece = |choice: &u8| PIECES[usize::from(*choice) % PIECES.len()];
        let text: String = choice.iter().map(piece).collect();
        let mut out = Vec::new();
        let format = Format::parse(&text);
        format.render(&SomeFacts, "-", &mut out);
        if !text.contains('%') {
            assert_eq!(out, text.as_bytes());
            assert_eq!(format.unknown().count(), 0);
        }
    });
}
