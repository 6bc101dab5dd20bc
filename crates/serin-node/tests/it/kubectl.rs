//! kubectl, as people use it: logs, exec, top.

use serde_json::json;

use crate::world::{World, kubectl};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_shows_logs_and_those_of_the_run_before() {
    let Some(world) = World::start().await else { return };
    let config = world.listen().await;
    let script =
        "test -e /seen/1 && { echo second; sleep 1000; }; touch /seen/1; echo first; exit 1";
    let more = json!({
        "volumeMounts": [{"name": "seen", "mountPath": "/seen"}],
        "spec": {"volumes": [{"name": "seen", "emptyDir": {}}]},
    });
    world.run("twice", script, more).await;
    world
        .until("twice", |pod| {
            let one = &pod["status"]["containerStatuses"][0];
            (one["restartCount"] == 1 && one["state"]["running"].is_object()).then_some(())
        })
        .await;
    let mut shown = String::new();
    while shown.is_empty() {
        shown = kubectl(&config, &["logs", "twice"], "").await.0;
    }
    assert_eq!(shown, "second\n");
    assert_eq!(kubectl(&config, &["logs", "-p", "twice"], "").await.0, "first\n");
    let (_, error, code) = kubectl(&config, &["logs", "none"], "").await;
    assert_eq!(code, 1);
    assert!(error.contains("pods \"none\" not found"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_runs_programs_in_a_container_with_its_files_input_and_exit_code() {
    let Some(world) = World::start().await else { return };
    let config = world.listen().await;
    world.run("shell", "echo inside > /tmp/mark; sleep 1000", json!({})).await;
    world.ready("shell").await;
    let script = "until test -e /tmp/mark; do sleep 0.05; done; cat /tmp/mark; hostname; echo oops >&2; exit 7";
    let (out, error, code) =
        kubectl(&config, &["exec", "shell", "--", "sh", "-c", script], "").await;
    assert_eq!(out, "inside\nshell\n", "{error}");
    assert!(error.contains("oops"), "{error}");
    assert_eq!(code, 7, "{error:?}");
    let (out, error, code) =
        kubectl(&config, &["exec", "-i", "shell", "--", "cat"], "hello\n").await;
    assert_eq!((out.as_str(), code), ("hello\n", 0), "{error}");
    let (_, error, code) = kubectl(&config, &["exec", "shell", "--", "no-such-program"], "").await;
    assert_ne!(code, 0);
    assert!(error.contains("executable file not found"), "{error}");
    assert!(!std::path::Path::new("/tmp/mark").exists(), "the host's files are as they were");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_told() {
    let Some(world) = World::start().await else { return };
    let config = world.listen().await;
    world.run("busy", "while :; do :; done", json!({})).await;
    world.ready("busy").await;
    let mut shown = (String::new(), String::new(), 1);
    for _ in 0..120 {
        shown = kubectl(&config, &["top", "pod", "busy", "--no-headers"], "").await;
        if shown.2 == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let cpu = shown.0.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let cpu: u32 = cpu.trim_end_matches('m').parse().unwrap_or(0);
    assert!(cpu > 50, "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_forwards_ports() {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    let Some(world) = World::start().await else { return };
    let config = world.listen().await;
    let serve = "import socket\ns = socket.create_server(('0.0.0.0', 7000))\nwhile True:\n  c, _ = s.accept()\n  c.sendall(b'you said ' + c.recv(100))\n  c.close()";
    let pod = json!({
        "metadata": {"name": "served"},
        "spec": {"containers": [{
            "name": "main", "image": "sh:1", "command": ["python3", "-c", serve],
            "readinessProbe": {"exec": {"command": ["sh", "-c", "grep -q :1B58 /proc/net/tcp"]}, "periodSeconds": 1},
        }]},
    });
    world.create(pod).await;
    world.ready("served").await;
    let mut forward = tokio::process::Command::new("kubectl")
        .args(["port-forward", "pod/served", ":7000"])
        .env("KUBECONFIG", &config)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("kubectl is installed");
    let mut said = BufReader::new(forward.stdout.take().unwrap()).lines();
    let line = said.next_line().await.unwrap().unwrap_or_default();
    let port = line.strip_prefix("Forwarding from 127.0.0.1:").unwrap_or(&line);
    let port: u16 = port.split(' ').next().unwrap().parse().expect(&line);
    for text in ["one", "two"] {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(std::time::Duration::from_secs(10), read).await.unwrap().unwrap();
        assert_eq!(answer, format!("you said {text}"));
    }
}
