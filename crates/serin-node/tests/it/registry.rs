//! Images that are pulled, from a registry that lives in the test: it gives tokens, breaks off, and lies when told to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::images::{configuration, layers};
use crate::world::World;

/// `ann:secret` in base64.
const LOGIN: &str = "YW5uOnNlY3JldA==";
const TOKEN: &str = "a-token";

/// What a registry has, and how it behaves.
#[derive(Default)]
struct Content {
    /// By what is asked for: `manifests/1`, `blobs/sha256:…`.
    things: BTreeMap<String, (String, Vec<u8>)>,
    /// Blobs whose first answer breaks off in the middle.
    breaks: Vec<String>,
    /// Requests for tokens and things, in order.
    asked: Vec<String>,
}

struct Registry {
    address: std::net::SocketAddr,
    content: Arc<Mutex<Content>>,
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Registry {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let content = Arc::new(Mutex::new(Content::default()));
        let known = Arc::clone(&content);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, address.port(), Arc::clone(&known)));
            }
        });
        Self { address, content }
    }

    fn put(&self, at: &str, kind: &str, bytes: Vec<u8>) {
        let mut content = self.content.lock().unwrap();
        content.things.insert(at.to_owned(), (kind.to_owned(), bytes));
    }

    /// An image for this machine, behind a list of images, with a layer by gzip and one by zstd.
    fn put_image(&self, tag: &str, folder: &Path) {
        let blob = |kind: &str, bytes: Vec<u8>| {
            let (digest, size) = (digest(&bytes), bytes.len());
            self.put(&format!("blobs/{digest}"), kind, bytes);
            json!({"mediaType": kind, "digest": digest, "size": size})
        };
        let [first, second] = layers(folder).map(|path| std::fs::read(path).unwrap());
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &first).unwrap();
        let first = blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip.finish().unwrap());
        self.content.lock().unwrap().breaks.push(first["digest"].as_str().unwrap().to_owned());
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let second = ruzstd::encoding::compress_to_vec(&second[..], level);
        let second = blob("application/vnd.oci.image.layer.v1.tar+zstd", second);
        let config = configuration().to_string().into_bytes();
        let config = blob("application/vnd.oci.image.config.v1+json", config);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [first, second]});
        let manifest = manifest.to_string().into_bytes();
        let (of_manifest, size) = (digest(&manifest), manifest.len());
        self.put(&format!("manifests/{of_manifest}"), kind, manifest);
        let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let entry = |architecture: &str, digest: &str| {
            let platform = json!({"os": "linux", "architecture": architecture});
            json!({"mediaType": kind, "digest": digest, "size": size, "platform": platform})
        };
        let kind = "application/vnd.oci.image.index.v1+json";
        let other = digest(b"another machine's");
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [entry("s390x", &other), entry(machine, &of_manifest)]});
        self.put(&format!("manifests/{tag}"), kind, index.to_string().into_bytes());
    }

    fn asked(&self) -> Vec<String> {
        self.content.lock().unwrap().asked.clone()
    }
}

/// Answers one request: tokens for the login, and everything else for the token.
async fn serve(mut stream: TcpStream, port: u16, content: Arc<Mutex<Content>>) {
    let mut reader = BufReader::new(&mut stream);
    let (mut first, mut headers) = (String::new(), BTreeMap::new());
    reader.read_line(&mut first).await.unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let authorization = headers.get("authorization").cloned().unwrap_or_default();
    let range = headers.get("range").cloned().unwrap_or_default();
    let (head, body, breaks) = {
        let mut content = content.lock().unwrap();
        answer(&mut content, port, &path, (&authorization, &range))
    };
    let head =
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).await;
    let until = if breaks { body.len() / 2 } else { body.len() };
    let _ = stream.write_all(&body[..until]).await;
}

fn answer(
    content: &mut Content,
    port: u16,
    path: &str,
    (authorization, range): (&str, &str),
) -> (String, Vec<u8>, bool) {
    if path.starts_with("/token") {
        content.asked.push(path.to_owned());
        return match authorization == format!("Basic {LOGIN}") {
            true => ("200 OK".into(), json!({"token": TOKEN}).to_string().into(), false),
            false => ("401 Unauthorized".into(), Vec::new(), false),
        };
    }
    if authorization != format!("Bearer {TOKEN}") {
        let challenge = format!(
            "401 Unauthorized\r\nwww-authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"test\",scope=\"repository:shop/greeter:pull\""
        );
        return (challenge, Vec::new(), false);
    }
    let what = path.strip_prefix("/v2/shop/greeter/").unwrap_or_default();
    content.asked.push(format!("{what} {range}").trim().to_owned());
    let Some((kind, bytes)) = content.things.get(what).cloned() else {
        return ("404 Not Found".into(), Vec::new(), false);
    };
    let breaks = content.breaks.iter().position(|it| what.ends_with(it.as_str()));
    let breaks = breaks.map(|place| content.breaks.remove(place)).is_some();
    let kind = format!("content-type: {kind}");
    match range.strip_prefix("bytes=").and_then(|it| it.strip_suffix('-')?.parse::<usize>().ok()) {
        Some(begin) => (format!("206 Partial Content\r\n{kind}"), bytes[begin..].to_vec(), breaks),
        None => (format!("200 OK\r\n{kind}"), bytes, breaks),
    }
}

fn pod(name: &str, image: &str, policy: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "imagePullSecrets": [{"name": "login"}],
            "containers": [{"name": "main", "image": image, "imagePullPolicy": policy}],
        },
    })
}

async fn add_login(world: &World, registry: &Registry) {
    let auths = json!({"auths": {registry.address.to_string(): {"auth": LOGIN}}});
    let secret = Secret {
        metadata: kube::api::ObjectMeta { name: Some("login".into()), ..Default::default() },
        type_: Some("kubernetes.io/dockerconfigjson".into()),
        data: Some([(".dockerconfigjson".into(), ByteString(auths.to_string().into()))].into()),
        ..Secret::default()
    };
    let secrets: Api<Secret> = Api::default_namespaced(world.client.clone());
    secrets.create(&PostParams::default(), &secret).await.unwrap();
}

async fn events(world: &World, reason: &str) -> Vec<String> {
    let events: Api<Event> = Api::default_namespaced(world.client.clone());
    let all = events.list(&ListParams::default()).await.unwrap().items;
    let of_reason = all.into_iter().filter(|it| it.reason.as_deref() == Some(reason));
    of_reason.filter_map(|it| it.message).collect()
}

#[tokio::test]
async fn an_image_is_pulled_with_the_login_of_its_pod_and_goes_on_where_it_broke_off() {
    let Some(world) = World::start().await else { return };
    let registry = Registry::start().await;
    let folder = tempfile::tempdir().unwrap();
    registry.put_image("1", folder.path());
    add_login(&world, &registry).await;
    let image = format!("{}/shop/greeter:1", registry.address);
    let made = world.create(pod("own", &image, "IfNotPresent")).await;
    assert_eq!(world.over("own").await, "Succeeded", "{}", world.log(&made, "main", 0));
    assert_eq!(world.log(&made, "main", 0), "hello /srv/app /opt/folder\ngone\nalone");
    let asked = registry.asked();
    assert!(asked.iter().any(|it| it.contains("bytes=")), "{asked:?}");
    assert_eq!(asked.iter().filter(|it| it.starts_with("/token")).count(), 1, "{asked:?}");
    let id = world
        .until("own", |pod| {
            pod["status"]["containerStatuses"][0]["imageID"].as_str().map(str::to_owned)
        })
        .await;
    assert!(id.starts_with(&format!("{}/shop/greeter@sha256:", registry.address)), "{id}");
    // Here already, and asked for again only where the pod says so.
    world.create(pod("again", &image, "IfNotPresent")).await;
    assert_eq!(world.over("again").await, "Succeeded");
    assert_eq!(registry.asked().len(), asked.len());
    world.create(pod("always", &image, "Always")).await;
    assert_eq!(world.over("always").await, "Succeeded");
    let later = registry.asked().split_off(asked.len());
    assert!(later.iter().all(|it| !it.contains("blobs")), "{later:?}");
    assert!(!later.is_empty());
    let told = events(&world, "Pulled").await;
    let has = |text: &str| told.iter().any(|it| it.contains(text));
    assert!(has("Successfully pulled image") && has("already present on machine"), "{told:?}");
}

#[tokio::test]
async fn what_cannot_be_pulled_says_why() {
    let Some(world) = World::start().await else { return };
    let registry = Registry::start().await;
    let image = format!("{}/shop/greeter", registry.address);
    let waiting = async |name: &str| {
        world
            .until(name, |pod| {
                let state = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
                let is_pull =
                    ["ErrImagePull", "ImagePullBackOff"].contains(&state["reason"].as_str()?);
                is_pull.then(|| state["message"].as_str().unwrap_or_default().to_owned())
            })
            .await
    };
    world.create(pod("unknown", &format!("{image}:1"), "IfNotPresent")).await;
    let message = waiting("unknown").await;
    assert!(
        message.contains("pull access denied") && message.contains("imagePullSecrets"),
        "{message}"
    );
    add_login(&world, &registry).await;
    world.create(pod("missing", &format!("{image}:2"), "IfNotPresent")).await;
    let message = waiting("missing").await;
    assert!(message.contains("shop/greeter:2: not found"), "{message}");
    // A layer that is not what the manifest says.
    let folder = tempfile::tempdir().unwrap();
    registry.put_image("3", folder.path());
    for (at, (_, bytes)) in &mut registry.content.lock().unwrap().things {
        if at.starts_with("blobs") {
            let last = bytes.last_mut().unwrap();
            *last ^= 1;
        }
    }
    world.create(pod("false", &format!("{image}:3"), "IfNotPresent")).await;
    let message = waiting("false").await;
    assert!(message.contains("failed to verify sha256:"), "{message}");
    let nobody = "127.0.0.1:1/shop/greeter:1";
    world.create(pod("nobody", nobody, "IfNotPresent")).await;
    let message = waiting("nobody").await;
    assert!(message.contains("cannot connect to 127.0.0.1"), "{message}");
}
