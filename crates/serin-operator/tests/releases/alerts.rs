//! The ways of alerts: through proxies, along redirects, to those who refuse, hang or are not there. What is not told is told
//! in an event.

use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::receiver::{Received, Receiver};
use crate::world::World;

/// A release that begins, and one alert for each of these AlertProviders by name.
async fn begin(world: &mut World, providers: &[(&str, Value)]) {
    let alert = |(name, _): &(&str, Value)| json!({"name": name, "severity": "info", "providerRef": {"name": name}});
    for (name, spec) in providers.iter().filter(|(_, spec)| !spec.is_null()) {
        let mut provider = json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": name}, "spec": spec,
        });
        provider["spec"]["type"] = json!("slack");
        world.create(provider).await;
    }
    let alerts: Vec<Value> = providers.iter().map(alert).collect();
    world.edit(json!({"spec": {"analysis": {"alerts": alerts}}})).await;
    world.tick().await;
    world.events().await;
    world.receiver.take();
    world.set_image("podinfo:2").await;
    world.tick().await;
}

async fn secret(world: &World, name: &str, data: Value) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
    world.create(secret).await;
}

async fn world() -> World {
    World::flagger(json!({"interval": "10s", "threshold": 1, "stepWeight": 50})).await
}

fn paths(received: &[Received]) -> Vec<&str> {
    let mut paths: Vec<&str> = received.iter().map(|it| it.path.as_str()).collect();
    paths.sort_unstable();
    paths
}

#[tokio::test]
async fn alerts_go_through_the_proxy_that_is_named() {
    let mut world = world().await;
    let (secure, certificate) = Receiver::start_secure("alerts.example").await;
    world.trust(certificate);
    let proxy = Proxy::start(&world.receiver, &secure).await;
    let through = format!("http://bird:s3cret@{}", proxy.authority);
    secret(&world, "who", json!({"address": "https://alerts.example/secure", "token": "t0ken\n"}))
        .await;
    begin(
        &mut world,
        &[
            ("plain", json!({"address": "http://alerts.example/plain?a=b", "proxy": through})),
            ("secure", json!({"secretRef": {"name": "who"}, "proxy": through})),
            ("stranger", json!({"address": "https://other.example:8443/", "proxy": through})),
            ("unknown", json!({"address": "https://alerts.example/", "proxy": format!("http://{}", proxy.authority)})),
            ("refused", json!({"address": "http://alerts.example/", "proxy": format!("http://{}", proxy.authority)})),
            ("nobody", json!({"address": "http://alerts.example/", "proxy": "http://127.0.0.1:1"})),
        ],
    )
    .await;
    let mut asked = proxy.asked();
    asked.sort_unstable();
    assert_eq!(
        asked,
        [
            "CONNECT alerts.example:443 HTTP/1.1",
            "CONNECT alerts.example:443 HTTP/1.1",
            "CONNECT other.example:8443 HTTP/1.1",
            "POST http://alerts.example/ HTTP/1.1",
            "POST http://alerts.example/plain?a=b HTTP/1.1",
        ]
    );
    let plain = world.receiver.take();
    assert_eq!(paths(&plain), ["/plain?a=b"]);
    assert_eq!(plain[0].body["attachments"][0]["author_name"], "podinfo.test");
    let secure = secure.take();
    assert_eq!(paths(&secure), ["/secure"]);
    let headers = secure[0].headers.to_lowercase();
    assert!(headers.contains("authorization: bearer t0ken\r\n"), "{headers}");
    assert!(!headers.contains("proxy-authorization"), "it is the proxy's alone: {headers}");
    let mut events = world.events().await;
    events.retain(|it| it.starts_with("The alert"));
    events.sort_unstable();
    assert_eq!(events.len(), 4, "{events:#?}");
    let told = "The alert to slack could not be sent: ";
    let of = |text: &str| events.iter().filter(|it| it.contains(text)).count();
    assert_eq!(of(&format!("{told}TLS with other.example:8443: ")), 1, "{events:#?}");
    let refusal = format!(
        "{told}the proxy {}: no tunnel to alerts.example:443: HTTP/1.1 407 Proxy Authentication Required",
        proxy.authority
    );
    assert_eq!(of(&refusal), 1, "{events:#?}");
    assert_eq!(of(&format!("{told}status 407")), 1, "{events:#?}");
    assert_eq!(of(&format!("{told}127.0.0.1:1 cannot be reached: ")), 1, "{events:#?}");
}

#[tokio::test]
async fn alerts_that_do_not_arrive_are_told_with_the_reason() {
    let mut world = world().await;
    let elsewhere = Receiver::start().await;
    for (path, status, body) in [
        ("/moved", 307, format!("{}/there", elsewhere.address)),
        ("/around", 308, "/around".to_owned()),
        ("/full", 500, "full".to_owned()),
        ("/hangs", 0, String::new()),
    ] {
        world.receiver.answer(path, status, &body);
    }
    let at = |path: &str| format!("{}{path}", world.receiver.address);
    secret(&world, "whole", json!({"address": at("/moved"), "token": "s3cret"})).await;
    secret(&world, "token", json!({"token": "s3cret"})).await;
    let address = |path: &str| json!({"address": at(path)});
    let providers = [
        ("moved", json!({"secretRef": {"name": "whole"}})),
        ("token", json!({"address": at("/token"), "secretRef": {"name": "token"}})),
        ("named", json!({"address": at("/named").replace("//", "//bird:p%40ss@")})),
        ("around", address("/around")),
        ("full", address("/full")),
        ("hangs", address("/hangs")),
        ("nowhere", json!({"secretRef": {"name": "token"}})),
        ("secretless", json!({"secretRef": {"name": "absent"}})),
        ("absent", Value::Null),
    ];
    begin(&mut world, &providers).await;
    let there = elsewhere.take();
    assert_eq!(paths(&there), ["/there"]);
    assert_eq!(there[0].body["channel"], "general", "the whole of it goes there");
    assert!(!there[0].headers.contains("s3cret"), "the token is for the first host alone");
    let received = world.receiver.take();
    let with_token = received.iter().find(|it| it.path == "/token").unwrap();
    assert!(with_token.headers.contains("Bearer s3cret"), "{}", with_token.headers);
    let named = received.iter().find(|it| it.path == "/named").unwrap();
    // `bird:p@ss`
    assert!(named.headers.contains("Basic YmlyZDpwQHNz"), "{}", named.headers);
    let mut events = world.events().await;
    events.retain(|it| it.contains("could not be sent"));
    events.sort_unstable();
    assert_eq!(
        events,
        [
            "An alert could not be sent: alert absent: AlertProvider test/absent is not there",
            "An alert could not be sent: alert nowhere: AlertProvider test/nowhere has no address, nor has its Secret",
            "An alert could not be sent: alert secretless: Secret test/absent is not there",
            "The alert to slack could not be sent: more than 10 redirects",
            "The alert to slack could not be sent: no answer within 5000 ms",
            "The alert to slack could not be sent: status 500: full",
        ]
    );
}
