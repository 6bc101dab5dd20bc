//! The rules and requests of the benchmark.

use std::convert::Infallible;
use std::sync::Arc;

use serin_re2::Regex;
use serin_routing::model::{
    Action, Cluster, Destination, Destinations, Discovery, Forward, HeaderMatch, HeaderOps, Origin,
    PathMatch, QueryMatch, Route, RouteMatch, RouteTable, ValueMatch, VirtualHost,
};
use serin_routing::request::{Downstream, Request};

/// Kinds of rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    Prefix,
    Exact,
    Regex,
    Header,
    Mixed,
}

impl Mix {
    pub(crate) const ALL: [Self; 5] =
        [Self::Prefix, Self::Exact, Self::Regex, Self::Header, Self::Mixed];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Exact => "exact",
            Self::Regex => "regex",
            Self::Header => "header",
            Self::Mixed => "mixed",
        }
    }
}

/// Which rules the requests are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    First,
    Middle,
    Last,
    /// None.
    Miss,
    /// Rules all over the table, so that caches help less.
    Anywhere,
}

impl Position {
    pub(crate) const ALL: [Self; 5] =
        [Self::First, Self::Middle, Self::Last, Self::Miss, Self::Anywhere];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Middle => "middle",
            Self::Last => "last",
            Self::Miss => "miss",
            Self::Anywhere => "anywhere",
        }
    }
}

/// As many rules in a row as a mix has kinds: positions are measured over all of them.
const KINDS: usize = 6;

fn header(name: &str, value: ValueMatch) -> HeaderMatch {
    HeaderMatch { name: name.into(), value, invert: false, missing_is_empty: false }
}

#[expect(clippy::expect_used, reason = "the patterns are written here")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the benchmark's patterns are correct")
}

fn prefix_of(number: usize) -> RouteMatch {
    let path = format!("/api/v{}/team-{}/service-{number}/", number % 3, number % 50);
    RouteMatch { path: PathMatch::Prefix(path.into()), ..RouteMatch::default() }
}

fn exact_of(number: usize) -> RouteMatch {
    RouteMatch {
        path: PathMatch::Exact(format!("/api/service-{number}/status").into()),
        ..RouteMatch::default()
    }
}

fn regex_of(number: usize) -> RouteMatch {
    let pattern = format!("/api/v[0-9]+/service-{number}/items/[0-9]+");
    RouteMatch { path: PathMatch::Regex(regex(&pattern)), ..RouteMatch::default() }
}

fn header_of(number: usize) -> RouteMatch {
    let user = ValueMatch::Exact(format!("user-{number}").into());
    RouteMatch {
        path: PathMatch::Prefix("/".into()),
        headers: vec![header("end-user", user)],
        ..RouteMatch::default()
    }
}

fn condition(mix: Mix, number: usize) -> RouteMatch {
    match (mix, number % KINDS) {
        (Mix::Prefix, _) => prefix_of(number),
        (Mix::Exact, _) => exact_of(number),
        (Mix::Regex, _) => regex_of(number),
        (Mix::Header, _) => header_of(number),
        (Mix::Mixed, 0) => prefix_of(number),
        (Mix::Mixed, 1) => RouteMatch {
            headers: vec![header(":method", ValueMatch::Exact("GET".into()))],
            ..exact_of(number)
        },
        (Mix::Mixed, 2) => RouteMatch {
            headers: vec![header("x-env", ValueMatch::Exact("test".into()))],
            ..regex_of(number)
        },
        (Mix::Mixed, 3) => header_of(number),
        (Mix::Mixed, 4) => {
            let pattern = format!("^(.*?;)?(user=jason-{number})(;.*)?$");
            let cookie = header("cookie", ValueMatch::Regex(regex(&pattern)));
            RouteMatch { headers: vec![cookie], ..RouteMatch::default() }
        }
        (Mix::Mixed, _) => {
            let version = ValueMatch::Exact(format!("version-{number}").into());
            let query = vec![QueryMatch { name: "version".into(), value: version }];
            RouteMatch { path: PathMatch::Prefix("/".into()), query, ..RouteMatch::default() }
        }
    }
}

/// A request as a codec has it: what is the same in all requests lies in the same place, as in a connection's buffer.
pub(crate) struct BenchRequest {
    target: String,
    own: Option<(&'static str, String)>,
    downstream: Downstream,
}

/// Headers that browsers and gateways send.
const COMMON: [(&str, &str); 7] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br"),
    ("x-request-id", "6c2c9c4e-9f0e-4f3a-8d6e-0f6f8d1b1b1b"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-env", "test"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
];

impl Request for BenchRequest {
    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn scheme(&self) -> &[u8] {
        b"http"
    }

    fn authority(&self) -> &[u8] {
        b"shop.example.com"
    }

    fn target(&self) -> &[u8] {
        self.target.as_bytes()
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let own = self.own.iter().map(|(name, value)| (*name, &**value));
        COMMON.into_iter().chain(own).map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }

    fn downstream(&self) -> &Downstream {
        &self.downstream
    }
}

/// A request that the rule of this number is the first to take.
fn request(mix: Mix, number: usize) -> BenchRequest {
    let (team, version) = (number % 50, number % 3);
    let (target, own) = match (mix, number % KINDS) {
        (Mix::Prefix, _) | (Mix::Mixed, 0) => {
            (format!("/api/v{version}/team-{team}/service-{number}/items?id=7"), None)
        }
        (Mix::Exact, _) | (Mix::Mixed, 1) => (format!("/api/service-{number}/status"), None),
        (Mix::Regex, _) | (Mix::Mixed, 2) => (format!("/api/v1/service-{number}/items/42"), None),
        (Mix::Header, _) | (Mix::Mixed, 3) => {
            ("/productpage".to_owned(), Some(("end-user", format!("user-{number}"))))
        }
        (Mix::Mixed, 4) => (
            "/productpage".to_owned(),
            Some(("cookie", format!("lang=en;user=jason-{number};theme=dark"))),
        ),
        (Mix::Mixed, _) => (format!("/productpage?lang=en&version=version-{number}"), None),
    };
    BenchRequest { target, own, downstream: Downstream::default() }
}

/// Requests for a position; for rules near it, so that each kind has its part.
pub(crate) fn requests(mix: Mix, size: usize, position: Position) -> Vec<BenchRequest> {
    let kinds = if mix == Mix::Mixed { KINDS } else { 1 };
    let numbers: Vec<usize> = match position {
        Position::First => (0..kinds).collect(),
        Position::Middle => (size / 2..size / 2 + kinds).collect(),
        Position::Last => (size - kinds..size).collect(),
        Position::Miss => (size * 2..size * 2 + kinds).collect(),
        Position::Anywhere => (0..1024_usize).map(|step| step * 7919 % size).collect(),
    };
    numbers.into_iter().map(|number| request(mix, number)).collect()
}

fn route(number: usize, condition: RouteMatch) -> Arc<Route> {
    let destination = Destination::new("cluster".into(), 100);
    let forward = Forward::new(Destinations::new(vec![destination]));
    Arc::new(Route {
        name: format!("rule-{number}").into(),
        origin: Origin::built_in("bench"),
        condition,
        action: Action::Forward(Box::new(forward)),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        fault: None,
        cors: None,
    })
}

/// A table with one virtual host.
pub(crate) fn table(mix: Mix, size: usize) -> Arc<RouteTable> {
    let routes = (0..size).map(|number| route(number, condition(mix, number))).collect();
    let host = VirtualHost {
        name: "shop".into(),
        domains: vec!["shop.example.com".into()],
        routes,
        require_tls: false,
    };
    Arc::new(RouteTable { name: "http.8080".into(), virtual_hosts: vec![Arc::new(host)] })
}

/// A table with a virtual host for each of many services, as a sidecar has it.
pub(crate) fn many_hosts(size: usize) -> Arc<RouteTable> {
    let host = |number: usize| {
        let service = format!("service-{number}");
        let domains = [
            format!("{service}.shop.svc.cluster.local"),
            service.clone(),
            format!("{service}.shop"),
            format!("{service}.shop.svc"),
            format!("10.{}.{}.{}", number / 65_536, number / 256 % 256, number % 256),
        ];
        Arc::new(VirtualHost {
            name: format!("{service}.shop.svc.cluster.local:9080").into(),
            domains: domains.into_iter().map(Arc::from).collect(),
            routes: vec![route(0, RouteMatch::default())],
            require_tls: false,
        })
    };
    Arc::new(RouteTable { name: "9080".into(), virtual_hosts: (0..size).map(host).collect() })
}

/// The same table with one rule in the middle replaced.
pub(crate) fn with_one_rule_changed(table: &RouteTable) -> Arc<RouteTable> {
    let mut table = table.clone();
    let middle = table.virtual_hosts.len() / 2;
    let host = Arc::make_mut(&mut table.virtual_hosts[middle]);
    let middle = host.routes.len() / 2;
    host.routes[middle] = route(0, exact_of(123_456));
    Arc::new(table)
}

/// The same table without the virtual host in the middle.
pub(crate) fn with_one_host_less(table: &RouteTable) -> Arc<RouteTable> {
    let mut table = table.clone();
    table.virtual_hosts.remove(table.virtual_hosts.len() / 2);
    Arc::new(table)
}

pub(crate) fn cluster() -> Arc<Cluster> {
    Arc::new(Cluster::new("cluster".into(), Discovery::Listed))
}

/// Numbers that are random enough for weights.
#[derive(Default)]
pub(crate) struct Steps(u64);

impl rand_core::TryRng for Steps {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}
