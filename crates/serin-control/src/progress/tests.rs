use super::*;
use crate::testing::{service, snapshot};

fn proxy(name: &str) -> ProxyId {
    ProxyId::Pod { namespace: "default".into(), name: name.into(), uid: name.into() }
}

fn key() -> Key {
    let reference = serin_api::ObjectRef {
        api_version: "networking.istio.io/v1".to_owned(),
        kind: "VirtualService".to_owned(),
        namespace: "default".to_owned(),
        name: "v".to_owned(),
    };
    Key::of(&reference).unwrap()
}

fn brings(generation: i64) -> BTreeMap<Key, Option<i64>> {
    BTreeMap::from([(key(), Some(generation))])
}

fn with(addresses: &[&str]) -> Arc<Snapshot> {
    snapshot(&service("a", "clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]", addresses))
}

/// The generation, on how many of how many proxies it is live.
fn check(progress: &Progress, expect: (i64, usize, usize)) {
    let live = progress.live(&key()).unwrap();
    assert_eq!((live.generation, live.live, live.proxies), expect);
    assert_eq!(live.is_everywhere(), expect.1 == expect.2);
}

#[test]
fn an_object_is_live_where_the_push_that_brought_it_is_reached() {
    let mut progress = Progress::default();
    assert_eq!(progress.live(&key()), None);
    progress.begin(1, &with(&[]), brings(1));
    progress.reach(&proxy("a"), 1, true);
    progress.reach(&proxy("b"), 1, true);
    progress.reach(&proxy("outside"), 1, false);
    check(&progress, (1, 2, 2));
    progress.begin(2, &with(&[]), brings(2));
    check(&progress, (2, 0, 2));
    progress.reach(&proxy("a"), 2, true);
    check(&progress, (2, 1, 2));
    // A push without the object changes nothing about it.
    progress.begin(3, &with(&[]), BTreeMap::new());
    check(&progress, (2, 1, 2));
    // A late answer to an older push does not take a proxy back.
    progress.reach(&proxy("a"), 1, true);
    check(&progress, (2, 1, 2));
    progress.retire(&proxy("b"));
    check(&progress, (2, 1, 1));
    progress.begin(4, &with(&[]), BTreeMap::from([(key(), None)]));
    assert_eq!(progress.live(&key()), None);
}

#[test]
fn an_address_is_removed_when_every_proxy_has_reached_the_push_without_it() {
    let address = "10.244.0.1".parse().unwrap();
    let senders = |progress: &Progress| progress.senders(address).map(|it| it.len());
    let mut progress = Progress::default();
    progress.begin(1, &with(&["10.244.0.1"]), BTreeMap::new());
    progress.reach(&proxy("a"), 1, true);
    progress.reach(&proxy("outside"), 1, false);
    assert_eq!(senders(&progress), None);
    progress.begin(2, &with(&["!10.244.0.1"]), BTreeMap::new());
    assert_eq!(senders(&progress), Some(2), "one that is being stopped is no endpoint");
    progress.reach(&proxy("a"), 2, true);
    assert_eq!(senders(&progress), Some(1));
    progress.reach(&proxy("outside"), 2, false);
    assert_eq!(senders(&progress), Some(0));
    assert!(progress.gone.is_empty());
    progress.begin(3, &with(&["10.244.0.1"]), BTreeMap::new());
    assert_eq!(senders(&progress), None, "it is back");
    let other = "10.244.0.9".parse().unwrap();
    assert_eq!(progress.senders(other), Some(Vec::new()), "nobody ever sent there");
}
