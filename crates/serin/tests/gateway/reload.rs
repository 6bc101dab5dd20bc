//! Files, ports and signals change what is served; nothing under way notices.

use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::channel;

use crate::support::{
    Client, Folder, GATEWAY, Gateway, all_to, backend, get, routes, serve, service,
};

/// A Gateway, the services `one` and `two`, and routes to `one`.
fn folder() -> Folder {
    let services = [service("one", backend("one")), service("two", backend("two"))].concat();
    Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &services),
        ("routes.yaml", &all_to("one")),
    ])
}

#[test]
fn a_change_is_in_force_without_a_restart_and_on_connections_that_are_open() {
    let folder = folder();
    let mut gateway = Gateway::start(&folder, &[]);
    let mut client = Client::connect(gateway.address());
    assert_eq!(client.get("a.example", "/").header("x-backend"), Some("one"));
    // As editors do it: a new file in the place of the old one.
    folder.write(".routes.yaml.tmp", &all_to("two"));
    std::fs::rename(folder.0.join(".routes.yaml.tmp"), folder.0.join("routes.yaml")).unwrap();
    gateway.wait_for_version(2);
    assert_eq!(client.get("a.example", "/").header("x-backend"), Some("two"));
}

#[test]
fn a_folder_that_is_swapped_by_its_link_is_read_again() {
    let folder = folder();
    std::fs::remove_file(folder.0.join("routes.yaml")).unwrap();
    // As Kubernetes mounts a ConfigMap.
    folder.write("..first/routes.yaml", &all_to("one"));
    folder.write("..second/routes.yaml", &all_to("two"));
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.0.join(name)).unwrap();
    link("..first", "..data");
    link("..data/routes.yaml", "routes.yaml");
    let mut gateway = Gateway::start(&folder, &[]);
    assert_eq!(get(gateway.address(), "a.example", "/").header("x-backend"), Some("one"));
    link("..second", "..data_tmp");
    std::fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
    gateway.wait_for_version(2);
    assert_eq!(get(gateway.address(), "a.example", "/").header("x-backend"), Some("two"));
}

#[test]
fn a_file_that_breaks_is_reported_and_keeps_its_last_good_objects() {
    let folder = folder();
    let mut gateway = Gateway::start(&folder, &[]);
    folder.write("routes.yaml", "kind: [VirtualService\n");
    gateway.wait_for("error[");
    gateway.wait_for_version(2);
    assert_eq!(get(gateway.address(), "a.example", "/").header("x-backend"), Some("one"));
    folder.write("routes.yaml", &all_to("two"));
    gateway.wait_for("no errors any more");
    gateway.wait_for_version(3);
    assert_eq!(get(gateway.address(), "a.example", "/").header("x-backend"), Some("two"));
}

#[test]
fn a_bad_object_takes_nothing_else_down() {
    let folder = folder();
    folder.write(
        "bad.yaml",
        &all_to("two").replace("name: routes", "name: bad").replace("route:", "rout:"),
    );
    let gateway = Gateway::start(&folder, &[]);
    assert_eq!(get(gateway.address(), "a.example", "/").header("x-backend"), Some("one"));
}

#[test]
fn a_port_that_is_taken_is_reported_and_tried_again() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let second = GATEWAY.replace("name: gw", "name: second").replace("number: 80", "number: 81");
    let folder = folder();
    folder.write("second.yaml", &second);
    let map = format!("81={port}");
    let mut gateway = Gateway::start(&folder, &["--port-map", &map]);
    gateway.wait_for("cannot be listened on");
    assert_eq!(get(gateway.address(), "a.example", "/").status, 200);
    drop(taken);
    gateway.signal("-HUP");
    gateway.wait_for_version(2);
    assert_eq!(get(([127, 0, 0, 1], port).into(), "a.example", "/").status, 404);
}

#[test]
fn listeners_come_and_go() {
    let folder = folder();
    let port = free_port();
    let map = format!("81={port}");
    let mut gateway = Gateway::start(&folder, &["--port-map", &map]);
    let second = GATEWAY.replace("name: gw", "name: second").replace("number: 80", "number: 81");
    folder.write("second.yaml", &second);
    gateway.wait_for_version(2);
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(client.get("a.example", "/").status, 404);
    std::fs::remove_file(folder.0.join("second.yaml")).unwrap();
    gateway.wait_for_version(3);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    // Its connection is told to go, once it asks for something.
    assert_eq!(client.get("a.example", "/").header("connection"), Some("close"));
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_signal_lets_a_request_under_way_finish() {
    let (arrived, is_there) = channel();
    let (go, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = serve(move |_| {
        arrived.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate".to_owned()
    });
    let folder = Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &service("slow", slow)),
        ("routes.yaml", &routes("  - route: [{destination: {host: slow.test}}]\n")),
    ]);
    let mut gateway = Gateway::start(&folder, &["--drain-time", "20s"]);
    let mut client = Client::connect(gateway.address());
    client.stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    is_there.recv().unwrap();
    gateway.signal("-TERM");
    gateway.wait_for("draining");
    go.send(()).unwrap();
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.as_str()), (200, "late"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(gateway.wait().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let (arrived, is_there) = channel();
    let never = serve(move |_| {
        arrived.send(()).unwrap();
        std::thread::park();
        String::new()
    });
    let folder = Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &service("never", never)),
        ("routes.yaml", &all_to("never")),
    ]);
    let mut gateway = Gateway::start(&folder, &["--drain-time", "1h"]);
    let mut client = Client::connect(gateway.address());
    client.stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    is_there.recv().unwrap();
    gateway.signal("-INT");
    gateway.wait_for("draining");
    gateway.signal("-INT");
    gateway.wait();
}
