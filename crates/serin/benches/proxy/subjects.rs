//! The proxies that are compared, each with a configuration for the same work.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serin_testkit::tools;

/// The core of the subject, and the one of load and backends.
pub(crate) const SUBJECT_CORE: &str = "0";
pub(crate) const LOAD_CORE: &str = "1";

/// Descriptors that no case needs more of: HAProxy takes two for a connection.
const DESCRIPTORS: u64 = 24_000;

/// How long a proxy may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where things listen.
#[derive(Clone, Copy)]
pub(crate) struct Backends {
    pub(crate) one: u16,
    pub(crate) two: u16,
    pub(crate) grpc: u16,
}

/// A proxy that runs.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    child: Child,
    pub(crate) plain: u16,
    pub(crate) tls: u16,
    /// HTTP/2 without TLS.
    pub(crate) http2: u16,
    /// Clients' connections that it has descriptors for, and some to spare.
    pub(crate) connections: usize,
}

impl Subject {
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Ended in order, it writes what it has counted of itself, if it was built to do that.
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command on a core, with room for as many connections as the system gives.
pub(crate) fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "ulimit -n 24000 2>/dev/null || ulimit -n $(ulimit -H -n); exec taskset -c \"$@\"",
            "sh",
            core,
        ])
        .arg(program);
    command
}

/// Starts all that are installed. `folder` has the certificate.
pub(crate) fn start(folder: &Path, backends: Backends) -> anyhow::Result<Vec<Subject>> {
    let mut subjects = vec![serin(folder, backends, 0)?];
    if let Some(program) = tools::find("nginx") {
        subjects.push(nginx(&program, folder, backends)?);
    }
    if let Some(program) = tools::find("haproxy") {
        subjects.push(haproxy(&program, folder, backends)?);
    }
    if let Some(program) = tools::find("envoy") {
        subjects.push(envoy(&program, folder, backends)?);
    }
    Ok(subjects)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Starts a subject and waits until it listens.
fn launch(name: &'static str, mut command: Command, ports: [u16; 3]) -> anyhow::Result<Subject> {
    let log = std::env::temp_dir().join(format!("bench-{name}-{}.log", std::process::id()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let [plain, tls, http2] = ports;
    let connections = descriptors() - 100;
    let mut subject = Subject { name, child, plain, tls, http2, connections };
    let deadline = Instant::now() + Duration::from_secs(20);
    for port in ports {
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline || subject.child.try_wait()?.is_some() {
                bail!("{name} does not listen: {}", fs::read_to_string(&log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    fs::remove_file(log)?;
    Ok(subject)
}

/// Serin with so many rules before those that requests match.
pub(crate) fn serin(folder: &Path, backends: Backends, more: usize) -> anyhow::Result<Subject> {
    let manifests = folder.join(format!("serin-{more}"));
    fs::create_dir_all(&manifests)?;
    let read = |file: &str| fs::read_to_string(folder.join(file));
    let (certificate, key) =
        (indented(&read("tls.crt")?, "    "), indented(&read("tls.key")?, "    "));
    let Backends { one, two, grpc } = backends;
    let text = include_str!("serin.yaml")
        .replace("CERTIFICATE\n", &certificate)
        .replace("KEY\n", &key)
        .replace("RULES\n", &(0..more).map(rule).collect::<String>())
        .replace("PORT_ONE", &one.to_string())
        .replace("PORT_TWO", &two.to_string())
        .replace("PORT_GRPC", &grpc.to_string());
    fs::write(manifests.join("all.yaml"), text)?;
    let (plain, tls) = (free_port()?, free_port()?);
    // Another build can be named to compare.
    let own = env!("CARGO_BIN_EXE_serin").into();
    let program = std::env::var_os("SERIN_BINARY").map_or(own, PathBuf::from);
    let mut command = pinned(SUBJECT_CORE, &program);
    command.arg("gateway").arg("-f").arg(&manifests);
    command.args(["--workers", "1", "--address", "127.0.0.1"]);
    command.args(["--port-map", &format!("80={plain}"), "--port-map", &format!("443={tls}")]);
    launch("serin", command, [plain, tls, plain])
}

/// A rule that no request matches.
fn rule(number: usize) -> String {
    format!(
        "  - match: [{{uri: {{prefix: /other/{number}/}}}}]\n    route: [{{destination: {{host: web.test, subset: v2}}}}]\n"
    )
}

fn nginx(program: &Path, folder: &Path, backends: Backends) -> anyhow::Result<Subject> {
    let ports = [free_port()?, free_port()?, free_port()?];
    let [plain, tls, http2] = ports;
    let Backends { one, two, grpc } = backends;
    let at = folder.display();
    let text = format!(
        "\
daemon off; master_process off; worker_processes 1;
pid {at}/nginx.pid; error_log stderr error;
events {{ worker_connections 12000; }}
http {{
  access_log off; server_tokens off; keepalive_timeout 3600; keepalive_requests 100000000; tcp_nodelay on;
  client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
  upstream v1 {{ server 127.0.0.1:{one}; keepalive 256; keepalive_requests 100000000; }}
  upstream v2 {{ server 127.0.0.1:{two}; keepalive 256; keepalive_requests 100000000; }}
  upstream grpc {{ server 127.0.0.1:{grpc}; keepalive 256; keepalive_requests 100000000; }}
  split_clients \"$request_id\" $split {{ 90% v1; * v2; }}
  map $http_end_user $version {{ jason v2; default $split; }}
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2; listen 127.0.0.1:{http2} http2;
    ssl_certificate {at}/tls.crt; ssl_certificate_key {at}/tls.key; ssl_session_tickets on;
    http2_max_concurrent_streams 128;
    proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Request-Id $request_id;
    location /grpc {{ grpc_pass grpc://grpc; }}
    location / {{ proxy_pass http://$version; }}
  }}
}}
"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = pinned(SUBJECT_CORE, program);
    command.arg("-c").arg(file).arg("-p").arg(folder);
    launch("nginx", command, ports)
}

/// Files that a process may open here; as many as any case needs, if that is allowed.
fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    usize::try_from(limit.unwrap_or(DESCRIPTORS).min(DESCRIPTORS)).unwrap_or(usize::MAX)
}

fn haproxy(program: &Path, folder: &Path, backends: Backends) -> anyhow::Result<Subject> {
    let ports = [free_port()?, free_port()?, free_port()?];
    let [plain, tls, http2] = ports;
    let Backends { one, two, grpc } = backends;
    let both =
        fs::read_to_string(folder.join("tls.crt"))? + &fs::read_to_string(folder.join("tls.key"))?;
    let pem = folder.join("haproxy.pem");
    fs::write(&pem, both)?;
    let pem = pem.display();
    let connections = (descriptors() - 200) / 2;
    let text = format!(
        "\
global
  nbthread 1
  maxconn {connections}
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  http-reuse always
  option forwardfor
frontend all
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{tls} ssl crt {pem} alpn h2,http/1.1
  bind 127.0.0.1:{http2} proto h2
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  use_backend grpc if {{ path_beg /grpc }}
  use_backend v2 if {{ req.hdr(end-user) jason }}
  use_backend v2 if {{ rand(100) lt 10 }}
  default_backend v1
backend v1
  server a 127.0.0.1:{one} pool-max-conn -1
backend v2
  server a 127.0.0.1:{two} pool-max-conn -1
backend grpc
  server a 127.0.0.1:{grpc} proto h2 pool-max-conn -1
"
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text)?;
    let mut command = pinned(SUBJECT_CORE, program);
    command.arg("-db").arg("-f").arg(file);
    let mut subject = launch("haproxy", command, ports)?;
    subject.connections = connections - 100;
    Ok(subject)
}

fn envoy(program: &Path, folder: &Path, backends: Backends) -> anyhow::Result<Subject> {
    let ports = [free_port()?, free_port()?, free_port()?];
    let [plain, tls, http2] = ports;
    let at = folder.display();
    let manager = |indent: &str| {
        let text = "\
- name: envoy.filters.network.http_connection_manager
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
    stat_prefix: all
    codec_type: AUTO
    use_remote_address: true
    route_config:
      name: all
      virtual_hosts:
      - name: all
        domains: ['*']
        routes:
        - match: {prefix: /grpc}
          route: {cluster: grpc}
        - match: {prefix: /, headers: [{name: end-user, string_match: {exact: jason}}]}
          route: {cluster: v2}
        - match: {prefix: /}
          route: {weighted_clusters: {clusters: [{name: v1, weight: 90}, {name: v2, weight: 10}]}}
    http_filters:
    - name: envoy.filters.http.router
      typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
";
        indented(text, indent)
    };
    let listener = |name: &str, port: u16, transport: &str| {
        format!(
            "  - name: {name}\n    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}\n    filter_chains:\n    - filters:\n{}{transport}",
            manager("      ")
        )
    };
    let transport = format!(
        "\
transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
    common_tls_context:
      alpn_protocols: [h2, http/1.1]
      tls_certificates: [{{certificate_chain: {{filename: {at}/tls.crt}}, private_key: {{filename: {at}/tls.key}}}}]
"
    );
    let transport = indented(&transport, "      ");
    let cluster = |name: &str, port: u16, options: &str| {
        format!(
            "  - name: {name}\n    type: STATIC\n    lb_policy: LEAST_REQUEST\n    connect_timeout: 10s\n    circuit_breakers: {{thresholds: [{{max_connections: 100000, max_requests: 100000, max_pending_requests: 100000}}]}}\n{options}    load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}\n"
        )
    };
    let http2_options = "    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        explicit_http_config: {http2_protocol_options: {}}\n";
    let text = [
        "static_resources:\n  listeners:\n".to_owned(),
        listener("plain", plain, ""),
        listener("tls", tls, &transport),
        listener("http2", http2, ""),
        "  clusters:\n".to_owned(),
        cluster("v1", backends.one, ""),
        cluster("v2", backends.two, ""),
        cluster("grpc", backends.grpc, http2_options),
    ]
    .concat();
    let file = folder.join("envoy.yaml");
    fs::write(&file, text)?;
    let mut command = pinned(SUBJECT_CORE, program);
    command.arg("-c").arg(file);
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
    launch("envoy", command, ports)
}

fn indented(text: &str, indent: &str) -> String {
    text.lines().map(|line| format!("{indent}{line}\n")).collect()
}

/// The backends' process; killed when this is dropped.
pub(crate) struct BackendProcess {
    child: Child,
    pub(crate) backends: Backends,
}

impl BackendProcess {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let own: PathBuf = std::env::current_exe()?;
        let mut command = pinned(LOAD_CORE, &own);
        let mut child = command.arg("backend").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().context("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let ports: Vec<u16> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [one, two, grpc] = ports[..] else { bail!("the backends do not start: {line:?}") };
        Ok(Self { child, backends: Backends { one, two, grpc } })
    }
}

impl Drop for BackendProcess {
    fn drop(&mut self) {
        // It ends by nothing else.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
