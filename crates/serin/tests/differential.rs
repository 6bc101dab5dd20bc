//! The same requests to Serin's gateway and to a real Envoy that is configured as Istio would: what differs is known.
//!
//! `differential/known.txt` names the cases that may differ, each with the reason, and docs/differences.md explains them.
//! A case that differs without standing there fails the test, and so does one that stands there and no longer differs.

#![expect(clippy::expect_used, reason = "a test says what it needs and what it finds")]

mod differential {
    pub(crate) mod backend;
    pub(crate) mod client;
    pub(crate) mod corpus;
}

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use differential::{backend, client, corpus};
use serin_testkit::{Process, tools};

const KNOWN: &str = include_str!("differential/known.txt");
/// A proxy that says nothing for so many seconds is taken to wait for more. The machine may have stalled: what that would
/// explain is asked again with more of them.
const SILENCES: [u64; 3] = [2, 10, 60];

#[test]
fn requests_fare_as_with_envoy_but_for_what_is_known() {
    let Some(envoy) = tools::find("envoy") else { return };
    let folder = tempfile::tempdir().expect("a folder for settings");
    let ports = (backend::start(), backend::nobody());
    let (_envoy, envoy) = start_envoy(&envoy, folder.path(), ports);
    let (_serin, serin) = start_serin(folder.path(), ports);

    let mut known: BTreeMap<&str, &str> =
        KNOWN.lines().filter_map(|line| line.split_once(" => ")).collect();
    let cases = corpus::cases();
    let mut surprises = Vec::new();
    for (name, bytes) in &cases {
        let is_known = known.remove(name.as_str()).is_some();
        if let Some(lines) = surprise(envoy, serin, bytes, is_known) {
            surprises.push(format!("=== {name}\n{lines}"));
        }
    }
    println!("{} cases, {} of them known to differ", cases.len(), KNOWN.lines().count());
    assert!(known.is_empty(), "no such cases: {known:?}");
    assert!(surprises.is_empty(), "{} surprises\n{}", surprises.len(), surprises.join("\n"));
}

/// What differs and is not known to, or nothing where something is.
fn surprise(envoy: SocketAddr, serin: SocketAddr, bytes: &[u8], is_known: bool) -> Option<String> {
    let mut lines = String::new();
    for silence in SILENCES.map(Duration::from_secs) {
        let (theirs, ours) =
            (client::send(envoy, bytes, silence), client::send(serin, bytes, silence));
        if (theirs != ours) == is_known {
            return None;
        }
        lines = lines_that_differ(&theirs, &ours);
        if !lines.contains(client::SILENT) {
            break;
        }
    }
    Some(lines)
}

/// The lines of one that the other does not have.
fn lines_that_differ(envoy: &str, serin: &str) -> String {
    let only = |who: &str, these: &str, those: &str| {
        let mut those: Vec<&str> = those.lines().collect();
        let lines = these.lines().filter(|line| match those.iter().position(|it| it == line) {
            Some(place) => {
                those.swap_remove(place);
                false
            }
            None => true,
        });
        lines.fold(String::new(), |text, line| {
            format!("{text}  {who}: {}\n", line.chars().take(160).collect::<String>())
        })
    };
    format!("{}{}", only("Envoy", envoy, serin), only("Serin", serin, envoy))
}

fn start_envoy(envoy: &Path, folder: &Path, ports: (u16, u16)) -> (Process, SocketAddr) {
    let (config, admin) = (folder.join("envoy.yaml"), folder.join("admin"));
    fs::write(&config, with_ports(include_str!("differential/envoy.yaml"), ports))
        .expect("our folder");
    let mut command = Command::new(envoy);
    command.arg("--config-path").arg(&config).arg("--admin-address-path").arg(&admin);
    // Several Envoys on one machine share memory by this number.
    command.args(["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "info"]);
    let process = Process::start(&mut command);
    process.wait_for(|line| line.contains("starting main dispatch loop"));
    let admin = fs::read_to_string(&admin).expect("Envoy writes it before it serves");
    let listeners = get(admin.trim().parse().expect("an address"), "/listeners");
    let address = listeners.rsplit("0.0.0.0_8080::").next().and_then(|text| text.lines().next());
    (process, address.and_then(|text| text.trim().parse().ok()).expect("Envoy tells its listeners"))
}

fn start_serin(folder: &Path, ports: (u16, u16)) -> (Process, SocketAddr) {
    let manifests = folder.join("serin.yaml");
    fs::write(&manifests, with_ports(include_str!("differential/serin.yaml"), ports))
        .expect("our folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    command
        .args(["gateway", "--address", "127.0.0.1", "--port-map", "8080=0", "-f"])
        .arg(&manifests);
    let process = Process::start(&mut command);
    let ready = process.wait_for(|line| line.starts_with("ready"));
    let address = ready.split([' ', ',', ';']).find_map(|word| word.parse().ok());
    (process, address.expect("the line names the address"))
}

fn with_ports(text: &str, (backend, nobody): (u16, u16)) -> String {
    text.replace("BACKEND", &backend.to_string()).replace("NOBODY", &nobody.to_string())
}

/// The body of an answer of Envoy's own server.
fn get(address: SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).expect("the admin server listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}
