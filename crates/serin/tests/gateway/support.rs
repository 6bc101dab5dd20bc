//! A gateway that runs, backends for it, and a client that speaks bytes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A folder of its own for one test, removed at its end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("serin-gw-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A folder with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        files.iter().for_each(|(file, text)| folder.write(file, text));
        folder
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Gateway for port 80 and all hosts.
pub(crate) const GATEWAY: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
";

/// A service `name.test` on port 80 at an address.
pub(crate) fn service(name: &str, address: SocketAddr) -> String {
    format!(
        "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.test]
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {}}}]
  resolution: STATIC
  location: MESH_INTERNAL
  endpoints: [{{address: {}, labels: {{app: {name}, version: v1}}}}]
---
",
        address.port(),
        address.ip()
    )
}

/// A VirtualService of the Gateway with the fields of its `http` list.
pub(crate) fn routes(http: &str) -> String {
    format!(
        "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: routes}}
spec:
  hosts: ['*']
  gateways: [gw]
  http:
{http}"
    )
}

/// All requests to a service.
pub(crate) fn all_to(service: &str) -> String {
    routes(&format!("  - name: all\n    route: [{{destination: {{host: {service}.test}}}}]\n"))
}

/// A gateway that runs; killed at the end of the test.
pub(crate) struct Gateway<'f> {
    /// Its folder has to stay: that it is gone would be a change.
    _folder: &'f Folder,
    child: Child,
    /// What the `ready` line names, by the Gateways' ports.
    pub(crate) ports: BTreeMap<u16, SocketAddr>,
    pub(crate) ready: String,
    /// Where the admin interface listens.
    pub(crate) admin: Option<SocketAddr>,
    stderr: Receiver<String>,
    /// What it has said on standard error so far.
    pub(crate) said: Vec<String>,
}

impl<'f> Gateway<'f> {
    /// Starts one on a folder, on 127.0.0.1 and any free port in place of 80, and waits until it serves.
    pub(crate) fn start(folder: &'f Folder, arguments: &[&str]) -> Self {
        let mut all = vec!["--address", "127.0.0.1", "--port-map", "80=0"];
        all.extend(arguments);
        Self::start_with(folder, &all)
    }

    pub(crate) fn start_with(folder: &'f Folder, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_serin"))
            .args(["gateway", "-f", folder.path(), "--workers", "2", "--admin", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, stderr) = channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ports = BTreeMap::new();
        let said = Vec::new();
        let mut gateway = Self { _folder: folder, child, ports, ready, admin: None, stderr, said };
        if !gateway.ready.starts_with("ready ") {
            gateway.say_until("\0");
            panic!("not ready: {:?}, said {:#?}", gateway.ready, gateway.said);
        }
        let ready = gateway.ready.trim().trim_start_matches("ready ").to_owned();
        let (list, admin) = ready.split_once("; admin on ").unwrap_or((&ready, ""));
        gateway.admin = admin.parse().ok();
        for part in list.split(", ") {
            if let Some((port, address)) = part.split_once(" on ") {
                let Ok(port) = port.parse() else { continue };
                gateway.ports.insert(port, address.parse().unwrap());
            }
        }
        gateway
    }

    /// Where it listens for port 80.
    pub(crate) fn address(&self) -> SocketAddr {
        self.ports[&80]
    }

    /// Asks the admin interface.
    pub(crate) fn ask_admin(&self, path: &str) -> Answer {
        get(self.admin.unwrap(), "localhost", path)
    }

    /// Tells the admin interface to do something.
    pub(crate) fn tell_admin(&self, path: &str) -> Answer {
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        Client::connect(self.admin.unwrap()).ask(&request)
    }

    /// Waits for a line on standard error that contains a text.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        match self.say_until(text) {
            Some(line) => line,
            None => panic!("never said {text:?}: {:#?}", self.said),
        }
    }

    fn say_until(&mut self, text: &str) -> Option<String> {
        while let Ok(line) = self.stderr.recv_timeout(serin_testkit::PATIENCE) {
            self.said.push(line.clone());
            if line.contains(text) {
                return Some(line);
            }
        }
        None
    }

    /// Waits until a version of the manifests is in force.
    #[track_caller]
    pub(crate) fn wait_for_version(&mut self, version: u64) {
        self.wait_for(&format!("version={version} "));
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Gateway<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A backend that answers with its name and the request line, and `X-Backend: NAME`.
pub(crate) fn backend(name: &'static str) -> SocketAddr {
    serve(move |head| {
        let line = head.lines().next().unwrap_or_default();
        let body = format!("{name} {line}");
        format!(
            "HTTP/1.1 200 OK\r\nX-Backend: {name}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    })
}

/// A backend that answers each head with what `answer` makes of it, bodies are passed over.
pub(crate) fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut client = Client::over(stream);
                while let Some(head) = client.head() {
                    let length = length(&head);
                    client.body(length);
                    if client.stream.write_all(answer(&head).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn length(head: &str) -> usize {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.map_or(0, |(_, value)| value.trim().parse().unwrap())
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// One connection of a client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    seen: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(serin_testkit::PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, seen: Vec::new() }
    }

    /// Sends a `GET` and reads the answer.
    pub(crate) fn get(&mut self, host: &str, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    /// Sends bytes and reads one answer.
    pub(crate) fn ask(&mut self, request: &str) -> Answer {
        self.stream.write_all(request.as_bytes()).unwrap();
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().unwrap()
    }

    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let head = self.head()?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { self.chunks() } else { self.body(length(&head)) };
        Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Reads a request as its server, and answers it.
    pub(crate) fn request(&mut self) -> (String, String) {
        let head = self.head().unwrap();
        let body = self.body(length(&head));
        self.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(count @ 1..) => {
                self.seen.extend_from_slice(&buffer[..count]);
                true
            }
            _ => false,
        }
    }

    fn line(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = self.seen.windows(2).position(|it| it == b"\r\n") {
                return self.seen.drain(..end + 2).collect();
            }
            assert!(self.fill(), "the connection ended inside of a line");
        }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        loop {
            let line = String::from_utf8(self.line()).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            whole.extend(self.body(size));
            self.line();
            if size == 0 {
                return whole;
            }
        }
    }

    fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.seen.windows(4).position(|it| it == b"\r\n\r\n") {
                let head: Vec<u8> = self.seen.drain(..end + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn body(&mut self, length: usize) -> Vec<u8> {
        while self.seen.len() < length {
            assert!(self.fill(), "the connection ended inside of a body");
        }
        self.seen.drain(..length).collect()
    }
}

/// One request on a connection of its own.
pub(crate) fn get(address: SocketAddr, host: &str, path: &str) -> Answer {
    Client::connect(address).get(host, path)
}
