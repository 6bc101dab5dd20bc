//! One process takes over from another, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::{Client, Folder, GATEWAY, Gateway, all_to, backend, get, service};

#[test]
fn no_request_fails_while_a_new_process_takes_over() {
    let folder = Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &service("one", backend("one"))),
        ("routes.yaml", &all_to("one")),
    ]);
    let socket = folder.0.join("take-over.sock");
    let arguments = ["--take-over", socket.to_str().unwrap(), "--drain-time", "10s"];
    let mut old = Gateway::start(&folder, &arguments);
    let address = old.address();
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.get("a.example", "/");
                    assert_eq!(answer.status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                    // Half of them open a connection for each request.
                    if number % 2 == 0 || answer.header("connection") == Some("close") {
                        client = Client::connect(address);
                    }
                }
            })
        })
        .collect();
    let reach = |count: usize| {
        let target = served.load(Ordering::Relaxed) + count;
        while served.load(Ordering::Relaxed) < target {
            assert!(clients.iter().all(|client| !client.is_finished()), "a client has failed");
            thread::yield_now();
        }
    };
    reach(50);
    let new = Gateway::start(&folder, &arguments);
    assert_eq!(new.address(), address, "the very same socket");
    old.wait_for("the next process serves");
    assert!(old.wait().success());
    reach(50);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(get(new.address(), "a.example", "/").status, 200);
    let text = new.ask_admin("/stats/prometheus").body;
    assert!(text.contains("istio_requests_total{"), "the new process has served");
}

#[test]
fn a_process_that_was_not_taken_over_goes_on() {
    let folder = Folder::with(&[
        ("gateway.yaml", GATEWAY),
        ("services.yaml", &service("one", backend("one"))),
        ("routes.yaml", &all_to("one")),
    ]);
    let socket = folder.0.join("take-over.sock");
    let arguments = ["--take-over", socket.to_str().unwrap()];
    let mut old = Gateway::start(&folder, &arguments);
    drop(std::os::unix::net::UnixStream::connect(&socket).unwrap());
    old.wait_for("this one goes on");
    assert_eq!(get(old.address(), "a.example", "/").status, 200);
}
