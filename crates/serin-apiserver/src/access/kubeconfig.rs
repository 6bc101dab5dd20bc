//! The kubeconfig: how a user's tools find the server and prove who they are.
//!
//! A file that exists keeps its clusters, users and contexts; only Serin's own entries and the current context change. The
//! new file replaces the old one whole, readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The name of the cluster, user and context in the file.
const NAME: &str = "serin";

/// How to reach the server as its administrator.
#[derive(Clone, Debug)]
pub struct Access {
    /// `https://127.0.0.1:6443`.
    pub url: String,
    /// The certificate of the authority, as PEM.
    pub authority: String,
    /// The bearer token.
    pub token: String,
}

/// Why the file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// What is there is not a kubeconfig.
    #[error(
        "{path} exists and is not a kubeconfig ({problem}); it was left as it is: name another file"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file system refused.
    #[error("cannot write the kubeconfig {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Writes or updates the kubeconfig at `path`. Returns the context that was selected before, if it was another.
///
/// # Errors
/// Fails where the file is something else or cannot be written; it is unchanged then.
pub fn write(path: &Path, access: &Access) -> Result<Option<String>, KubeconfigError> {
    let present = load(path)?;
    let before = present.get("current-context").and_then(Value::as_str);
    let before = before.filter(|name| !name.is_empty() && *name != NAME).map(str::to_owned);
    save(path, merged(present, access))?;
    Ok(before)
}

/// Takes the server's entries out of the kubeconfig at `path` again, unless they are another server's by now, and selects the
/// context `before` in place of Serin's.
///
/// # Errors
/// Fails where the file cannot be read or written; it is unchanged then.
pub fn remove(path: &Path, access: &Access, before: Option<&str>) -> Result<(), KubeconfigError> {
    match without(load(path)?, access, before) {
        Some(file) => save(path, file),
        None => Ok(()),
    }
}

fn load(path: &Path) -> Result<Map<String, Value>, KubeconfigError> {
    match fs::read_to_string(path) {
        Ok(text) => read(path, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
        Err(source) => Err(KubeconfigError::Io { path: path.to_owned(), source }),
    }
}

fn save(path: &Path, file: Map<String, Value>) -> Result<(), KubeconfigError> {
    let text = serin_api::yaml::write(&Value::Object(file));
    // A link stays a link: what it points to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = |source| KubeconfigError::Io { path: path.to_owned(), source };
    replace(&target, text.as_bytes()).map_err(failed)
}

/// The file without the server's entries; `None` if it has none of them.
fn without(
    mut file: Map<String, Value>,
    access: &Access,
    before: Option<&str>,
) -> Option<Map<String, Value>> {
    let is_own = |entry: &Value| entry.get("name") == Some(&json!(NAME));
    let clusters = file.get("clusters")?.as_array()?;
    let own = clusters.iter().find(|entry| is_own(entry))?;
    if own["cluster"]["server"] != json!(access.url) {
        return None;
    }
    for list in ["clusters", "users", "contexts"] {
        if let Some(Value::Array(entries)) = file.get_mut(list) {
            entries.retain(|entry| !is_own(entry));
        }
    }
    if file.get("current-context") == Some(&json!(NAME)) {
        file.insert("current-context".into(), json!(before.unwrap_or_default()));
    }
    Some(file)
}

fn read(path: &Path, text: &str) -> Result<Map<String, Value>, KubeconfigError> {
    let foreign = |problem: String| KubeconfigError::Foreign { path: path.to_owned(), problem };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let stream = serin_api::yaml::read(text);
    if let Some(problem) = stream.problems.first() {
        return Err(foreign(problem.message.clone()));
    }
    let value = stream.documents.first().map(|document| document.root.to_json());
    match value {
        Some(Value::Object(fields)) if fields.get("kind") == Some(&json!("Config")) => Ok(fields),
        _ => Err(foreign("its kind is not Config".into())),
    }
}

fn merged(mut file: Map<String, Value>, access: &Access) -> Map<String, Value> {
    file.entry("apiVersion").or_insert_with(|| json!("v1"));
    file.entry("kind").or_insert_with(|| json!("Config"));
    let authority = STANDARD.encode(&access.authority);
    let cluster = json!({"certificate-authority-data": authority, "server": access.url});
    put(&mut file, "clusters", "cluster", cluster);
    put(&mut file, "users", "user", json!({"token": access.token}));
    put(&mut file, "contexts", "context", json!({"cluster": NAME, "user": NAME}));
    file.insert("current-context".into(), json!(NAME));
    file
}

/// Puts Serin's entry into a list of named entries.
fn put(file: &mut Map<String, Value>, list: &str, field: &str, value: Value) {
    let entries = file.entry(list).or_insert_with(|| json!([]));
    if !entries.is_array() {
        *entries = json!([]);
    }
    let Some(entries) = entries.as_array_mut() else { return };
    let entry = json!({"name": NAME, field: value});
    match entries.iter_mut().find(|entry| entry.get("name") == Some(&json!(NAME))) {
        Some(present) => *present = entry,
        None => entries.push(entry),
    }
}

/// Replaces a file whole: a reader sees the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The new file is of no use to anyone.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access { url: "https://127.0.0.1:1".into(), authority: "pem".into(), token: "t".into() }
    }

    #[test]
    fn a_users_own_entries_stay() {
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: mine\nclusters:\n- name: mine\n  cluster: {server: https://x}\nusers: []\ncontexts: []\n";
        let file = read(Path::new("f"), text).unwrap();
        let file = merged(merged(file, &access()), &access());
        assert_eq!(file["clusters"].as_array().map(Vec::len), Some(2));
        assert_eq!(file["clusters"][0]["name"], "mine");
        assert_eq!(file["users"].as_array().map(Vec::len), Some(1));
        assert_eq!(file["current-context"], "serin");
    }

    #[test]
    fn what_was_added_is_taken_out_again() {
        let text = "kind: Config\ncurrent-context: mine\nclusters:\n- name: mine\n  cluster: {server: https://x}\n";
        let file = read(Path::new("f"), text).unwrap();
        let with = merged(file, &access());
        let after = without(with.clone(), &access(), Some("mine")).unwrap();
        assert_eq!(after["clusters"].as_array().map(Vec::len), Some(1));
        assert_eq!(after["users"].as_array().map(Vec::len), Some(0));
        assert_eq!(after["current-context"], "mine");
        let other = Access { url: "https://127.0.0.1:2".into(), ..access() };
        assert_eq!(without(with, &other, Some("mine")), None, "another server's entries stay");
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused() {
        assert!(read(Path::new("f"), "hello: 1").is_err());
        assert!(read(Path::new("f"), "a: [").is_err());
        assert!(read(Path::new("f"), "").unwrap().is_empty());
    }
}
