//! Pods that come and go while others call them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::models::model;
use super::pods::Pod;
use super::{Node, endpoint};
use crate::support::next_request;

/// A pod's process.
struct Server {
    listener: TcpListener,
    ended: Receiver<()>,
}

impl Server {
    fn start(pod: &Pod) -> Self {
        let listener = pod.listen(9080);
        let (tell, ended) = channel();
        let accepting = listener.try_clone().unwrap();
        std::thread::spawn(move || accept(&accepting, &tell));
        Self { listener, ended }
    }

    /// Stops as a process does that is told to: it accepts no more, and ends with its last connection. What it has not accepted by
    /// then the system resets.
    fn stop(self) {
        socket2::SockRef::from(&self.listener).shutdown(Shutdown::Both).unwrap();
        drop(self.listener);
        let ended = self.ended.recv_timeout(serin_testkit::PATIENCE);
        assert!(ended.is_ok(), "connections stay open to a pod that has left");
    }
}

/// Whoever holds the sender holds the server.
fn accept(listener: &TcpListener, running: &Sender<()>) {
    let (hold, all_gone) = channel::<()>();
    while let Ok((stream, _)) = listener.accept() {
        let hold = hold.clone();
        std::thread::spawn(move || {
            answer(stream);
            drop(hold);
        });
    }
    drop(hold);
    // It ends when the last connection has let go.
    let _ = all_gone.recv();
    let _ = running.send(());
}

fn answer(mut stream: TcpStream) {
    let mut seen = Vec::new();
    while next_request(&mut stream, &mut seen).is_some() {
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

/// Asks one time after the other, on one connection, with requests that nobody may send twice; gives how often.
fn ask(mut stream: TcpStream, stop: &AtomicBool, answered: &AtomicUsize) {
    let request = b"POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 2\r\n\r\nhi";
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request).unwrap();
        // An answer is framed like a request.
        let answer = next_request(&mut stream, &mut seen);
        let answer = answer.unwrap_or_else(|| {
            panic!("the connection ended, or was silent: {}", String::from_utf8_lossy(&seen))
        });
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn pods_come_and_go_and_no_request_is_lost() {
    let mut node = Node::with_cores(2);
    let pods = ["10.244.20.1", "10.244.20.2", "10.244.20.3"].map(|address| node.pod(address));
    let [Some(client), Some(one), Some(two)] = pods else { return };
    let servers = [&one, &two];
    let mut running = servers.map(|pod| Some(Server::start(pod)));
    node.publish(&client, model(&servers.map(|pod| endpoint(pod, "v1"))));
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stream = client.connect("10.96.0.7:80").unwrap();
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || ask(stream, &stop, &answered))
        })
        .collect();
    for round in 0..20 {
        let (leaving, staying) = (round % 2, 1 - round % 2);
        node.publish(&client, model(&[endpoint(servers[staying], "v1")]));
        // From the acknowledgement on nothing is added to what is under way, which may still wait to be accepted.
        node.runtime.block_on(node.proxy.observer().until_over(servers[leaving].address));
        running[leaving].take().unwrap().stop();
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + 20 {
            std::thread::yield_now();
        }
        running[leaving] = Some(Server::start(servers[leaving]));
        node.publish(&client, model(&servers.map(|pod| endpoint(pod, "v1"))));
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let answered = answered.load(Ordering::Relaxed) as u64;
    let sent: u64 = node.traffic().iter().map(|it| it.sent.requests).sum();
    let received: u64 = node.traffic().iter().map(|it| it.received.requests).sum();
    assert_eq!((sent, received), (answered, answered));
}

#[test]
fn a_request_that_waits_to_be_accepted_is_under_way_to_its_pod() {
    let mut node = Node::start();
    let (Some(client), Some(server)) = (node.pod("10.244.22.1"), node.pod("10.244.22.2")) else {
        return;
    };
    // Connections to it are made by the system; it accepts none.
    let listener = server.listen(9080);
    node.publish(&client, model(&[endpoint(&server, "v1")]));
    let mut caller = client.connect("10.96.0.7:80").unwrap();
    caller.write_all(b"POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    // There is somebody to accept: to the event loop a listener is a stream that can be read then.
    let waiting = TcpStream::from(OwnedFd::from(listener.try_clone().unwrap()));
    waiting.set_nonblocking(true).unwrap();
    node.runtime.block_on(async {
        let waiting = tokio::net::TcpStream::from_std(waiting).unwrap();
        waiting.readable().await.unwrap();
    });
    listener.set_nonblocking(false).unwrap();
    node.publish(&client, model(&[]));
    assert!(!is_over(&node, &server), "a pod that stopped now would lose a request");
    let (mut called, _) = listener.accept().unwrap();
    next_request(&mut called, &mut Vec::new()).unwrap();
    called.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    assert!(next_request(&mut caller, &mut Vec::new()).unwrap().starts_with("HTTP/1.1 200 "));
    node.runtime.block_on(node.proxy.observer().until_over(server.address));
}

/// Whether nothing is under way to a pod, as far as the cores know by now.
fn is_over(node: &Node, pod: &Pod) -> bool {
    let observer = node.proxy.observer();
    let mut over = std::pin::pin!(observer.until_over(pod.address));
    node.runtime.block_on(async {
        tokio::select! {
            biased;
            () = &mut over => true,
            // The cores have answered what was asked after it.
            _ = observer.stats() => false,
        }
    })
}

#[test]
fn a_pod_that_has_left_is_over_when_its_last_request_is() {
    let mut node = Node::start();
    let (Some(client), Some(server)) = (node.pod("10.244.21.1"), node.pod("10.244.21.2")) else {
        return;
    };
    let listener = server.listen(9080);
    node.publish(&client, model(&[endpoint(&server, "v1")]));
    let observer = node.proxy.observer();
    // Nothing has ever gone there.
    node.runtime.block_on(observer.until_over(server.address));
    let mut caller = client.connect("10.96.0.7:80").unwrap();
    caller.write_all(b"GET / HTTP/1.1\r\nHost: reviews\r\n\r\n").unwrap();
    let (mut called, _) = listener.accept().unwrap();
    next_request(&mut called, &mut Vec::new()).unwrap();
    node.publish(&client, model(&[]));
    assert!(!is_over(&node, &server), "its request is under way");
    called.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    node.runtime.block_on(observer.until_over(server.address));
    // The connection is not kept for a pod that has left.
    called.set_read_timeout(Some(serin_testkit::PATIENCE)).unwrap();
    assert_eq!(called.read(&mut [0]).unwrap(), 0);
}
