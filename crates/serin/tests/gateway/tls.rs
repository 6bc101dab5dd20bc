//! TLS with the programs that people have: certificates as `openssl` makes them, requests by `curl`.

use std::path::Path;
use std::process::Command;

use serin_testkit::tools::find;

use crate::support::{Folder, Gateway, all_to, backend, service};

/// Whether the programs are here; without them there is nothing to test.
fn has_programs() -> bool {
    ["openssl", "curl"].into_iter().all(|name| find(name).is_some())
}

/// Runs a program in a folder; what it says, and whether it succeeded.
fn run(folder: &Path, name: &str, arguments: &str) -> (bool, String) {
    let mut command = Command::new(find(name).unwrap());
    let output = command.args(arguments.split_whitespace()).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// An authority `ca`, and certificates by it as in Istio's documentation: of X.509 version 1, without alternative names.
fn make_certificates(folder: &Path, names: &[&str]) {
    let openssl = |arguments: &str| {
        let (is_done, said) = run(folder, "openssl", arguments);
        assert!(is_done, "{said}");
    };
    openssl(
        "req -x509 -sha256 -nodes -days 365 -newkey rsa:2048 -subj /O=example/CN=example.com -keyout ca.key -out ca.crt",
    );
    for name in names {
        openssl(&format!(
            "req -out {name}.csr -newkey rsa:2048 -nodes -keyout {name}.key -subj /CN={name}.example.com/O=example"
        ));
        openssl(&format!(
            "x509 -req -sha256 -days 365 -CA ca.crt -CAkey ca.key -set_serial 1 -in {name}.csr -out {name}.crt"
        ));
    }
}

/// A Secret of files, by the names of its entries.
fn secret(folder: &Path, name: &str, entries: &[(&str, &str)]) -> String {
    let mut text =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData:\n");
    for (entry, file) in entries {
        let content = std::fs::read_to_string(folder.join(file)).unwrap();
        text += &format!("  {entry}: |\n");
        text.extend(content.lines().map(|line| format!("    {line}\n")));
    }
    text + "---\n"
}

fn gateway(tls: &str) -> String {
    format!(
        "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: 443, name: https, protocol: HTTPS}}
    hosts: [web.example.com]
    tls: {tls}
"
    )
}

/// Asks with curl; the body, or what curl says of its failure.
fn ask(keys: &Path, gateway: &Gateway<'_>, arguments: &str) -> Result<String, String> {
    let port = gateway.ports[&443].port();
    let all = format!(
        "--silent --show-error --max-time 20 --cacert ca.crt --resolve web.example.com:{port}:127.0.0.1 {arguments} https://web.example.com:{port}/x"
    );
    match run(keys, "curl", all.trim()) {
        (true, body) => Ok(body),
        (false, said) => Err(said),
    }
}

fn start(folder: &Folder) -> Gateway<'_> {
    Gateway::start_with(folder, &["--address", "127.0.0.1", "--port-map", "443=0"])
}

#[test]
fn secrets_with_certificates_as_in_istios_documentation_are_served() {
    if !has_programs() {
        return;
    }
    let keys = Folder::new();
    make_certificates(&keys.0, &["web", "client"]);
    let web = secret(&keys.0, "web", &[("tls.crt", "web.crt"), ("tls.key", "web.key")]);
    let authorities = secret(&keys.0, "web-cacert", &[("cacert", "ca.crt")]);
    let folder = Folder::with(&[
        ("gateway.yaml", &gateway("{mode: MUTUAL, credentialName: web}")),
        ("services.yaml", &service("one", backend("one"))),
        ("routes.yaml", &all_to("one")),
        ("secrets.yaml", &(web + &authorities)),
    ]);
    let running = start(&folder);
    let own = "--cert client.crt --key client.key";
    for versions in ["--tlsv1.3", "--tlsv1.2 --tls-max 1.2"] {
        let answer = ask(&keys.0, &running, &format!("{own} {versions}"));
        assert_eq!(answer.as_deref(), Ok("one GET /x HTTP/1.1"), "{versions}");
        assert!(ask(&keys.0, &running, versions).is_err(), "{versions}");
    }
    make_certificates(&folder.0, &["client"]);
    let stranger = format!("--cert {0}/client.crt --key {0}/client.key", folder.path());
    assert!(ask(&keys.0, &running, &stranger).is_err());
}

#[test]
fn a_secret_that_changes_is_in_force_and_one_that_is_wrong_is_not() {
    if !has_programs() {
        return;
    }
    let keys = Folder::new();
    make_certificates(&keys.0, &["web", "other"]);
    let of =
        |certificate, key| secret(&keys.0, "web", &[("tls.crt", certificate), ("tls.key", key)]);
    let folder = Folder::with(&[
        ("gateway.yaml", &gateway("{mode: SIMPLE, credentialName: web}")),
        ("services.yaml", &service("one", backend("one"))),
        ("routes.yaml", &all_to("one")),
    ]);
    let mut running = start(&folder);
    running.wait_for("TLS is not as the manifests want it");
    assert!(ask(&keys.0, &running, "").is_err());
    folder.write("secret.yaml", &of("web.crt", "web.key"));
    running.wait_for_version(2);
    assert_eq!(ask(&keys.0, &running, "").as_deref(), Ok("one GET /x HTTP/1.1"));
    folder.write("secret.yaml", &of("other.crt", "web.key"));
    running.wait_for("the private key is not the certificate's");
    assert_eq!(ask(&keys.0, &running, "").as_deref(), Ok("one GET /x HTTP/1.1"));
}

#[test]
fn http2_is_agreed_on_with_curl() {
    if !has_programs() {
        return;
    }
    let keys = Folder::new();
    make_certificates(&keys.0, &["web"]);
    let folder = Folder::with(&[
        ("gateway.yaml", &gateway("{mode: SIMPLE, credentialName: web}")),
        ("services.yaml", &service("one", backend("one"))),
        ("routes.yaml", &all_to("one")),
        ("secret.yaml", &secret(&keys.0, "web", &[("tls.crt", "web.crt"), ("tls.key", "web.key")])),
    ]);
    let running = start(&folder);
    let version = ask(&keys.0, &running, "--http2 --output /dev/null --write-out %{http_version}");
    assert_eq!(version.as_deref(), Ok("2"));
}
