//! `serin sample` as a container runs it: ready, served, stopped by a signal, or crashed.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

struct Sample {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

impl Sample {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_serin"))
            .arg("sample")
            .args(arguments)
            .args(["--port", "0"])
            .env("HOSTNAME", "pod-1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        assert!(ready.starts_with("ready "), "{ready}");
        let (_, address) = ready.trim().split_once("http://").unwrap();
        let address = address.to_owned();
        Self { child, out, address }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        // One that crashes answers nothing.
        let _ = stream.read_to_string(&mut reply);
        reply
    }

    fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// The exit code, and what it printed after it was ready.
    fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (code, rest)
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_sample_serves_until_it_is_told_to_stop() {
    let sample = Sample::start(&["web", "--version", "1.16.1"]);
    let reply = sample.get("/");
    assert!(reply.contains("\r\nserver: nginx/1.16.1\r\n"), "{reply}");
    sample.terminate();
    let (code, log) = sample.end();
    assert_eq!(code, Some(0));
    assert!(log.starts_with("GET / HTTP/1.1 200 "), "{log}");
}

#[test]
fn options_and_variables_are_one() {
    let sample = Sample::start(&["hello", "--version", "v2", "--quiet"]);
    assert!(sample.get("/hello").ends_with("Hello version: v2, instance: pod-1\n"));
    sample.terminate();
    assert_eq!(sample.end(), (Some(0), String::new()));
}

#[test]
fn a_crash_on_request_is_a_failure() {
    let sample = Sample::start(&["echo", "--crash-after", "1"]);
    sample.get("/");
    assert_eq!(sample.end().0, Some(1));
}

#[test]
fn what_cannot_be_run_is_told() {
    let check = |arguments: &[&str], expect: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_serin"))
            .arg("sample")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(expect), "{error}");
    };
    check(&["shop"], "possible values: productpage");
    check(&["chain", "--port", "0", "--upstream", "appb"], "`appb` is no URL of the form http://");
    check(&["echo", "--port", "0", "--errors", "lots"], "an example of what it can be is 5%");
}
