//! Who a request is for, as its token says: RequestAuthentications, and policies and rules that go by tokens.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};

use crate::machine::Cluster;

/// Somebody who makes tokens.
struct Issuer {
    name: &'static str,
    keys: KeyPair,
}

impl Issuer {
    fn new(name: &'static str) -> Self {
        Self { name, keys: KeyPair::generate_for(&PKCS_ED25519).unwrap() }
    }

    /// The public keys, as they are published.
    fn public(&self) -> String {
        let x = BASE64URL.encode(self.keys.der_bytes());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "alg": "EdDSA", "x": x}]})
            .to_string()
    }

    /// A token for somebody, with more claims.
    fn token(&self, subject: &str, more: &Value) -> String {
        let mut claims = json!({"iss": self.name, "sub": subject});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let head = json!({"alg": "EdDSA", "kid": "1"}).to_string();
        let text = format!("{}.{}", BASE64URL.encode(head), BASE64URL.encode(claims.to_string()));
        let signature = self.keys.sign(text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64URL.encode(signature))
    }
}

fn apply(cluster: &Cluster, objects: &[Value]) {
    let file = cluster.folder.path().join("objects.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::fs::write(&file, list.to_string()).unwrap();
    cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
}

/// A service that tells what it was asked, and a pod of the mesh that asks.
fn httpbin(more: &[&str]) -> Option<Cluster> {
    let cluster = Cluster::start(&[&["--image", "asker:*=sleep 10000"], more].concat())?;
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    cluster.kubectl(&["create", "deployment", "httpbin", "--image=mccutchen/go-httpbin:1"]);
    cluster.kubectl(&["create", "deployment", "asker", "--image=asker:1"]);
    let expose = ["expose", "deployment", "httpbin", "--port=8000", "--target-port=8080"];
    cluster.kubectl(&expose);
    cluster.wait_available();
    Some(cluster)
}

fn policy(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// What curl in a pod of the mesh prints: what the answer says, and its status.
fn ask(cluster: &Cluster, arguments: &str) -> String {
    let url = "http://httpbin:8000/headers";
    let script = format!("curl -s -m 10 -w ' %{{http_code}}' {arguments} {url} || true");
    cluster.kubectl(&["exec", "deploy/asker", "--", "sh", "-c", &script])
}

fn bearing(token: &str) -> String {
    format!("-H 'authorization: Bearer {token}'")
}

#[test]
fn a_token_opens_what_a_policy_says_and_a_bad_one_opens_nothing() {
    let Some(cluster) = httpbin(&[]) else { return };
    let issuer = Issuer::new("https://shop.example");
    let selector = json!({"matchLabels": {"app": "httpbin"}});
    let rule = json!({
        "issuer": issuer.name, "jwks": issuer.public(), "audiences": ["shop"],
        "outputPayloadToHeader": "x-payload",
        "outputClaimToHeaders": [{"header": "x-sub", "claim": "sub"}],
    });
    let tokens = policy(
        "RequestAuthentication",
        "tokens",
        json!({"selector": selector, "jwtRules": [rule]}),
    );
    apply(&cluster, &[tokens]);
    cluster.wait_live("requestauthentication/tokens");
    let claims = |groups: &str, exp: u64| json!({"aud": "shop", "groups": [groups], "exp": exp});
    let good = issuer.token("ann", &claims("readers", 4_000_000_000));
    // A token need not be, but one that is there must be good.
    assert!(ask(&cluster, "").ends_with(" 200"), "{}", ask(&cluster, ""));
    let told = ask(&cluster, &format!("{} -H 'x-sub: forged'", bearing(&good)));
    assert!(told.ends_with(" 200"), "{told}");
    let told: Value = serde_json::from_str(told.trim_end_matches(" 200")).unwrap();
    let header = |name: &str| {
        let all = told["headers"].as_object().unwrap();
        let found = all.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_array().map_or(value, |it| &it[0]).clone())
    };
    assert_eq!(header("x-sub"), Some(json!("ann")), "{told}");
    assert_eq!(header("x-payload"), Some(json!(good.split('.').nth(1).unwrap())), "{told}");
    assert_eq!(header("authorization"), None, "{told}");
    let refused = |token: &str, expect: &str| assert_eq!(ask(&cluster, &bearing(token)), expect);
    refused(&issuer.token("ann", &claims("readers", 5)), "Jwt is expired 401");
    refused(&format!("{good}x"), "Jwt verification fails 401");
    refused(
        "nonsense",
        "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections 401",
    );
    let other = Issuer::new("https://other.example");
    refused(&other.token("ann", &json!({})), "Jwt issuer is not configured 401");
    refused(
        &issuer.token("ann", &json!({"aud": "cellar"})),
        "Audiences in Jwt are not allowed 403",
    );
    let head = ask(&cluster, &format!("-i {}", bearing("nonsense")));
    let challenge =
        "www-authenticate: Bearer realm=\"http://httpbin:8000/headers\", error=\"invalid_token\"";
    assert!(head.contains(challenge), "{head}");
    // Who has no token of a reader's is now denied.
    let source = json!({"source": {"requestPrincipals": ["https://shop.example/*"]}});
    let when = json!({"key": "request.auth.claims[groups]", "values": ["readers"]});
    let rules = json!([{"from": [source], "when": [when]}]);
    let readers = json!({"selector": selector, "rules": rules});
    apply(&cluster, &[policy("AuthorizationPolicy", "readers", readers)]);
    cluster.wait_live("authorizationpolicy/readers");
    let denied = "RBAC: access denied 403";
    assert_eq!(ask(&cluster, ""), denied);
    assert_eq!(
        ask(&cluster, &bearing(&issuer.token("ann", &claims("writers", 4_000_000_000)))),
        denied
    );
    let told = ask(&cluster, &bearing(&good));
    assert!(told.ends_with(" 200"), "{told}");
    refused(&issuer.token("ann", &claims("readers", 5)), "Jwt is expired 401");
}

#[test]
fn the_gateway_fetches_keys_and_its_rules_go_by_claims() {
    let published = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("https://shop.example");
    std::fs::write(published.path().join("keys.json"), issuer.public()).unwrap();
    let serve = format!("keys:*=python3 -m http.server 8000 -d {}", published.path().display());
    let Some(cluster) = httpbin(&["--image", &serve]) else { return };
    // The issuer is a Service of the cluster itself.
    cluster.kubectl(&["create", "deployment", "keys", "--image=keys:1"]);
    cluster.kubectl(&["expose", "deployment", "keys", "--port=80", "--target-port=8000"]);
    cluster.wait_available();
    let gateway = json!({"matchLabels": {"istio": "ingressgateway"}});
    let rule = json!({"issuer": issuer.name, "jwksUri": "http://keys.default.svc.cluster.local/keys.json"});
    let mut tokens =
        policy("RequestAuthentication", "tokens", json!({"selector": gateway, "jwtRules": [rule]}));
    tokens["metadata"]["namespace"] = json!("istio-system");
    let networking = |kind: &str, spec: Value| json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "edge"}, "spec": spec});
    let port = json!({"number": 80, "name": "http", "protocol": "HTTP"});
    let servers = json!([{"port": port, "hosts": ["*"]}]);
    let to = json!([{"destination": {"host": "httpbin"}}]);
    let readers = json!({"headers": {"@request.auth.claims.groups": {"exact": "readers"}}});
    apply(
        &cluster,
        &[
            tokens,
            networking(
                "Gateway",
                json!({"selector": {"istio": "ingressgateway"}, "servers": servers}),
            ),
            networking(
                "VirtualService",
                json!({"hosts": ["*"], "gateways": ["edge"], "http": [
                {"match": [readers], "route": to}, {"directResponse": {"status": 418}}]}),
            ),
        ],
    );
    cluster.wait_live("virtualservice/edge");
    let get =
        |token: &str| cluster.get(&["-H", &format!("authorization: Bearer {token}")], "/headers");
    let good = issuer.token("ann", &json!({"groups": ["readers"]}));
    let header = format!("authorization: Bearer {good}");
    cluster.get_until(&["-H", &header], "/headers", |answer| answer.starts_with("HTTP/1.1 200"));
    assert!(get(&issuer.token("bob", &json!({"groups": ["writers"]}))).starts_with("HTTP/1.1 418"));
    assert!(cluster.get(&[], "/headers").starts_with("HTTP/1.1 418"));
    let expired = get(&issuer.token("ann", &json!({"groups": ["readers"], "exp": 5})));
    assert!(
        expired.starts_with("HTTP/1.1 401") && expired.ends_with("Jwt is expired"),
        "{expired}"
    );
}
