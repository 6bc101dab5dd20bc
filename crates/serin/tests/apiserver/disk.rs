//! What the server makes of its disk: full, damaged, copied; and the audit log.

use std::path::Path;
use std::process::{Command, Output};

use crate::server::{Server, kubectl};

fn serin(args: &[&str], path: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_serin")).args(args).arg(path).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// A small disk in a folder; it is gone when this is.
struct SmallDisk<'f>(&'f Path);

impl<'f> SmallDisk<'f> {
    fn mount(folder: &'f Path) -> Option<Self> {
        let args = ["-t", "tmpfs", "-o", "size=8m", "tmpfs"];
        let mounted = Command::new("mount").args(args).arg(folder).output();
        if !mounted.is_ok_and(|it| it.status.success()) {
            println!("skipped: only root can mount a small disk");
            return None;
        }
        Some(Self(folder))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // A disk that is in use is let go when its last user ends.
        let _ = Command::new("umount").arg("--lazy").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_refuses_writes_in_plain_words_and_loses_nothing() {
    let Some(kubectl) = kubectl() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let Some(_disk) = SmallDisk::mount(&data) else { return };
    let server = Server::start(folder);
    let filler = server.folder.path().join("filler");
    std::fs::write(&filler, "x".repeat(700_000)).unwrap();
    let from = format!("--from-file={}", filler.display());
    let mut made = Vec::new();
    let refusal = loop {
        let name = format!("big-{}", made.len());
        let output = server.kubectl(&kubectl, &["create", "configmap", &name, &from]);
        if !output.status.success() {
            break text(&output);
        }
        made.push(format!("configmap/{name}"));
        assert!(made.len() < 20, "the disk is never full");
    };
    assert!(refusal.contains("no space left for the store"), "{refusal}");
    assert!(refusal.contains("free space and try again"), "{refusal}");
    made.push("configmap/kube-root-ca.crt".into());
    assert!(made.len() > 2, "{refusal}");
    let there = || server.says(&kubectl, &["get", "configmaps", "-o", "name"]);
    assert_eq!(there().trim().split('\n').collect::<Vec<_>>(), made);
    // With room again, writes go on, and a server that is killed has lost nothing.
    let data = server.folder.path().join("data");
    let grown = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&data).status();
    assert!(grown.unwrap().success());
    let late = server.says(&kubectl, &["create", "configmap", "late"]);
    assert_eq!(late, "configmap/late created\n");
    made.push("configmap/late".into());
    let server = server.crash_and_restart();
    let there = server.says(&kubectl, &["get", "configmaps", "-o", "name"]);
    assert_eq!(there.trim().split('\n').collect::<Vec<_>>(), made);
    drop(server);
}

#[test]
fn a_damaged_file_is_reported_with_what_to_do_and_left_as_it_is() {
    let mut server = Server::start(tempfile::tempdir().unwrap());
    server.process.signal("TERM");
    assert!(server.process.wait().success());
    let file = server.folder.path().join("data/store.redb");
    let whole = std::fs::read(&file).unwrap();
    let mut scratched = whole.clone();
    scratched[..512].fill(0x5A);
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("scratched", scratched),
        ("something else", b"#!/bin/sh\n".repeat(5000)),
    ] {
        std::fs::write(&file, &bytes).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
        command.args(["apiserver", "--listen", "127.0.0.1:0", "--kubeconfig"]);
        command.arg(server.kubeconfig()).arg("--data-dir").arg(server.folder.path().join("data"));
        let output = command.output().unwrap();
        assert!(!output.status.success(), "a server started over a file that is {what}");
        let text = text(&output);
        assert!(text.contains("store.redb is damaged"), "{what}: {text}");
        assert!(text.contains("It was left as it is"), "{what}: {text}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "the {what} file was changed");
    }
    std::fs::write(&file, &whole).unwrap();
    let Server { process, folder } = server;
    drop(process);
    drop(Server::start(folder));
}

#[test]
fn a_copy_of_a_running_server_becomes_the_same_cluster() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::start(tempfile::tempdir().unwrap());
    let says = |args: &[&str]| server.says(&kubectl, args);
    assert_eq!(
        says(&["create", "configmap", "kept", "--from-literal=a=1"]),
        "configmap/kept created\n"
    );
    let token = says(&["create", "token", "default"]);
    let copy = server.folder.path().join("copy");
    let kubeconfig = server.kubeconfig();
    let made = serin(&["backup", "--kubeconfig", kubeconfig.to_str().unwrap()], &copy);
    assert!(made.status.success(), "{}", text(&made));
    assert_eq!(says(&["create", "configmap", "late"]), "configmap/late created\n");

    let folder = tempfile::tempdir().unwrap();
    let args = ["restore", copy.to_str().unwrap(), "--data-dir"];
    let restored = serin(&args, &folder.path().join("data"));
    assert!(restored.status.success(), "{}", text(&restored));
    let again = serin(&args, &folder.path().join("data"));
    assert!(!again.status.success(), "a store was put over another");
    let copied = std::fs::read(&copy).unwrap();
    std::fs::write(&copy, &copied[..copied.len() - 100]).unwrap();
    let cut = serin(&args, &folder.path().join("other"));
    assert!(!cut.status.success(), "half a copy was taken for a whole one");

    let other = Server::start(folder);
    let names = other.says(&kubectl, &["get", "configmaps", "-o", "name"]);
    assert_eq!(names, "configmap/kept\nconfigmap/kube-root-ca.crt\n");
    // Tokens of before are still believed.
    let who = other.says(
        &kubectl,
        &["--token", token.trim(), "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"],
    );
    assert!(who.contains("kubernetes-admin") || who.contains("default"), "{who}");
}

#[test]
fn the_audit_log_says_who_did_what_and_never_what_is_secret() {
    let Some(kubectl) = kubectl() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let mut server = Server::start_with(folder, &["--audit-log", log.to_str().unwrap()]);
    let says = |args: &[&str]| server.says(&kubectl, args);
    says(&["create", "secret", "generic", "s", "--from-literal=password=hunter2"]);
    says(&["delete", "secret", "s", "--as=jane"]);
    server.process.signal("TERM");
    assert!(server.process.wait().success());
    let written = std::fs::read_to_string(&log).unwrap();
    let events: Vec<serde_json::Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |verb: &str| {
        let mut all = events.iter();
        all.find(|it| it["verb"] == verb && it["objectRef"]["resource"] == "secrets").unwrap()
    };
    assert_eq!(of("create")["responseStatus"]["code"], 201);
    assert_eq!(of("create")["objectRef"]["name"], "s");
    assert_eq!(of("delete")["impersonatedUser"]["username"], "jane");
    assert_eq!(of("delete")["responseStatus"]["code"], 403);
    assert!(!written.contains("hunter2") && !written.contains("aHVudGVyMg"), "{written}");
    assert!(events.iter().all(|it| it["kind"] == "Event" && it["level"] == "Metadata"));
}
