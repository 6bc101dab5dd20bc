//! Volumes: folders of the node that containers see.
//!
//! What comes from objects is written to a new folder, and a link is set to it, so that a container sees either all of the old or all
//! of the new.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, Pod, ProjectedVolumeSource,
    Secret, ServiceAccount, Volume,
};
use kube::api::{Api, PostParams};

use super::env::{self, Sources};
use super::identity;
use crate::node::Shared;
use crate::sandbox::Sandbox;

/// The mode of files where nothing is said.
const MODE: i32 = 0o644;
/// How long a token is valid where nothing is said, in seconds.
const TOKEN: i64 = 3600;

/// A file of a volume: its path, content and mode.
type Files = BTreeMap<String, (Vec<u8>, i32)>;

/// Makes every volume of a pod, or makes it anew from the objects of the moment.
///
/// # Errors
/// The message is for an event.
pub(crate) async fn prepare(
    shared: &Shared,
    pod: &Pod,
    sandbox: &Sandbox,
    home: &Path,
) -> Result<BTreeMap<String, PathBuf>, String> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let mut made = BTreeMap::new();
    if volumes.is_empty() {
        return Ok(made);
    }
    let sources = shared.sources(pod, None, sandbox).await?;
    for volume in volumes {
        let failed = |error: String| {
            format!("MountVolume.SetUp failed for volume \"{}\" : {error}", volume.name)
        };
        let folder = home.join("volumes").join(&volume.name);
        let context = Context { shared, pod, sources: &sources };
        let path = context.one(volume, folder).await.map_err(failed)?;
        made.insert(volume.name.clone(), path);
    }
    Ok(made)
}

/// A path below a volume; it does not lead out of it.
pub(crate) fn below(volume: &Path, sub: &str) -> Result<PathBuf, String> {
    if sub.is_empty() {
        return Ok(volume.to_path_buf());
    }
    let relative = Path::new(sub);
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!("subPath {sub:?} must be below the volume"));
    }
    let path = volume.join(relative);
    if !path.exists() {
        fs::create_dir_all(&path)
            .map_err(|error| format!("cannot make subPath {sub:?}: {error}"))?;
    }
    let real = path.canonicalize().map_err(|error| format!("subPath {sub:?}: {error}"))?;
    let root = volume.canonicalize().map_err(|error| format!("subPath {sub:?}: {error}"))?;
    if real.starts_with(root) {
        Ok(real)
    } else {
        Err(format!("subPath {sub:?} leads out of the volume"))
    }
}

struct Context<'a> {
    shared: &'a Shared,
    pod: &'a Pod,
    sources: &'a Sources,
}

impl Context<'_> {
    async fn one(&self, volume: &Volume, folder: PathBuf) -> Result<PathBuf, String> {
        if let Some(host) = &volume.host_path {
            return host_path(host);
        }
        let files = if let Some(map) = &volume.config_map {
            let object = self.config_map(&map.name, map.optional)?;
            from_map(object, map.items.as_deref(), map.default_mode)?
        } else if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            let object = self.secret(name, secret.optional)?;
            from_secret(object, secret.items.as_deref(), secret.default_mode)?
        } else if let Some(downward) = &volume.downward_api {
            self.downward(downward.items.as_deref(), downward.default_mode)?
        } else if let Some(projected) = &volume.projected {
            self.projected(projected).await?
        } else if volume.empty_dir.is_some() {
            make_empty(&folder).map_err(|error| error.to_string())?;
            return Ok(folder);
        } else {
            return Err("this kind of volume is not supported here; emptyDir, hostPath, configMap, secret, downwardAPI and projected are".to_owned());
        };
        publish(&folder, &files).map_err(|error| error.to_string())?;
        Ok(folder)
    }

    fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Option<&ConfigMap>, String> {
        match self.sources.config_maps.get(name) {
            None if optional != Some(true) => Err(format!("configmap \"{name}\" not found")),
            found => Ok(found),
        }
    }

    fn secret(&self, name: &str, optional: Option<bool>) -> Result<Option<&Secret>, String> {
        match self.sources.secrets.get(name) {
            None if optional != Some(true) => Err(format!("secret \"{name}\" not found")),
            found => Ok(found),
        }
    }

    fn downward(
        &self,
        items: Option<&[DownwardAPIVolumeFile]>,
        mode: Option<i32>,
    ) -> Result<Files, String> {
        let mut files = Files::new();
        for item in items.unwrap_or_default() {
            let text = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => env::field(self.pod, field, self.sources)?,
                (None, Some(resource)) => env::resource(self.pod, None, resource, self.sources)?,
                (None, None) => continue,
            };
            let mode = item.mode.or(mode).unwrap_or(MODE);
            files.insert(item.path.clone(), (text.into_bytes(), mode));
        }
        Ok(files)
    }

    async fn projected(&self, projected: &ProjectedVolumeSource) -> Result<Files, String> {
        let mode = projected.default_mode;
        let mut files = Files::new();
        for source in projected.sources.iter().flatten() {
            if let Some(map) = &source.config_map {
                let object = self.config_map(&map.name, map.optional)?;
                files.extend(from_map(object, map.items.as_deref(), mode)?);
            }
            if let Some(secret) = &source.secret {
                let object = self.secret(&secret.name, secret.optional)?;
                files.extend(from_secret(object, secret.items.as_deref(), mode)?);
            }
            if let Some(downward) = &source.downward_api {
                files.extend(self.downward(downward.items.as_deref(), mode)?);
            }
            if let Some(token) = &source.service_account_token {
                let audience = token.audience.clone();
                let text = self.token(audience, token.expiration_seconds.unwrap_or(TOKEN)).await?;
                files.insert(token.path.clone(), (text.into_bytes(), mode.unwrap_or(MODE)));
            }
        }
        Ok(files)
    }

    async fn token(&self, audience: Option<String>, seconds: i64) -> Result<String, String> {
        let (namespace, ..) = identity(self.pod);
        let account = self.pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
        let account = account.unwrap_or_else(|| "default".to_owned());
        let api: Api<ServiceAccount> =
            Api::namespaced(self.shared.settings.client.clone(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audience.into_iter().collect(),
                expiration_seconds: Some(seconds),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let made = api.create_token_request(&account, &PostParams::default(), &request).await;
        match made {
            Ok(made) => Ok(made.status.map(|status| status.token).unwrap_or_default()),
            Err(error) => Err(format!(
                "failed to fetch token: cannot create a token for serviceaccount {account:?}: {error}"
            )),
        }
    }
}

fn make_empty(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))
}

fn host_path(host: &HostPathVolumeSource) -> Result<PathBuf, String> {
    let path = PathBuf::from(&host.path);
    let kind = host.type_.as_deref().unwrap_or_default();
    let made = match kind {
        "DirectoryOrCreate" => fs::create_dir_all(&path),
        "FileOrCreate" if !path.exists() => fs::write(&path, ""),
        _ => Ok(()),
    };
    made.map_err(|error| format!("hostPath {}: {error}", host.path))?;
    let fits = match kind {
        "Directory" | "DirectoryOrCreate" => path.is_dir(),
        "File" | "FileOrCreate" => path.is_file(),
        _ => path.exists(),
    };
    if fits {
        Ok(path)
    } else {
        Err(format!("hostPath type check failed: {} is not a {kind}", host.path))
    }
}

fn from_map(
    object: Option<&ConfigMap>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
) -> Result<Files, String> {
    let mut data: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    if let Some(object) = object {
        let text = object.data.iter().flatten();
        data.extend(text.map(|(key, value)| (key.as_str(), value.clone().into_bytes())));
        let binary = object.binary_data.iter().flatten();
        data.extend(binary.map(|(key, value)| (key.as_str(), value.0.clone())));
    }
    chosen(data, object.is_some(), items, mode)
}

fn from_secret(
    object: Option<&Secret>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
) -> Result<Files, String> {
    let data = object.and_then(|object| object.data.as_ref()).into_iter().flatten();
    let data = data.map(|(key, value)| (key.as_str(), value.0.clone())).collect();
    chosen(data, object.is_some(), items, mode)
}

fn chosen(
    data: BTreeMap<&str, Vec<u8>>,
    exists: bool,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
) -> Result<Files, String> {
    let mode = mode.unwrap_or(MODE);
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(data.into_iter().map(|(key, value)| (key.to_owned(), (value, mode))).collect());
    };
    let mut files = Files::new();
    for item in items {
        match data.get(item.key.as_str()) {
            Some(value) => {
                files.insert(item.path.clone(), (value.clone(), item.mode.unwrap_or(mode)));
            }
            None if !exists => {}
            None => return Err(format!("references non-existent config key: {}", item.key)),
        }
    }
    Ok(files)
}

/// Writes the files to a new folder, and shows it in place of the old one.
fn publish(folder: &Path, files: &Files) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let link = folder.join("..data");
    if let Ok(old) = fs::read_link(&link)
        && read_back(&folder.join(&old)) == Some(files.clone())
    {
        return Ok(());
    }
    let old = fs::read_link(&link).ok();
    let stamp = format!("..{}", jiff::Timestamp::now().as_nanosecond());
    let fresh = folder.join(&stamp);
    for (path, (content, mode)) in files {
        let path = fresh.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)?;
        let mode = u32::try_from(*mode).unwrap_or(0o644) & 0o777;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    fs::create_dir_all(&fresh)?;
    let next = folder.join("..data_tmp");
    // It is there only after a crash.
    let _ = fs::remove_file(&next);
    symlink(&stamp, &next)?;
    fs::rename(&next, &link)?;
    let mut tops: Vec<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    tops.dedup();
    for top in &tops {
        let shown = folder.join(top);
        if fs::symlink_metadata(&shown).is_err() {
            symlink(Path::new("..data").join(top), &shown)?;
        }
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !tops.contains(&name.as_str()) {
            fs::remove_file(entry.path())?;
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(folder.join(old))?;
    }
    Ok(())
}

/// What a folder holds; nothing where it cannot be told.
fn read_back(folder: &Path) -> Option<Files> {
    fn walk(folder: &Path, prefix: &str, files: &mut Files) -> Option<()> {
        for entry in fs::read_dir(folder).ok()? {
            let entry = entry.ok()?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().ok()?.is_dir() {
                walk(&entry.path(), &format!("{name}/"), files)?;
            } else {
                let mode = entry.metadata().ok()?.permissions().mode() & 0o777;
                let content = fs::read(entry.path()).ok()?;
                files.insert(name, (content, i32::try_from(mode).ok()?));
            }
        }
        Some(())
    }
    let mut files = Files::new();
    walk(folder, "", &mut files)?;
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> Files {
        let file =
            |(path, text): &(&str, &str)| ((*path).to_owned(), (text.as_bytes().to_vec(), 0o644));
        all.iter().map(file).collect()
    }

    #[test]
    fn a_change_is_seen_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let read = |path: &str| fs::read_to_string(folder.join(path)).ok();
        publish(folder, &files(&[("a", "1"), ("d/b", "2")])).unwrap();
        assert_eq!([read("a"), read("d/b")], [Some("1".to_owned()), Some("2".to_owned())]);
        publish(folder, &files(&[("a", "3"), ("c", "4")])).unwrap();
        assert_eq!(
            [read("a"), read("c"), read("d/b")],
            [Some("3".to_owned()), Some("4".to_owned()), None]
        );
        let stamp = fs::read_link(folder.join("..data")).unwrap();
        publish(folder, &files(&[("a", "3"), ("c", "4")])).unwrap();
        assert_eq!(fs::read_link(folder.join("..data")).unwrap(), stamp, "nothing has changed");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 4);
    }

    #[test]
    fn a_sub_path_stays_below_its_volume() {
        let folder = tempfile::tempdir().unwrap();
        assert!(below(folder.path(), "a/b").unwrap().is_dir());
        assert!(below(folder.path(), "../x").is_err());
        assert!(below(folder.path(), "/etc").is_err());
        symlink("/etc", folder.path().join("out")).unwrap();
        assert!(below(folder.path(), "out").is_err());
    }
}
