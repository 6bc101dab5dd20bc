//! What many workloads cost that know many services and use few of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use serin_proxy::{Proxy, Publication, Settings};
use serin_routing::Model;
use serin_routing::model::*;

const WORKLOADS: usize = 200;
const SERVICES: usize = 1000;
/// Bytes that a workload may cost on two cores, beside its model: an index of the names of clusters, and next to nothing for a
/// service that is not used.
const EACH: usize = 100 * SERVICES;

fn service(number: usize) -> (Cluster, Endpoints) {
    let name = format!("outbound|80||service-{number}.default.svc.cluster.local");
    let address = std::net::Ipv4Addr::from_bits(0x0af4_0000 + number as u32);
    let endpoint = Endpoint {
        address: EndpointAddress::Socket(address.into(), 8080),
        weight: 1,
        health: Health::Healthy,
        tls: EndpointTls::Plain,
        identity: Arc::default(),
    };
    let localities =
        vec![LocalityEndpoints { endpoints: vec![endpoint], ..LocalityEndpoints::default() }];
    (Cluster::new(name.into(), Discovery::Listed), Endpoints { localities })
}

fn model() -> Model {
    let mut model = Model::default();
    let mut hosts = Vec::new();
    for number in 0..SERVICES {
        let (cluster, endpoints) = service(number);
        let name = Arc::clone(&cluster.name);
        let destinations = Destinations::new(vec![Destination::new(Arc::clone(&name), 1)]);
        let route = Route {
            name: "default".into(),
            origin: Origin::built_in("test"),
            condition: RouteMatch::default(),
            action: Action::Forward(Box::new(Forward::new(destinations))),
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
            fault: None,
            cors: None,
        };
        hosts.push(Arc::new(VirtualHost {
            name: format!("service-{number}:80").into(),
            domains: vec![format!("service-{number}").into()],
            routes: vec![Arc::new(route)],
            require_tls: false,
        }));
        model.endpoints.insert(Arc::clone(&name), Arc::new(endpoints));
        model.clusters.insert(name, Arc::new(cluster));
    }
    let table = RouteTable { name: "80".into(), virtual_hosts: hosts };
    model.route_tables.insert("80".into(), Arc::new(table));
    model
}

/// The same but for a cluster of the workload's own, so that no map is the same.
fn of_workload(shared: &Model, number: usize) -> Arc<Model> {
    let mut model = shared.clone();
    let own = Cluster::new(format!("inbound|{number}||").into(), Discovery::Listed);
    model.clusters.insert(Arc::clone(&own.name), Arc::new(own));
    Arc::new(model)
}

/// Memory of the process, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_workload_costs_next_to_nothing_for_services_that_it_does_not_use() {
    let shared = model();
    let models: Vec<_> = (0..WORKLOADS).map(|number| of_workload(&shared, number)).collect();
    let mut proxy = Proxy::start(Settings { workers: 2, ..Settings::default() }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let before = resident();
    let started = std::time::Instant::now();
    let publish = |proxy: &mut Proxy, models: &[Arc<Model>]| {
        let all: Vec<_> = models
            .iter()
            .enumerate()
            .map(|(number, model)| {
                let model = Arc::clone(model);
                let publication = Publication { model, ..Publication::default() };
                proxy.publish_to(&format!("default/pod-{number}"), publication)
            })
            .collect();
        all.into_iter().map(|published| runtime.block_on(published).version).max()
    };
    assert_eq!(publish(&mut proxy, &models), Some(1));
    let first = started.elapsed();
    let grown = resident() - before;
    let started = std::time::Instant::now();
    assert_eq!(publish(&mut proxy, &models), Some(2));
    println!("{WORKLOADS} workloads, {SERVICES} services: {} KiB each", grown / WORKLOADS / 1024);
    println!("first publication of all {first:?}, again {:?}", started.elapsed());
    assert!(grown < WORKLOADS * EACH, "{grown} bytes");
    // Pods that see the same have the same model.
    let same: Vec<_> = std::iter::repeat_n(Arc::new(shared), WORKLOADS).collect();
    let started = std::time::Instant::now();
    assert_eq!(publish(&mut proxy, &same), Some(3));
    println!("one model for all {:?}", started.elapsed());
}
