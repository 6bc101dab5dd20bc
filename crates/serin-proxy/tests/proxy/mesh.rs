//! Many workloads on one proxy, in networks of their own.

mod change;
mod models;
mod pods;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use serin_proxy::{Proxy, Published, Settings};
use serin_routing::Model;
use serin_routing::model::{EndpointTls, Mirror, PerMillion, WorkloadIdentity};
use serin_routing::retry;
use serin_telemetry::exposition::Text;
use serin_telemetry::{Metrics, Traffic};

use models::{forwarding, model, plain, productpage, reviews};
use pods::{Directory, Pod};

use crate::support::next_request;

/// A proxy that knows pods.
struct Node {
    proxy: Proxy,
    directory: Arc<Directory>,
    runtime: tokio::runtime::Runtime,
}

impl Node {
    fn start() -> Self {
        Self::with_cores(1)
    }

    fn with_cores(workers: usize) -> Self {
        let directory = Arc::new(Directory::default());
        let networks = Some(Arc::clone(&directory) as _);
        let proxy = Proxy::start(Settings { networks, workers, ..Settings::default() }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { proxy, directory, runtime }
    }

    /// A pod that the node knows.
    fn pod(&self, address: &str) -> Option<Pod> {
        let pod = Pod::start(address)?;
        self.directory.add(&pod);
        Some(pod)
    }

    fn publish(&mut self, pod: &Pod, model: Model) -> Published {
        let mut publication = productpage(model);
        publication.network = Some(pod.network());
        let published = self.proxy.publish_to(&pod.address.to_string(), publication);
        let published = self.runtime.block_on(published);
        assert!(published.failed.is_empty(), "{:?}", published.failed);
        assert!(published.tls.is_empty(), "{:?}", published.tls);
        published
    }

    fn metrics(&self) -> String {
        let stats = self.runtime.block_on(self.proxy.observer().stats());
        let mut text = Text::default();
        let cores: Vec<Metrics> = stats.into_iter().map(|core| core.metrics).collect();
        text.istio(cores.iter());
        text.finish()
    }

    fn traffic(&self) -> Vec<Traffic> {
        self.runtime.block_on(self.proxy.observer().traffic())
    }
}

/// Answers each request with the name and what it got.
fn serve(listener: TcpListener, name: &'static str) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                while let Some(request) = next_request(&mut stream, &mut seen) {
                    let status = if request.contains("GET /fail") { "500 Oh" } else { "200 OK" };
                    let body = format!("{name}\n{request}");
                    let head =
                        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
                    let is_last = request.to_ascii_lowercase().contains("connection: close");
                    if stream.write_all((head + &body).as_bytes()).is_err() || is_last {
                        return;
                    }
                }
            });
        }
    });
}

type Endpoints = Vec<(SocketAddr, Arc<WorkloadIdentity>, EndpointTls)>;

fn endpoint(pod: &Pod, version: &str) -> (SocketAddr, Arc<WorkloadIdentity>, EndpointTls) {
    (SocketAddr::new(pod.address, 9080), reviews(version), EndpointTls::Mesh)
}

#[test]
fn the_address_of_a_service_that_the_rules_do_not_know_stands_for_an_endpoint() {
    let mut node = Node::start();
    let (Some(client), Some(server)) = (node.pod("10.244.1.1"), node.pod("10.244.1.2")) else {
        return;
    };
    serve(server.listen(9080), "v1");
    node.publish(&client, model(&[]));
    // Whether it comes to an endpoint or to nobody, the connection is as the client meant it.
    assert_eq!(client.ask("10.96.0.8:81", &get("/a")), "");
    node.directory.add_service("10.96.0.8:81", SocketAddr::new(server.address, 9080));
    let answer = client.ask("10.96.0.8:81", &get("/a"));
    assert!(answer.contains("\r\n\r\nv1\nGET /a HTTP/1.1\r\n"), "{answer}");
    // So does the address among the endpoints of something else.
    let by_address = ("10.96.0.8:81".parse().unwrap(), Arc::default(), EndpointTls::Plain);
    node.publish(&client, model(&[by_address]));
    let answer = client.ask("10.96.0.7:80", &get("/b"));
    assert!(answer.contains("\r\n\r\nv1\nGET /b HTTP/1.1\r\n"), "{answer}");
}

fn get(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: reviews\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n"
    )
}

#[test]
fn what_a_pod_sends_to_a_service_comes_to_a_pod_of_it() {
    let mut node = Node::start();
    let (Some(client), Some(server)) = (node.pod("10.244.1.1"), node.pod("10.244.1.2")) else {
        return;
    };
    serve(server.listen(9080), "v1");
    let published = node.publish(&client, model(&[endpoint(&server, "v1")]));
    assert_eq!(published.version, 1);
    let answer = client.ask("10.96.0.7:80", &get("/a"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\n\r\nv1\nGET /a HTTP/1.1\r\n"), "{answer}");
    // Inside the mesh nobody adds to what the client says of itself.
    assert!(answer.contains("\r\nx-forwarded-for: 1.2.3.4\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-request-id: "), "{answer}");
}

#[test]
fn both_sides_of_a_request_are_counted_with_both_their_names() {
    let mut node = Node::start();
    let (Some(client), Some(server)) = (node.pod("10.244.2.1"), node.pod("10.244.2.2")) else {
        return;
    };
    serve(server.listen(9080), "v1");
    node.publish(&client, model(&[endpoint(&server, "v1")]));
    client.ask("10.96.0.7:80", &get("/a"));
    client.ask("10.96.0.7:80", &get("/fail"));
    let text = node.metrics();
    let count = |reporter: &str, policy: &str, code: &str| {
        let wanted = [
            format!("reporter=\"{reporter}\""),
            format!("connection_security_policy=\"{policy}\""),
            format!("response_code=\"{code}\""),
            "source_workload=\"productpage-v1\"".to_owned(),
            "source_principal=\"spiffe://cluster.local/ns/shop/sa/productpage\"".to_owned(),
            "destination_workload=\"reviews-v1\"".to_owned(),
            "destination_principal=\"spiffe://cluster.local/ns/shop/sa/reviews\"".to_owned(),
            "destination_service=\"reviews.shop.svc.cluster.local\"".to_owned(),
        ];
        let mut lines = text.lines().filter(|line| line.starts_with("istio_requests_total{"));
        lines.any(|line| wanted.iter().all(|it| line.contains(it)) && line.ends_with("} 1"))
    };
    for code in ["200", "500"] {
        assert!(count("source", "unknown", code), "{text}");
        assert!(count("destination", "mutual_tls", code), "{text}");
    }
    let [traffic] = &node.traffic()[..] else { panic!("one source and destination") };
    assert_eq!(
        (&*traffic.source.name, &*traffic.destination.workload.template),
        ("productpage-v1", "abc")
    );
    for tally in [&traffic.sent, &traffic.received] {
        assert_eq!((tally.requests, tally.failures, tally.classes), (2, 1, [0, 0, 1, 0, 0, 1]));
        assert_eq!((tally.duration.count(), tally.unreached), (2, 0));
    }
}

#[test]
fn what_no_pod_had_is_counted_by_its_sender_alone() {
    let mut node = Node::start();
    let Some(client) = node.pod("10.244.3.1") else { return };
    let gone: Endpoints =
        vec![("10.244.3.9:9080".parse().unwrap(), reviews("v1"), EndpointTls::Mesh)];
    node.publish(&client, model(&gone));
    let answer = client.ask("10.96.0.7:80", &get("/"));
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let [traffic] = &node.traffic()[..] else { panic!("one source and destination") };
    let sent = &traffic.sent;
    assert_eq!((sent.requests, sent.failures, sent.unreached), (1, 1, 1));
    let flags: Vec<String> = sent.flags.keys().map(ToString::to_string).collect();
    assert_eq!(flags, ["URX,UF"]);
    assert_eq!(traffic.received.requests, 0);
}

#[test]
fn a_pod_outside_the_mesh_is_not_counted_for() {
    let mut node = Node::start();
    let (Some(client), Some(server)) = (node.pod("10.244.4.1"), node.pod("10.244.4.2")) else {
        return;
    };
    serve(server.listen(9080), "v1");
    let (address, identity, _) = endpoint(&server, "v1");
    node.publish(&client, model(&[(address, identity, EndpointTls::Plain)]));
    assert!(client.ask("10.96.0.7:80", &get("/")).contains("\r\n\r\nv1\n"));
    let [traffic] = &node.traffic()[..] else { panic!("one source and destination") };
    assert_eq!((traffic.sent.requests, traffic.received.requests), (1, 0));
}

#[test]
fn what_is_for_no_service_goes_where_it_was_meant_for() {
    let mut node = Node::start();
    let (Some(client), Some(server)) = (node.pod("10.244.5.1"), node.pod("10.244.5.2")) else {
        return;
    };
    node.publish(&client, model(&[]));
    // To a pod, on a port that no listener stands for.
    serve(server.listen(7000), "pod");
    assert!(client.ask("10.244.5.2:7000", &get("/")).contains("\r\n\r\npod\n"));
    // To an address of the host's network, by a host that there is no rule for.
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    serve(host, "host");
    let refused = client.connect(&format!("127.0.0.1:{port}"));
    assert!(refused.is_err(), "the pod's own loopback is its own");
    let Some(address) = outer_address() else { return };
    let host = TcpListener::bind((address, 0)).unwrap();
    let to = host.local_addr().unwrap().to_string();
    serve(host, "outer");
    assert!(client.ask(&to, &get("/")).contains("\r\n\r\nouter\n"));
}

/// An address of this machine that is not its loopback.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    let is_useful = !address.is_loopback() && !address.is_unspecified();
    if !is_useful {
        println!("skipped in part: this machine has no address but its loopback");
    }
    is_useful.then_some(address)
}

#[test]
fn an_address_that_no_pod_has_is_refused_at_once() {
    let mut node = Node::start();
    let Some(client) = node.pod("10.244.6.1") else { return };
    node.publish(&client, model(&[]));
    let mut stream = client.connect("10.244.6.200:7000").unwrap();
    let _ = stream.write_all(b"x");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
    // The listener's own port is no way round in circles.
    let mut stream = client.connect("10.244.6.1:15001").unwrap();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

#[test]
fn a_request_to_a_pod_that_has_just_gone_is_tried_elsewhere() {
    let mut node = Node::start();
    let pods = ["10.244.7.1", "10.244.7.2", "10.244.7.3"].map(|address| node.pod(address));
    let [Some(client), Some(gone), Some(server)] = pods else { return };
    serve(server.listen(9080), "v2");
    // One listens no more; nobody has told the proxy.
    node.publish(&client, model(&[endpoint(&gone, "v1"), endpoint(&server, "v2")]));
    for _ in 0..10 {
        let answer = client.ask("10.96.0.7:80", &get("/"));
        assert!(answer.contains("\r\n\r\nv2\n"), "{answer}");
    }
    // Its network is gone as well.
    node.directory.remove(&gone);
    for _ in 0..10 {
        let answer = client.ask("10.96.0.7:80", &get("/"));
        assert!(answer.contains("\r\n\r\nv2\n"), "{answer}");
    }
    let sent: u64 = node.traffic().iter().map(|it| it.sent.requests).sum();
    let failed: u64 = node.traffic().iter().map(|it| it.sent.failures).sum();
    assert_eq!((sent, failed), (20, 0));
}

#[test]
fn after_the_acknowledgement_no_try_goes_to_an_endpoint_that_has_left() {
    let mut node = Node::start();
    let pods = ["10.244.8.1", "10.244.8.2", "10.244.8.3"].map(|address| node.pod(address));
    let [Some(client), Some(old), Some(new)] = pods else { return };
    let (old_listener, watch) = (old.listen(9080), old.listen(9081));
    drop(watch);
    serve(old_listener, "v1");
    serve(new.listen(9080), "v2");
    node.publish(&client, model(&[endpoint(&old, "v1")]));
    // A request that is under way ends where it began.
    let mut slow = client.connect("10.96.0.7:80").unwrap();
    let head = "POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    slow.write_all(head.as_bytes()).unwrap();
    // It has been sent to its endpoint once another one, later on the same core, is answered.
    assert!(client.ask("10.96.0.7:80", &get("/")).contains("\r\n\r\nv1\n"));
    let published = node.publish(&client, model(&[endpoint(&new, "v2")]));
    assert_eq!(published.version, 2);
    for _ in 0..10 {
        assert!(client.ask("10.96.0.7:80", &get("/")).contains("\r\n\r\nv2\n"));
    }
    slow.write_all(b"hello").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\r\n\r\nv1\nPOST / "), "{answer}");
}

#[test]
fn a_workload_that_is_removed_accepts_no_more_and_the_others_go_on() {
    let mut node = Node::start();
    let pods = ["10.244.9.1", "10.244.9.2", "10.244.9.3"].map(|address| node.pod(address));
    let [Some(one), Some(two), Some(server)] = pods else { return };
    serve(server.listen(9080), "v1");
    for client in [&one, &two] {
        node.publish(client, model(&[endpoint(&server, "v1")]));
        assert!(client.ask("10.96.0.7:80", &get("/")).contains("\r\n\r\nv1\n"));
    }
    assert_eq!(node.proxy.observer().workloads().len(), 2);
    let removed = node.proxy.remove("10.244.9.1");
    node.runtime.block_on(removed);
    assert!(one.connect("10.96.0.7:80").is_err());
    assert!(two.ask("10.96.0.7:80", &get("/")).contains("\r\n\r\nv1\n"));
    assert_eq!(node.proxy.observer().workloads().len(), 1);
}

#[test]
fn a_pod_s_listener_is_opened_again_in_the_network_of_its_successor() {
    let mut node = Node::start();
    let pods = ["10.244.10.1", "10.244.10.2", "10.244.10.3"].map(|address| node.pod(address));
    let [Some(first), Some(second), Some(server)] = pods else { return };
    serve(server.listen(9080), "v1");
    node.publish(&first, model(&[endpoint(&server, "v1")]));
    // The same workload, in another network.
    let mut publication = productpage(model(&[endpoint(&server, "v1")]));
    publication.network = Some(second.network());
    let published = node.proxy.publish_to("10.244.10.1", publication);
    assert_eq!(node.runtime.block_on(published).version, 2);
    assert!(first.connect("10.96.0.7:80").is_err());
    assert!(second.ask("10.96.0.7:80", &get("/")).contains("\r\n\r\nv1\n"));
}

#[test]
fn the_receiving_side_counts_tries_and_the_sending_side_requests() {
    let mut node = Node::start();
    let (Some(client), Some(server)) = (node.pod("10.244.11.1"), node.pod("10.244.11.2")) else {
        return;
    };
    serve(server.listen(9080), "v1");
    let retried = forwarding(model(&[endpoint(&server, "v1")]), |forward| {
        forward.retry.as_mut().unwrap().retry_on = vec![retry::Condition::Any5xx];
    });
    node.publish(&client, retried);
    assert!(client.ask("10.96.0.7:80", &get("/fail")).starts_with("HTTP/1.1 500 "));
    let [traffic] = &node.traffic()[..] else { panic!("one source and destination") };
    assert_eq!((traffic.sent.requests, traffic.sent.failures), (1, 1));
    assert_eq!((traffic.received.requests, traffic.received.classes[5]), (3, 3));
    let flags = |flags: Vec<&serin_routing::response::Flags>| -> Vec<String> {
        flags.into_iter().map(ToString::to_string).collect()
    };
    assert_eq!(flags(traffic.sent.flags.keys().collect()), ["URX"]);
    assert!(traffic.received.flags.is_empty());
}

#[test]
fn a_copy_is_apart_for_its_sender_and_a_request_for_who_gets_it() {
    let mut node = Node::start();
    let (Some(client), Some(server)) = (node.pod("10.244.12.1"), node.pod("10.244.12.2")) else {
        return;
    };
    serve(server.listen(9080), "v1");
    let mirrored = forwarding(model(&[endpoint(&server, "v1")]), |forward| {
        let cluster = "outbound|80||reviews".into();
        forward.mirrors.push(Mirror { cluster, fraction: PerMillion::ALL });
    });
    node.publish(&client, mirrored);
    client.ask("10.96.0.7:80", &get("/"));
    // The copy goes its own way.
    let traffic = loop {
        let all = node.traffic();
        if all[0].mirrored.requests > 0 {
            break all;
        }
    };
    let [traffic] = &traffic[..] else { panic!("one source and destination") };
    let all = [&traffic.sent, &traffic.received, &traffic.mirrored, &traffic.mirrored_received];
    assert_eq!(all.map(|it| (it.requests, it.classes[2])), [(1, 1); 4]);
    let text = node.metrics();
    let received = |line: &&str| {
        line.starts_with("istio_requests_total{reporter=\"destination\"") && line.ends_with(" 2")
    };
    assert!(text.lines().any(|line| received(&line)), "{text}");
}

#[test]
fn connections_of_a_pod_outside_the_mesh_are_shared_out_and_not_counted_for_it() {
    let mut node = Node::start();
    let pods = ["10.244.13.1", "10.244.13.2", "10.244.13.3"].map(|address| node.pod(address));
    let [Some(client), Some(one), Some(two)] = pods else { return };
    serve(one.listen(9080), "v1");
    serve(two.listen(9080), "v2");
    let mut publication = productpage(plain(model(&[endpoint(&one, "v1"), endpoint(&two, "v2")])));
    publication.workload.principal = Arc::default();
    publication.network = Some(client.network());
    let published = node.proxy.publish_to("plain", publication);
    assert!(node.runtime.block_on(published).failed.is_empty());
    let mut seen = std::collections::BTreeSet::new();
    // That sixty draws all come out the same happens once in 2^59 runs.
    for _ in 0..60 {
        let answer = client.ask("10.96.0.7:80", &get("/"));
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        seen.insert(body[..2].to_owned());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["v1", "v2"]);
    let text = node.metrics();
    assert!(!text.contains("reporter=\"source\""), "{text}");
    // The pods are in the mesh, and see where it comes from.
    let opened = "istio_tcp_connections_opened_total{reporter=\"destination\",source_workload=\"productpage-v1\"";
    assert!(
        text.contains(opened) && text.contains("connection_security_policy=\"none\""),
        "{text}"
    );
}
