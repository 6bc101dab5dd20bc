use serde_json::{Value, json};

use super::*;

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn table() -> Table {
    let mut table = Table::new("cluster.local");
    let service = |name: &str, spec: Value| {
        object(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}))
    };
    let ports = json!([{"name": "http", "port": 80}]);
    table.service(&service("web", json!({"clusterIP": "10.96.1.2", "ports": ports})));
    table.service(&service("db", json!({"clusterIP": "None", "ports": ports})));
    table.service(&service("out", json!({"type": "ExternalName", "externalName": "example.com"})));
    table.service(&service(
        "alias",
        json!({"type": "ExternalName", "externalName": "web.shop.svc.cluster.local"}),
    ));
    table.service(&service("empty", json!({"clusterIP": "None"})));
    table.slice(&object(json!({
        "metadata": {"name": "db-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [
            {"addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": {"ready": true}},
            {"addresses": ["10.244.0.6"], "conditions": {"ready": true}},
            {"addresses": ["10.244.0.7"], "conditions": {"ready": false}},
        ],
    })));
    table
}

/// A question as a resolver writes it.
fn ask(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0]);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message
}

/// What the answer to a question says: `elsewhere`, its code, or its records.
fn check(name: &str, kind: u16, expect: &str) {
    let table = table();
    let message = ask(name, kind);
    let question = message::question(&message).unwrap();
    let code = match answer(&table, &message) {
        Verdict::Elsewhere => {
            assert_eq!("elsewhere", expect, "{name}");
            return;
        }
        Verdict::Ignore => panic!("{name} is a question"),
        Verdict::Answer(bytes) => {
            assert_eq!(bytes[..2], [1, 2]);
            bytes[3] & 15
        }
    };
    let Found::Records(all) = table.find(&question.name) else {
        assert_eq!((code, expect), (NO_NAME, "no such name"), "{name}");
        return;
    };
    let (records, further) = chosen(&table, &question, &all);
    let show = |(name, data): &(String, Data)| match data {
        Data::A(address) => format!("{name}={address}"),
        Data::Cname(target) => format!("{name}->{target}"),
        Data::Ptr(target) => target.clone(),
        Data::Srv(port, target) => format!("{target}:{port}"),
    };
    let text: Vec<_> = records.iter().chain(&further).map(show).collect();
    assert_eq!((code, text.join(" ").as_str()), (NO_ERROR, expect), "{name}");
}

#[test]
fn services_have_their_address_and_nothing_else() {
    check("web.shop.svc.cluster.local", A, "web.shop.svc.cluster.local=10.96.1.2");
    check("WEB.Shop.svc.cluster.local", A, "web.shop.svc.cluster.local=10.96.1.2");
    check("web.shop.svc.cluster.local", 28, "");
    check("x.shop.svc.cluster.local", A, "no such name");
    check("web.shop.svc.cluster.local.shop.svc.cluster.local", A, "no such name");
    check("shop.svc.cluster.local", A, "");
    check("other.svc.cluster.local", A, "no such name");
    check("a.web.shop.svc.cluster.local", A, "no such name");
    check("example.com", A, "elsewhere");
}

#[test]
fn headless_services_have_the_addresses_of_endpoints_that_are_ready() {
    let own = "db.shop.svc.cluster.local";
    check(own, A, &format!("{own}=10.244.0.5 {own}=10.244.0.6"));
    check("db-0.db.shop.svc.cluster.local", A, "db-0.db.shop.svc.cluster.local=10.244.0.5");
    let dashed = "10-244-0-6.db.shop.svc.cluster.local";
    check(dashed, A, &format!("{dashed}=10.244.0.6"));
    check("db-9.db.shop.svc.cluster.local", A, "no such name");
    check("empty.shop.svc.cluster.local", A, "");
}

#[test]
fn ports_are_found_by_name_and_protocol() {
    let web = "web.shop.svc.cluster.local";
    check(&format!("_http._tcp.{web}"), SRV, &format!("{web}:80 {web}=10.96.1.2"));
    check(&format!("_http._udp.{web}"), SRV, "no such name");
    let one = "db-0.db.shop.svc.cluster.local";
    let two = "10-244-0-6.db.shop.svc.cluster.local";
    check(
        "_http._tcp.db.shop.svc.cluster.local",
        SRV,
        &format!("{one}:8080 {two}:8080 {one}=10.244.0.5 {two}=10.244.0.6"),
    );
}

#[test]
fn other_names_pods_and_addresses_have_names() {
    check("out.shop.svc.cluster.local", A, "out.shop.svc.cluster.local->example.com");
    let web = "web.shop.svc.cluster.local";
    let alias = "alias.shop.svc.cluster.local";
    check(alias, A, &format!("{alias}->{web} {web}=10.96.1.2"));
    let pod = "10-244-0-9.shop.pod.cluster.local";
    check(pod, A, &format!("{pod}=10.244.0.9"));
    check("2.1.96.10.in-addr.arpa", PTR, web);
    check("5.0.244.10.in-addr.arpa", PTR, "db-0.db.shop.svc.cluster.local");
    check("8.8.8.8.in-addr.arpa", PTR, "elsewhere");
}

#[test]
fn answers_that_have_no_room_are_cut_and_say_so() {
    let message = ask("web.shop.svc.cluster.local", A);
    let Verdict::Answer(whole) = answer(&table(), &message) else { panic!("an answer") };
    assert_eq!(message::fit(whole.clone(), 512), whole);
    let cut = message::fit(whole, 50);
    assert_eq!(cut[2] & 2, 2);
    assert_eq!(cut[12..], message[12..]);
}

#[test]
fn what_is_no_question_is_ignored() {
    assert_eq!(answer(&table(), b"short"), Verdict::Ignore);
    let mut response = ask("web.shop.svc.cluster.local", A);
    response[2] |= 0x80;
    assert_eq!(answer(&table(), &response), Verdict::Ignore);
}
