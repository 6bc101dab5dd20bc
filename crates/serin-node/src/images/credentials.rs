//! What registries are shown: the Secrets that a pod names in `imagePullSecrets`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::Api;
use serde::Deserialize;

use super::reference::Reference;

/// A user and a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    /// `user:password` in base64.
    pub(super) basic: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

/// As the tools of containers write them (`config.json`): one for each registry, or part of one.
type Logins = BTreeMap<String, Entry>;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    auths: Logins,
}

/// The logins of a pod that fit an image, and the Secrets that cannot be read. Each is tried in turn, and then none.
pub(crate) async fn of_pod(
    client: &kube::Client,
    pod: &Pod,
    image: &str,
) -> (Vec<Login>, Vec<String>) {
    let spec = pod.spec.as_ref();
    let named = spec.and_then(|it| it.image_pull_secrets.as_deref()).unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let reference = Reference::new(image);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in named.iter().map(|it| it.name.as_str()).filter(|name| !name.is_empty()) {
        match secrets.get_opt(name).await {
            Ok(Some(secret)) => match logins(&secret) {
                Ok(logins) => found.extend(fitting(&logins, &reference)),
                Err(reason) => missing.push(format!("{name}: {reason}")),
            },
            _ => missing.push(name.to_owned()),
        }
    }
    (found, missing)
}

/// What a Secret says; the error tells why it says nothing, and nothing of what stands in it.
fn logins(secret: &Secret) -> Result<Logins, String> {
    let data = |key: &str| secret.data.as_ref().and_then(|data| Some(data.get(key)?.0.as_slice()));
    let unreadable = |key: &str, error: &serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        format!("{key} is not the JSON of logins (line {line}, column {column})")
    };
    let (new, old) = (".dockerconfigjson", ".dockercfg");
    match (data(new), data(old)) {
        (Some(text), _) => serde_json::from_slice(text)
            .map(|file: File| file.auths)
            .map_err(|error| unreadable(new, &error)),
        (None, Some(text)) => serde_json::from_slice(text).map_err(|error| unreadable(old, &error)),
        (None, None) => Err(format!("it has no {new}")),
    }
}

/// The logins for an image's registry, those for a longer part of its name first.
fn fitting(logins: &Logins, image: &Reference) -> Vec<Login> {
    let name = format!("{}/{}", image.registry, image.repository);
    let fits = |place: &str| {
        let rest = name.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut found: Vec<(String, Login)> = Vec::new();
    for (written, entry) in logins {
        let place = written.trim_start_matches("https://").trim_start_matches("http://");
        let place = place.trim_end_matches('/').trim_end_matches("/v2").trim_end_matches("/v1");
        // How the usual registry is called in files since its first version.
        let place =
            if place == format!("index.{}", image.registry) { &image.registry } else { place };
        if fits(place) {
            let basic = match entry.auth.is_empty() {
                true => BASE64_STANDARD.encode(format!("{}:{}", entry.username, entry.password)),
                false => entry.auth.clone(),
            };
            found.push((place.to_owned(), Login { basic }));
        }
    }
    found.sort_by_key(|(place, _)| std::cmp::Reverse(place.len()));
    found.into_iter().map(|(_, login)| login).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_fits_its_registry_and_the_longest_goes_first() {
        let check = |written: &[&str], image: &str, expect: &[&str]| {
            let entry = |place: &str| Entry { auth: place.to_owned(), ..Entry::default() };
            let logins = written.iter().map(|it| ((*it).to_owned(), entry(it))).collect();
            let found = fitting(&logins, &Reference::new(image));
            assert_eq!(found.iter().map(|it| it.basic.as_str()).collect::<Vec<_>>(), expect);
        };
        check(&["r.example"], "r.example/a/b:1", &["r.example"]);
        check(&["r.example"], "r.example:5000/a/b:1", &[]);
        check(&["https://r.example/v2/"], "r.example/a", &["https://r.example/v2/"]);
        check(&["r.example", "r.example/a"], "r.example/a/b", &["r.example/a", "r.example"]);
        check(&["r.example/a"], "r.example/ab", &[]);
        check(&["https://index.docker.io/v1/"], "shop/web", &["https://index.docker.io/v1/"]);
    }

    #[test]
    fn a_user_and_a_password_are_as_good_as_both_together() {
        let text = r#"{"auths": {"r.example": {"username": "a", "password": "b"}}}"#;
        let file: File = serde_json::from_str(text).unwrap();
        let found = fitting(&file.auths, &Reference::new("r.example/x"));
        assert_eq!(found, [Login { basic: "YTpi".to_owned() }]);
    }

    #[test]
    fn a_secret_that_holds_no_logins_tells_why_and_nothing_of_what_it_holds() {
        let check = |data: serde_json::Value, expect: Result<usize, &str>| {
            let secret = serde_json::from_value(serde_json::json!({"data": data})).unwrap();
            let found = logins(&secret).map(|it| it.len());
            assert_eq!(found.as_ref().map_err(String::as_str), expect.as_ref().map_err(|it| *it));
        };
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        let good = encoded(r#"{"auths": {"r.example": {"auth": "YTpi"}}}"#);
        check(serde_json::json!({".dockerconfigjson": good}), Ok(1));
        let wrong = ".dockerconfigjson is not the JSON of logins (line 1, column 1)";
        check(serde_json::json!({".dockerconfigjson": encoded("secret")}), Err(wrong));
        let wrong = ".dockercfg is not the JSON of logins (line 1, column 8)";
        check(serde_json::json!({".dockercfg": encoded(r#""secret""#)}), Err(wrong));
        check(serde_json::json!({"token": encoded("x")}), Err("it has no .dockerconfigjson"));
    }
}
