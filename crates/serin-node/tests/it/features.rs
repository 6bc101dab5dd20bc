//! What manifests ask of pods beside running: probes by network, hooks, limits, tokens, terminals, copies.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use serin_testkit::{PATIENCE, tools};

use crate::world::{World, kubectl};

/// The first container's part of a status.
fn first(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

#[tokio::test]
async fn probes_ask_by_http_and_tcp_and_a_startup_probe_holds_the_others_back() {
    let Some(world) = World::start().await else { return };
    let more = json!({
        "ports": [{"name": "web", "containerPort": 7000}],
        "startupProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1, "failureThreshold": 30},
        "readinessProbe": {"httpGet": {"path": "/", "port": 7000}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/alive", "port": "web"}, "periodSeconds": 1, "failureThreshold": 1},
        "workingDir": "/srv/page",
        "volumeMounts": [{"name": "page", "mountPath": "/srv/page"}],
        "spec": {"volumes": [{"name": "page", "emptyDir": {}}]},
    });
    // Until it listens the startup probe fails, and nobody asks whether it is alive; later the page is gone.
    let script = "touch alive; sleep 1.5; (sleep 3; rm alive) & exec python3 -m http.server 7000";
    world.run("web", script, more).await;
    world.ready("web").await;
    let before = world.until("web", |pod| first(pod)["restartCount"].as_i64()).await;
    assert_eq!(before, 0, "a probe for life failed before the container had started");
    let code =
        world.until("web", |pod| first(pod)["lastState"]["terminated"]["exitCode"].as_i64()).await;
    assert_ne!(code, 0);
}

/// A gRPC server whose health is a file.
const GRPC: &str = r#"
import grpc, os
from concurrent import futures

class Health(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method != "/grpc.health.v1.Health/Check":
            return None
        def check(request, context):
            if request[2:] != b"shop":
                context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            return b"\x08\x01" if os.path.exists("/out/alive") else b"\x08\x02"
        return grpc.unary_unary_rpc_method_handler(check)

server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Health(),))
server.add_insecure_port("0.0.0.0:7000")
server.start()
server.wait_for_termination()
"#;

#[tokio::test]
async fn probes_ask_the_health_service_of_a_grpc_server() {
    let Some(python) = tools::find("python") else { return };
    let Some(world) = World::start().await else { return };
    std::fs::write(world.folder.path().join("server.py"), GRPC).unwrap();
    std::fs::write(world.folder.path().join("alive"), "").unwrap();
    let probe = |service: &str| json!({"grpc": {"port": 7000, "service": service}, "periodSeconds": 1, "failureThreshold": 30});
    let more = json!({
        "startupProbe": probe("shop"),
        "readinessProbe": probe("shop"),
        "volumeMounts": [{"name": "out", "mountPath": "/out"}],
        "spec": {"volumes": [{"name": "out", "hostPath": {"path": world.folder.path()}}]},
    });
    let script = format!("exec {} /out/server.py", python.display());
    world.run("asked", &script, more.clone()).await;
    world.ready("asked").await;
    // What it tells is what counts, not that it answers.
    std::fs::remove_file(world.folder.path().join("alive")).unwrap();
    let text = "Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")";
    world.event("asked", "Unhealthy", text).await;
    // A service that it does not know is not well.
    let mut other = more;
    other["startupProbe"] = probe("cellar");
    world.run("unknown", &script, other).await;
    world.event("unknown", "Unhealthy", "Startup probe failed: rpc error: code = 5").await;
}

#[tokio::test]
async fn probes_over_tls_take_any_certificate() {
    let Some(world) = World::start().await else { return };
    let made = rcgen::generate_simple_self_signed(["nobody.example".to_owned()]).unwrap();
    let folder = world.folder.path();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let probe = |path: &str| json!({"httpGet": {"scheme": "HTTPS", "path": path, "port": 7000}, "periodSeconds": 1, "failureThreshold": 30});
    let more = json!({
        "startupProbe": probe("/"),
        "readinessProbe": probe("/cert.pem"),
        "workingDir": "/tls",
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
        "spec": {"volumes": [{"name": "tls", "hostPath": {"path": folder}}]},
    });
    let script = "exec python3 -c \"import http.server as h, ssl
server = h.HTTPServer(('0.0.0.0', 7000), h.SimpleHTTPRequestHandler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain('cert.pem', 'key.pem')
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()\"";
    world.run("secret", script, more.clone()).await;
    world.ready("secret").await;
    let mut other = more;
    other["readinessProbe"] = probe("/nothing");
    world.run("lost", script, other).await;
    world
        .event(
            "lost",
            "Unhealthy",
            "Readiness probe failed: HTTP probe failed with statuscode: 404",
        )
        .await;
}

#[tokio::test]
async fn hooks_run_after_the_start_and_before_the_end() {
    let Some(world) = World::start().await else { return };
    let hook =
        |text: &str| json!({"exec": {"command": ["sh", "-c", format!("echo {text} >> /out/log")]}});
    let more = json!({
        "lifecycle": {"postStart": hook("started"), "preStop": hook("stopping")},
        "volumeMounts": [{"name": "out", "mountPath": "/out"}],
        "spec": {"volumes": [{"name": "out", "hostPath": {"path": world.folder.path()}}]},
    });
    let script = "trap 'echo stopped >> /out/log; exit 0' TERM; \
                  until test -e /out/log; do sleep 0.05; done; sleep 1000 & wait";
    world.run("hooked", script, more).await;
    world.ready("hooked").await;
    world.delete("hooked").await;
    world.gone("hooked").await;
    let log = std::fs::read_to_string(world.folder.path().join("log")).unwrap();
    assert_eq!(log, "started\nstopping\nstopped\n");
}

#[tokio::test]
async fn a_container_that_takes_more_memory_than_its_limit_is_killed_and_says_so() {
    let Some(world) = World::start().await else { return };
    if !world.node.can_limit() {
        println!("skipped: no control groups can be made here");
        return;
    }
    let more = json!({
        "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
        "spec": {"restartPolicy": "Never"},
    });
    world.run("large", "exec python3 -c 'x = bytearray(300 << 20)'", more).await;
    assert_eq!(world.over("large").await, "Failed");
    let ended = world.until("large", |pod| Some(first(pod)["state"]["terminated"].clone())).await;
    assert_eq!(
        (ended["reason"].as_str(), ended["exitCode"].as_i64()),
        (Some("OOMKilled"), Some(137))
    );
}

#[tokio::test]
async fn tokens_and_secrets_are_projected() {
    let Some(world) = World::start().await else { return };
    let secrets: Api<Secret> = Api::default_namespaced(world.client.clone());
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"user": "anna"}});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let sources = json!([
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600, "audience": "shop"}},
        {"secret": {"name": "s", "items": [{"key": "user", "path": "deep/user", "mode": 256}]}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]);
    let more = json!({
        "volumeMounts": [{"name": "all", "mountPath": "/all"}],
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "all", "projected": {"sources": sources}}],
        },
    });
    let script =
        "tr -cd . < /all/token | wc -c; cat /all/deep/user; echo; stat -Lc %a /all/deep/user";
    let pod = world.run("projected", script, more).await;
    let phase = world.over("projected").await;
    let log = world.log(&pod, "main", 0);
    assert_eq!((phase.as_str(), log.as_str()), ("Succeeded", "2\nanna\n400"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_runs_attaches_and_copies() {
    let Some(world) = World::start().await else { return };
    let config = world.listen().await;
    let run = [
        "run",
        "talk",
        "--image=sh:1",
        "--restart=Never",
        "--rm",
        "-i",
        "--command",
        "--",
        "sh",
        "-c",
        "read word; echo got $word",
    ];
    let (out, err, code) = kubectl(&config, &run, "hello\n").await;
    assert!(out.contains("got hello") && code == 0, "{out} {err} {code}");
    world.gone("talk").await;

    let pod = world.run(
        "here",
        "mkdir -p /tmp/in; exec sleep 1000",
        json!({
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp/in"}],
            "spec": {"volumes": [{"name": "tmp", "emptyDir": {}}]},
        }),
    );
    pod.await;
    world.ready("here").await;
    let file = world.folder.path().join("file");
    std::fs::write(&file, "content\n".repeat(10_000)).unwrap();
    let (back, file) = (world.folder.path().join("back"), file.to_str().unwrap().to_owned());
    let (out, err, code) = kubectl(&config, &["cp", &file, "here:/tmp/in/file"], "").await;
    assert_eq!(code, 0, "{out} {err}");
    let there = ["cp", "here:/tmp/in/file", back.to_str().unwrap()];
    let (out, err, code) = kubectl(&config, &there, "").await;
    assert_eq!(code, 0, "{out} {err}");
    assert_eq!(std::fs::read(&back).unwrap(), std::fs::read(&file).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_the_containers_own() {
    let Some(world) = World::start().await else { return };
    let config = world.listen().await;
    let more = json!({"securityContext": {"runAsUser": 1000}});
    world.run("here", "exec sleep 1000", more).await;
    world.ready("here").await;
    let at_terminal = async |command: &str| {
        let command = format!("kubectl --kubeconfig {} {command}", config.display());
        let mut script = tokio::process::Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Nothing is typed. The end of what is typed would be typed too, and seen.
        let _keyboard = script.stdin.take();
        let output = tokio::time::timeout(PATIENCE, script.wait_with_output());
        let output = output.await.unwrap().unwrap();
        // The log of a terminal has its own line ends, which this terminal makes longer still.
        String::from_utf8_lossy(&output.stdout).replace('\r', "")
    };
    // It has a name there, and is the user's.
    let shown =
        at_terminal("exec -it here -- sh -c 'tty; stat -c %u $(tty); echo by name > $(tty)'").await;
    assert!(shown.contains("/dev/pts/0\n1000\nby name\n"), "{shown:?}");
    let shown = at_terminal("exec -it here -- no-such-program").await;
    assert!(shown.contains("executable file not found"), "{shown:?}");
    let run = "run talk --image=sh:1 --restart=Never --rm -it --command -- sh -c 'tty; echo $0'";
    let shown = at_terminal(run).await;
    assert!(shown.contains("/dev/pts/0\nsh\n"), "{shown:?}");
}
