//! Programs that others wrote, as clients and as upstreams.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serin_testkit::Process;
use serin_testkit::tools::find;

use crate::support::{Running, Setup, echo};

/// Starts one of the scripts beside this file; `None` if Python is not there.
fn script(name: &str, argument: Option<SocketAddr>) -> Option<Process> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy/peers").join(name);
    let mut command = Command::new(find("python")?);
    command.arg(file).args(argument.map(|address| address.to_string()));
    Some(Process::start(&mut command))
}

/// Starts a script that serves, and tells where.
fn server(name: &str) -> Option<(Process, SocketAddr)> {
    let process = script(name, None)?;
    let line = process.wait_for(|line| line.starts_with("port "));
    let port = line.trim_start_matches("port ").parse().unwrap();
    Some((process, SocketAddr::from(([127, 0, 0, 1], port))))
}

/// Runs a program to its end; its output.
fn output(program: &Path, running: &Running, arguments: &[&str], path: &str) -> String {
    let port = running.address.port();
    let output = Command::new(program)
        .args(arguments)
        .arg(format!("http://echo.example:{port}{path}"))
        .output()
        .unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn grpcio_speaks_through_the_proxy_to_grpcio() {
    let Some((_server, address)) = server("grpc_server.py") else { return };
    let running = Setup::http2(address).start();
    let mut client = script("grpc_client.py", Some(running.address)).unwrap();
    assert!(client.wait().success(), "{}", client.output());
}

#[test]
fn websockets_speak_through_the_proxy() {
    let Some((_server, address)) = server("websocket_server.py") else { return };
    let running = Setup::new(address).start();
    let mut client = script("websocket_client.py", Some(running.address)).unwrap();
    assert!(client.wait().success(), "{}", client.output());
}

#[test]
fn curl_speaks_every_version() {
    let Some(curl) = find("curl") else { return };
    let running = Setup::new(echo()).start();
    let resolve = format!("echo.example:{}:127.0.0.1", running.address.port());
    for (version, answered) in [
        ("--http1.0", "HTTP/1."),
        ("--http1.1", "HTTP/1.1 "),
        ("--http2", "HTTP/1.1 "),
        ("--http2-prior-knowledge", "HTTP/2 "),
    ] {
        let common = ["-sS", "--noproxy", "*", "-m", "20", "-i", version, "--resolve", &resolve];
        let answer = output(&curl, &running, &common, "/get?x");
        assert!(answer.starts_with(answered) && answer.contains("GET /get?x HTTP/1.1"), "{answer}");
        let upload = [&common[..], &["-H", "Expect: 100-continue", "--data", "hello"]].concat();
        let answer = output(&curl, &running, &upload, "/post");
        assert!(answer.ends_with("\r\n\r\nhello"), "{version}: {answer}");
        let head = [&common[..], &["-I"]].concat();
        let answer = output(&curl, &running, &head, "/");
        assert!(
            answer.contains(" 200") && answer.contains("content-length: "),
            "{version}: {answer}"
        );
    }
}

#[test]
fn nghttp_sends_many_streams_and_trailers() {
    let (Some(nghttp), Some(h2load)) = (find("nghttp"), find("h2load")) else { return };
    let running = Setup::new(echo()).start();
    let local = format!("http://{}/", running.address);
    let output = Command::new(nghttp)
        .args([
            "-v",
            "-d",
            "/dev/null",
            "-H",
            ":authority: echo.example",
            "--trailer",
            "x-sum: 1",
            &local,
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(":status: 200") && text.contains("x-sum: 1"), "{text}");
    let output = Command::new(h2load)
        .args(["-n", "2000", "-c", "4", "-m", "20", "-H", ":authority: echo.example", &local])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("2000 succeeded, 0 failed, 0 errored") && text.contains("2000 2xx"),
        "{text}"
    );
}
