use serde_json::json;

use super::*;

fn kind(name: &str) -> &'static Kind {
    kinds::watched()
        .find(|kind| kind.kind == name && kind.group != "gateway.networking.k8s.io")
        .unwrap()
}

fn rules(generation: i64, destination: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "v", "namespace": "shop", "generation": generation, "resourceVersion": generation.to_string()},
        "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": destination}}]}]},
    })
}

fn take(cache: &mut Cache, name: &str, what: What) -> Changes {
    cache.take(Event { kind: kind(name), what });
    cache.changes()
}

fn destination(cache: &Cache) -> &str {
    &cache.objects().virtual_services[0].spec.http[0].route[0].destination.as_ref().unwrap().host
}

fn key() -> Key {
    Key::read(kind("VirtualService"), &rules(1, "a"))
}

#[test]
fn what_is_read_is_a_change_and_a_status_is_none() {
    let mut cache = Cache::new("istio-system", []);
    let first = take(&mut cache, "VirtualService", What::Present(rules(1, "a")));
    assert_eq!(first.objects, BTreeMap::from([(key(), Some(1))]));
    let mut with_status = rules(1, "a");
    with_status["status"] = json!({"conditions": []});
    let second = take(&mut cache, "VirtualService", What::Present(with_status));
    assert!(second.objects.is_empty() && second.statuses.contains(&key()));
    let third = take(&mut cache, "VirtualService", What::Present(rules(2, "b")));
    assert_eq!(third.objects, BTreeMap::from([(key(), Some(2))]));
    assert_eq!(destination(&cache), "b");
    let gone = take(&mut cache, "VirtualService", What::Gone(rules(2, "b")));
    assert_eq!(gone.objects, BTreeMap::from([(key(), None)]));
    assert!(cache.objects().virtual_services.is_empty());
}

#[test]
fn a_bad_object_keeps_its_last_good_form_and_yields_a_finding() {
    let mut cache = Cache::new("istio-system", []);
    take(&mut cache, "VirtualService", What::Present(rules(1, "a")));
    for (bad, expect) in [
        (json!({"hosts": "no list"}), codes::UNDECODABLE),
        // Istio refuses rules without a route.
        (json!({"hosts": ["a"], "http": [{"match": [{"uri": {"prefix": "/"}}]}]}), codes::INVALID),
    ] {
        let mut object = rules(2, "a");
        object["spec"] = bad;
        let changes = take(&mut cache, "VirtualService", What::Present(object));
        assert!(changes.objects.is_empty() && changes.statuses.contains(&key()));
        let written = cache.written(&key()).unwrap();
        assert_eq!(written.generation, 2);
        assert!(written.findings.iter().any(|it| it.code == expect), "{:?}", written.findings);
        assert_eq!(destination(&cache), "a");
    }
}

#[test]
fn objects_that_a_new_list_lacks_are_gone() {
    let mut cache = Cache::new("istio-system", []);
    take(&mut cache, "VirtualService", What::Present(rules(1, "a")));
    take(&mut cache, "VirtualService", What::Begin);
    let kept = take(&mut cache, "VirtualService", What::Listed(rules(1, "a")));
    assert!(kept.is_empty());
    assert!(take(&mut cache, "VirtualService", What::Complete).is_empty());
    take(&mut cache, "VirtualService", What::Begin);
    let gone = take(&mut cache, "VirtualService", What::Complete);
    assert_eq!(gone.objects, BTreeMap::from([(key(), None)]));
}

#[test]
fn it_is_complete_when_every_kind_is_listed_or_not_served() {
    let mut cache = Cache::new("istio-system", []);
    let mut kinds = kinds::watched();
    let last = kinds.next().unwrap();
    for kind in kinds {
        cache.take(Event { kind, what: What::Begin });
        cache.take(Event { kind, what: What::Complete });
    }
    assert!(!cache.is_complete());
    cache.take(Event { kind: last, what: What::NotServed });
    assert!(cache.is_complete());
}

#[test]
fn the_mesh_configuration_is_followed_and_a_bad_one_is_not() {
    let mut cache = Cache::new("istio-system", []);
    let map = |mesh: &str| {
        What::Present(
            json!({"metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": mesh}}),
        )
    };
    take(&mut cache, "ConfigMap", map("proxyListenPort: 15111"));
    assert_eq!(cache.mesh().proxy_listen_port, 15111);
    take(&mut cache, "ConfigMap", map("proxyListenPort: [1]"));
    assert_eq!(cache.mesh().proxy_listen_port, 15111);
}

#[test]
fn what_others_wrote_meanwhile_is_not_forgotten() {
    let (ours, theirs) = (json!({"conditions": ["ours"]}), json!({"conditions": ["theirs"]}));
    let check = |version: &str, expect: (&Value, &str)| {
        let mut written = Written {
            generation: 1,
            status: Arc::new(theirs.clone()),
            version: version.to_owned(),
            findings: Vec::new(),
        };
        written.wrote("1", ours.clone(), "2".to_owned());
        assert_eq!((&*written.status, &*written.version), expect);
    };
    check("1", (&ours, "2"));
    check("3", (&theirs, "3"));
}
