use super::*;
use crate::request::Downstream;

fn condition(attribute: Attribute, values: &[&str], not_values: &[&str]) -> Condition {
    let value = |text: &&str| match text.parse() {
        Ok(network) => Value::Network(network),
        Err(_) => Value::text(text),
    };
    Condition {
        attribute,
        values: values.iter().map(value).collect(),
        not_values: not_values.iter().map(value).collect(),
    }
}

fn is(attribute: Attribute, values: &[&str]) -> Condition {
    condition(attribute, values, &[])
}

fn rule(from: Vec<Vec<Condition>>, to: Vec<Vec<Condition>>, when: Vec<Condition>) -> Rule {
    Rule { name: "ns[a]-policy[p]-rule[0]".into(), from, to, when }
}

fn allow(rules: Vec<Rule>) -> Authorization {
    Authorization { allow: Some(rules), ..Authorization::default() }
}

fn deny(rules: Vec<Rule>) -> Authorization {
    Authorization { deny: rules, ..Authorization::default() }
}

const CALLER: Caller<'_> = Caller {
    principal: Some("cluster.local/ns/shop/sa/web"),
    source: Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 244, 0, 7))),
    remote: Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1))),
    destination: None,
    server_name: None,
    token: None,
};

fn request() -> RequestParts {
    RequestParts {
        method: "GET".into(),
        authority: "Reviews.example.com:8080".into(),
        target: "/reviews/1?full=true".into(),
        headers: vec![("x-user".into(), "ann".into()), ("x-user".into(), "bob".into())],
        downstream: Downstream::default(),
        ..RequestParts::default()
    }
}

#[track_caller]
fn check(authorization: &Authorization, expect: bool) {
    let verdict = authorization.judge(&CALLER, Some(&request()));
    assert_eq!(verdict == Verdict::Allowed, expect, "{verdict:?}");
}

#[test]
fn without_rules_that_allow_everything_is_and_with_none_that_fits_nothing() {
    check(&Authorization::default(), true);
    check(&allow(vec![]), false);
    check(&allow(vec![rule(vec![], vec![], vec![])]), true);
}

#[test]
fn what_is_denied_is_not_allowed_by_another_rule() {
    let any = || rule(vec![], vec![], vec![]);
    let both = Authorization { deny: vec![any()], allow: Some(vec![any()]), tokens: None };
    assert_eq!(both.judge(&CALLER, Some(&request())), Verdict::Denied(both.deny.first()));
    let none: Authorization = allow(vec![]);
    assert_eq!(none.judge(&CALLER, Some(&request())), Verdict::Denied(None));
}

#[test]
fn one_source_and_one_operation_and_every_condition_must_hold() {
    let shop = || vec![is(Attribute::Namespace, &["shop"])];
    let other = || vec![is(Attribute::Namespace, &["other"])];
    let get = || vec![is(Attribute::Method, &["GET"])];
    let post = || vec![is(Attribute::Method, &["POST"])];
    let ann = |value: &str| is(Attribute::Header("x-user".into()), &[value]);
    check(&allow(vec![rule(vec![other(), shop()], vec![post(), get()], vec![])]), true);
    check(&allow(vec![rule(vec![other()], vec![get()], vec![])]), false);
    check(&allow(vec![rule(vec![shop()], vec![post()], vec![])]), false);
    // Values of a header that is repeated are one text.
    check(&allow(vec![rule(vec![shop()], vec![get()], vec![ann("ann,bob")])]), true);
    check(&allow(vec![rule(vec![shop()], vec![get()], vec![ann("ann")])]), false);
}

#[test]
fn each_attribute_is_compared_as_istio_does() {
    let fits = |attribute: Attribute, values: &[&str]| {
        check(&allow(vec![rule(vec![], vec![], vec![is(attribute, values)])]), true);
    };
    let differs = |attribute: Attribute, values: &[&str]| {
        check(&allow(vec![rule(vec![], vec![], vec![is(attribute, values)])]), false);
    };
    fits(Attribute::Principal, &["cluster.local/ns/shop/sa/web"]);
    fits(Attribute::Principal, &["*/sa/web"]);
    fits(Attribute::Principal, &["cluster.local/ns/shop/*"]);
    differs(Attribute::Principal, &["cluster.local/ns/shop/sa/other"]);
    fits(Attribute::ServiceAccount, &["shop/sa/web"]);
    fits(Attribute::TrustDomain, &["cluster.local"]);
    fits(Attribute::SourceAddress, &["10.244.0.0/16"]);
    differs(Attribute::SourceAddress, &["192.0.2.0/24"]);
    fits(Attribute::RemoteAddress, &["192.0.2.1/32"]);
    fits(Attribute::Host, &["reviews.EXAMPLE.com:8080"]);
    fits(Attribute::Host, &["reviews.example.com*"]);
    fits(Attribute::Host, &["*.com:8080"]);
    differs(Attribute::Host, &["reviews.example.com"]);
    fits(Attribute::Path, &["/reviews/1"]);
    fits(Attribute::Path, &["/reviews/*"]);
    fits(Attribute::Path, &["*/1"]);
    differs(Attribute::Path, &["/reviews/1?full=true"]);
    differs(Attribute::Method, &["get"]);
    fits(Attribute::Header("x-user".into()), &["*"]);
    differs(Attribute::Header("x-other".into()), &["*"]);
    differs(Attribute::TokenPrincipal, &["*"]);
}

#[test]
fn what_is_not_there_is_none_of_the_values_that_may_not_be() {
    let without = |attribute| condition(attribute, &[], &["*"]);
    check(&deny(vec![rule(vec![vec![without(Attribute::TokenPrincipal)]], vec![], vec![])]), false);
    check(&deny(vec![rule(vec![vec![without(Attribute::Principal)]], vec![], vec![])]), true);
    let not_get = condition(Attribute::Method, &[], &["GET"]);
    check(&deny(vec![rule(vec![], vec![vec![not_get]], vec![])]), true);
}

#[test]
fn ports_are_those_of_the_workload() {
    let port = |port| Condition {
        attribute: Attribute::DestinationPort,
        values: vec![Value::Port(port)],
        not_values: Vec::new(),
    };
    let caller = Caller { destination: Some("10.244.0.9:9080".parse().unwrap()), ..CALLER };
    let at = |number| allow(vec![rule(vec![], vec![vec![port(number)]], vec![])]);
    assert_eq!(at(9080).judge(&caller, Some(&request())), Verdict::Allowed);
    assert_eq!(at(80).judge(&caller, Some(&request())), Verdict::Denied(None));
}

#[test]
fn bytes_are_not_allowed_by_what_only_requests_have_and_are_denied_as_if_it_were_not_said() {
    let inbound = |authorization: Authorization| Inbound {
        authorization: Some(Arc::new(authorization)),
        ..Inbound::default()
    };
    let shop = || vec![vec![is(Attribute::Namespace, &["shop"])]];
    let other = || vec![vec![is(Attribute::Namespace, &["other"])]];
    let get = || vec![vec![is(Attribute::Method, &["GET"])]];
    let check = |authorization: Authorization, expect: bool| {
        let inbound = inbound(authorization);
        assert_eq!(inbound.admits_bytes(&CALLER) == Verdict::Allowed, expect);
    };
    check(allow(vec![rule(shop(), vec![], vec![])]), true);
    check(allow(vec![rule(shop(), get(), vec![])]), false);
    check(deny(vec![rule(shop(), get(), vec![])]), false);
    check(deny(vec![rule(other(), get(), vec![])]), true);
    check(deny(vec![rule(vec![], get(), vec![])]), false);
}

#[test]
fn a_strict_port_takes_nobody_who_is_not_known() {
    let inbound =
        Inbound { strict: true, strict_ports: BTreeMap::from([(80, false)]), authorization: None };
    let unknown = |port| Caller {
        principal: None,
        destination: Some(SocketAddr::from(([10, 244, 0, 9], port))),
        ..CALLER
    };
    assert_eq!(inbound.admits_bytes(&unknown(81)), Verdict::NotMutual);
    assert_eq!(inbound.admits_bytes(&unknown(80)), Verdict::Allowed);
    let known = Caller { principal: CALLER.principal, ..unknown(81) };
    assert_eq!(inbound.admits_bytes(&known), Verdict::Allowed);
}
