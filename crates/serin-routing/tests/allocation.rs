//! A decision for a rule without header changes allocates nothing.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use serin_re2::Regex;
use serin_routing::balancer::Policy;
use serin_routing::cohort::{Cohort, Key};
use serin_routing::compiled::CompiledModel;
use serin_routing::decide::{Verdict, decide};
use serin_routing::model::{
    Action, Cluster, Cors, Delay, Destination, Destinations, Discovery, Fault, Forward, HashKey,
    HashPolicy, HeaderMatch, HeaderOps, Mirror, Origin, PathMatch, PathRewrite, PerMillion,
    QueryMatch, Route, RouteMatch, RouteTable, ValueMatch, VirtualHost,
};
use serin_routing::request::RequestParts;
use serin_routing::{Model, Scratch};

/// The system's allocator, which counts what this thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends has no counter any more, and nobody asks for it.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn cluster(name: &str) -> Arc<Cluster> {
    let balancer = Policy::RingHash { minimum_ring_size: 1024 };
    Arc::new(Cluster { balancer, ..Cluster::new(name.into(), Discovery::Listed) })
}

/// A rule that makes a decision use everything it can.
fn route(condition: RouteMatch) -> Arc<Route> {
    let destination = |cluster: &str| Destination::new(cluster.into(), 50);
    let hash = |key: HashKey| HashPolicy { key, terminal: false };
    let cookie = HashKey::Cookie {
        name: "made".into(),
        path: Some("/".into()),
        ttl: Some(Duration::from_secs(60)),
        attributes: Vec::new(),
    };
    let forward = Forward {
        path_rewrite: Some(PathRewrite::Prefix("/new".into())),
        host_rewrite: Some("ratings".into()),
        timeout: Some(Duration::from_secs(5)),
        mirrors: vec![Mirror { cluster: "v1".into(), fraction: PerMillion::from_percent(50.0) }],
        hash: vec![
            hash(cookie),
            hash(HashKey::SourceAddress),
            hash(HashKey::Header("x-user".into())),
        ],
        cohort: Some(Cohort {
            rollout: "r".into(),
            keys: vec![Key::Cookie("session".into()), Key::SourceAddress],
        }),
        allow_upgrade: false,
        ..Forward::new(Destinations::new(vec![destination("v1"), destination("v2")]))
    };
    Arc::new(Route {
        name: "rule".into(),
        origin: Origin::built_in("test"),
        condition,
        action: Action::Forward(Box::new(forward)),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        fault: Some(Fault {
            delay: Some(Delay {
                duration: Duration::from_secs(1),
                fraction: PerMillion::from_percent(50.0),
            }),
            abort: None,
        }),
        cors: Some(Cors { allow_origins: vec![ValueMatch::Exact("a".into())], ..Cors::default() }),
    })
}

#[expect(clippy::unwrap_used, reason = "the patterns are written here")]
fn conditions(number: usize) -> [RouteMatch; 6] {
    let path = |path: PathMatch| RouteMatch { path, ..RouteMatch::default() };
    let regex = |pattern: String| Regex::new(&pattern).unwrap();
    let header = |name: &str, value: ValueMatch| RouteMatch {
        headers: vec![HeaderMatch {
            name: name.into(),
            value,
            invert: false,
            missing_is_empty: false,
        }],
        ..RouteMatch::default()
    };
    let query =
        QueryMatch { name: "k".into(), value: ValueMatch::Exact(number.to_string().into()) };
    [
        path(PathMatch::Prefix(format!("/prefix-{number}/").into())),
        RouteMatch {
            ignore_case: true,
            ..path(PathMatch::Exact(format!("/Exact-{number}").into()))
        },
        path(PathMatch::Regex(regex(format!("/.*/number-{number}/[a-z]+")))),
        header("x-user", ValueMatch::Exact(number.to_string().into())),
        header("cookie", ValueMatch::Regex(regex(format!("^(.*?;)?(user=u-{number})(;.*)?$")))),
        RouteMatch { query: vec![query], ..path(PathMatch::Prefix("/".into())) },
    ]
}

fn model() -> CompiledModel {
    let routes = (0..100).flat_map(conditions).map(route).collect();
    let domains = vec!["reviews".into(), "*.example.com".into()];
    let host = VirtualHost { name: "reviews".into(), domains, routes, require_tls: false };
    let table = RouteTable { name: "80".into(), virtual_hosts: vec![Arc::new(host)] };
    CompiledModel::new(Arc::new(Model {
        route_tables: [("80".into(), Arc::new(table))].into(),
        clusters: [("v1".into(), cluster("v1")), ("v2".into(), cluster("v2"))].into(),
        ..Model::default()
    }))
}

struct Steps(u64);

impl rand_core::TryRng for Steps {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[test]
fn decisions_allocate_nothing() {
    let model = model();
    let table = model.table("80").unwrap();
    let get = |target: &str| {
        RequestParts::get("Reviews:80", target)
            .with_header("cookie", "session=1")
            .with_header("accept", "*/*")
    };
    let mut requests = vec![
        get("/prefix-99/x"),
        get("/EXACT-99?q"),
        get("/a/b/number-98/x"),
        get("/x").with_header("x-user", "97"),
        RequestParts::get("reviews", "/x").with_header("cookie", "session=1;user=u-96"),
        get("/x?a=b&k=95"),
        get("/no/such/rule"),
        RequestParts::get("www.example.com", "/prefix-1/"),
        RequestParts::get("elsewhere", "/"),
    ];
    for request in &mut requests {
        request.downstream.remote =
            Some("[2001:db8:1234:5678:9abc:def0:1234:5678]:54321".parse().unwrap());
        request.downstream.local = Some("10.0.0.1:80".parse().unwrap());
    }
    let (mut scratch, mut rng) = (Scratch::default(), Steps(1));
    let mut decide_all = || {
        let decided =
            requests.iter().map(|request| decide(&model, table, request, &mut scratch, &mut rng));
        decided.filter(|decision| matches!(decision.verdict, Verdict::Forward(_))).count()
    };
    // Buffers grow, and what is built at first use is built.
    assert_eq!(decide_all(), 7);
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        assert_eq!(decide_all(), 7);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
