use super::*;
use crate::index::Scratch;
use crate::model::RouteMatch;
use crate::request::View;
use crate::testing::numbered_route;

fn host(name: &str, routes: usize) -> Arc<VirtualHost> {
    let routes = (0..routes).map(|number| numbered_route(number, RouteMatch::default())).collect();
    Arc::new(VirtualHost {
        name: name.into(),
        domains: vec![name.into()],
        routes,
        require_tls: false,
    })
}

fn table(virtual_hosts: &[&Arc<VirtualHost>]) -> Arc<RouteTable> {
    let virtual_hosts = virtual_hosts.iter().map(|host| Arc::clone(host)).collect();
    Arc::new(RouteTable { name: "80".into(), virtual_hosts })
}

fn same(old: &CompiledTable, new: &CompiledTable, name: &str) -> bool {
    let find = |table: &CompiledTable| std::ptr::from_ref(table.host(name.as_bytes()).unwrap());
    find(old) == find(new)
}

#[test]
fn only_changed_virtual_hosts_are_compiled_again() {
    let (a, b, c) = (host("a", 1), host("b", 1), host("c", 1));
    let old = CompiledTable::new(table(&[&a, &b, &c]));
    let new = old.updated(table(&[&a, &host("b", 2), &c]));
    assert!(same(&old, &new, "a") && !same(&old, &new, "b") && same(&old, &new, "c"));
    assert!(Arc::ptr_eq(&old.domains, &new.domains));
    assert_eq!(new.work(), Work { virtual_hosts: 1, rules: 2 });
    let less = new.updated(table(&[&c, &a]));
    assert_eq!(less.work(), Work::default());
    assert!(same(&old, &less, "a") && same(&old, &less, "c"));
    assert!(less.host(b"b").is_none());
}

#[test]
fn unchanged_rules_of_a_changed_virtual_host_are_taken_over() {
    let a = host("a", 2);
    let old = CompiledTable::new(table(&[&a]));
    let mut changed = VirtualHost::clone(&a);
    changed.routes[0] = numbered_route(0, RouteMatch::default());
    let new = old.updated(table(&[&Arc::new(changed)]));
    let rule = |table: &CompiledTable, number: usize| Arc::clone(&table.hosts[0].rules[number]);
    let index = |table: &CompiledTable| Arc::clone(&table.hosts[0].index);
    assert!(Arc::ptr_eq(&index(&old), &index(&new)), "the conditions are the same");
    assert!(!Arc::ptr_eq(&rule(&old, 0), &rule(&new, 0)));
    assert!(Arc::ptr_eq(&rule(&old, 1), &rule(&new, 1)));
    assert_eq!(new.work(), Work { virtual_hosts: 1, rules: 1 });
}

#[test]
fn a_changed_condition_is_found_after_an_update() {
    let a = host("a", 3);
    let old = CompiledTable::new(table(&[&a]));
    let mut changed = VirtualHost::clone(&a);
    let path = crate::model::PathMatch::Exact("/x".into());
    changed.routes[0] = numbered_route(7, RouteMatch { path, ..RouteMatch::default() });
    changed.routes.swap(1, 2);
    let new = old.updated(table(&[&Arc::new(changed)]));
    let found = |target: &str| {
        let request = crate::request::RequestParts::get("a", target);
        let host = new.host(b"a").unwrap();
        host.rule(&View::new(&request), &mut Scratch::default()).unwrap().route().name.to_string()
    };
    assert_eq!((&*found("/x"), &*found("/y")), ("rule-7", "rule-2"));
}

#[test]
fn parts_are_found_again_wherever_others_came_and_went() {
    let hosts: Vec<_> = (0..6).map(|number| host(&number.to_string(), 1)).collect();
    let of = |places: &[usize]| table(&places.iter().map(|it| &hosts[*it]).collect::<Vec<_>>());
    for (before, after) in [
        (&[0, 1, 2, 3][..], &[1, 2, 3][..]),
        (&[0, 1, 2, 3], &[0, 1, 3]),
        (&[0, 1, 2, 3, 4, 5], &[0, 3, 4]),
        (&[0, 1, 2, 3], &[3, 2, 1, 0]),
    ] {
        let old = CompiledTable::new(of(before));
        let new = old.updated(of(after));
        assert_eq!(new.work(), Work::default(), "{before:?} {after:?}");
        let more = new.updated(of(before));
        assert_eq!(more.work().virtual_hosts, before.len() - after.len(), "{before:?} {after:?}");
        for place in before {
            let found = more.host(place.to_string().as_bytes()).unwrap();
            assert!(Arc::ptr_eq(&found.host, &hosts[*place]), "{before:?} {after:?}");
        }
    }
}

#[test]
fn unchanged_tables_and_clusters_are_taken_over() {
    let mut model = Model::default();
    model.route_tables.insert("80".into(), table(&[&host("a", 1)]));
    let old = CompiledModel::new(Arc::new(model.clone()));
    model.route_tables.insert("81".into(), table(&[]));
    let new = old.updated(Arc::new(model));
    assert!(Arc::ptr_eq(old.table("80").unwrap(), new.table("80").unwrap()));
    assert!(new.table("81").is_some() && old.table("81").is_none());
    assert!(Arc::ptr_eq(&old.clusters, &new.clusters));
}
