//! Who someone is: tokens of ServiceAccounts, questions about tokens, and acting in another's name.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};
use serin_apiserver::{Settings, User};

use super::support::{Client, read, start};

const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/default";
const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const REVIEW: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

async fn token(client: &Client, spec: Value) -> String {
    let made = client.post(&format!("{ACCOUNT}/token"), json!({"spec": spec})).await;
    assert_eq!(made.code, 201, "{made:?}");
    made.body["status"]["token"].as_str().unwrap().to_owned()
}

/// What a token says.
fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_requested_token_says_who_its_bearer_is() {
    let client = start(Settings::default()).await;
    let token = token(&client, json!({"expirationSeconds": 900})).await;
    let said = claims(&token);
    assert_eq!(said["sub"], "system:serviceaccount:default:default");
    assert_eq!(said["aud"], json!(["https://kubernetes.default.svc.cluster.local"]));
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 900);
    let bearer = client.stranger(Some(&token));
    let own = bearer.post(WHOAMI, json!({})).await;
    let user = &own.body["status"]["userInfo"];
    assert_eq!(user["username"], "system:serviceaccount:default:default");
    assert_eq!(
        user["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    let refused = bearer.get("/api/v1/namespaces/default/pods").await;
    assert_eq!(
        refused.message(),
        "pods is forbidden: User \"system:serviceaccount:default:default\" cannot list resource \"pods\" in API group \"\" in \
         the namespace \"default\""
    );
    let mut forged = token.clone();
    forged.replace_range(token.len() - 6.., "AAAAAA");
    assert_eq!(client.stranger(Some(&forged)).get("/version").await.code, 401);
    let review = client.post(REVIEW, json!({"spec": {"token": token}})).await.body;
    assert_eq!(review["status"]["authenticated"], true);
    let review = client.post(REVIEW, json!({"spec": {"token": forged}})).await.body;
    assert_eq!(review["status"], json!({"user": {}, "error": "invalid bearer token"}));
}

#[tokio::test]
async fn a_token_ends_with_what_it_is_bound_to() {
    let client = start(Settings::default()).await;
    client.pod("web", &["app"]).await;
    let pod = json!({"kind": "Pod", "apiVersion": "v1", "name": "web"});
    let bound = token(&client, json!({"boundObjectRef": pod})).await;
    let free = token(&client, json!({})).await;
    let bearer = client.stranger(Some(&bound));
    let user = bearer.post(WHOAMI, json!({})).await.body["status"]["userInfo"].clone();
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"], json!(["web"]));
    client.delete("/api/v1/namespaces/default/pods/web").await;
    assert_eq!(bearer.get("/version").await.code, 401);
    assert_eq!(client.stranger(Some(&free)).get("/version").await.code, 200);
    client.delete(ACCOUNT).await;
    assert_eq!(client.stranger(Some(&free)).get("/version").await.code, 401);
    for (spec, code) in [
        (json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "gone"}}), 404),
        (json!({"boundObjectRef": {"kind": "Node", "apiVersion": "v1", "name": "n"}}), 400),
        (json!({"expirationSeconds": 60}), 422),
    ] {
        let other = "/api/v1/namespaces/kube-system/serviceaccounts/default/token";
        let made = client.post(other, json!({"spec": spec})).await;
        assert_eq!(made.code, code, "{made:?}");
    }
}

#[tokio::test]
async fn a_token_for_others_is_none_for_the_server() {
    let client = start(Settings::default()).await;
    let token = token(&client, json!({"audiences": ["vault", "other"]})).await;
    assert_eq!(client.stranger(Some(&token)).get("/version").await.code, 401);
    let spec = json!({"token": token, "audiences": ["vault", "x"]});
    let review = client.post(REVIEW, json!({"spec": spec})).await.body;
    assert_eq!(review["status"]["audiences"], json!(["vault"]));
}

#[tokio::test]
async fn a_secret_gets_a_token_that_does_not_expire() {
    let client = start(Settings::default()).await;
    let secret = json!({
        "metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "default"}},
        "type": "kubernetes.io/service-account-token",
    });
    let made = client.post("/api/v1/namespaces/default/secrets", secret).await.body;
    let token = STANDARD.decode(made["data"]["token"].as_str().unwrap()).unwrap();
    let token = String::from_utf8(token).unwrap();
    assert!(made["data"]["ca.crt"].is_string() && claims(&token)["exp"].is_null());
    let bearer = client.stranger(Some(&token));
    let user = bearer.post(WHOAMI, json!({})).await.body["status"]["userInfo"].clone();
    assert_eq!(user["username"], "system:serviceaccount:default:default");
    client.delete("/api/v1/namespaces/default/secrets/t").await;
    assert_eq!(bearer.get("/version").await.code, 401);
}

#[tokio::test]
async fn tokens_hold_after_a_restart_and_others_can_judge_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings { data_dir: Some(folder.path().into()), ..Settings::default() };
    let client = start(settings()).await;
    let token = token(&client, json!({})).await;
    let keys = client.get("/openid/v1/jwks").await.body;
    assert_eq!(keys["keys"][0]["crv"], "P-256");
    let found = client.get("/.well-known/openid-configuration").await.body;
    assert_eq!(found["issuer"], claims(&token)["iss"]);
    client.end().await;
    let client = start(settings()).await;
    assert_eq!(client.stranger(Some(&token)).get("/version").await.code, 200);
    assert_eq!(client.get("/openid/v1/jwks").await.body, keys);
}

#[tokio::test]
async fn one_acts_in_anothers_name_where_one_may() {
    let client = start(Settings::default()).await;
    let whoami = async |client: &Client, headers: &[(&str, &str)]| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        read(client.raw(Method::POST, WHOAMI, &headers, "{}".into()).await).await
    };
    let user = [
        ("impersonate-user", "bob"),
        ("impersonate-group", "dev"),
        ("impersonate-extra-a%2fb", "c"),
    ];
    let acting = whoami(&client, &user).await.body["status"]["userInfo"].clone();
    assert_eq!(
        acting,
        json!({"username": "bob", "groups": ["dev", "system:authenticated"], "extra": {"a/b": ["c"]}})
    );
    let account = [("impersonate-user", "system:serviceaccount:a:b")];
    let acting = whoami(&client, &account).await.body["status"]["userInfo"].clone();
    assert_eq!(acting["groups"][1], "system:serviceaccounts:a");
    let ann = client.acting_as(User::new("ann", &[]));
    let refused = whoami(&ann, &user).await;
    assert_eq!(
        refused.message(),
        "users \"bob\" is forbidden: User \"ann\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
    assert_eq!(whoami(&client, &[("impersonate-group", "dev")]).await.code, 500);
}

#[tokio::test]
async fn a_pod_mounts_the_token_of_its_account() {
    let client = start(Settings::default()).await;
    client.pod("web", &["app"]).await;
    let pod = client.get("/api/v1/namespaces/default/pods/web").await.body;
    let volume = &pod["spec"]["volumes"][0];
    assert!(volume["name"].as_str().unwrap().starts_with("kube-api-access-"));
    assert_eq!(volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3607);
    assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["readOnly"], true);
}
