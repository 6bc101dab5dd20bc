//! From the spec of a container to what its process is told: arguments, environment, mounts, user.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, SecurityContext};

use super::super::env::{environment, expand};
use super::super::volumes;
use super::launch::{Job, home};
use crate::capabilities;
use crate::images::Image;
use crate::init::Mount;

const TERMINATION_PATH: &str = "/dev/termination-log";

/// What is known of a container before it runs.
pub(super) struct Prepared {
    pub environment: Vec<(String, String)>,
    pub arguments: Vec<String>,
    pub mounts: Vec<Mount>,
    pub user: String,
    pub groups: Vec<u32>,
    pub folder: String,
    pub scratch: PathBuf,
    pub capabilities: Option<u64>,
}

pub(super) async fn configure(
    job: &Job<'_>,
    spec: &Container,
    image: &Image,
) -> Result<Prepared, String> {
    let sources = job.shared.sources(job.pod, Some(spec), job.sandbox).await?;
    let environment = environment(job.pod, spec, &image.environment, &sources)?;
    let arguments = arguments(spec, image, &environment);
    if arguments.is_empty() {
        return Err("no command specified".to_owned());
    }
    let home = home(job.shared, job.pod);
    let folder = home.join("containers").join(&spec.name);
    let scratch = folder.join(job.run.to_string());
    let made = fs::create_dir_all(&scratch)
        .and_then(|()| fs::write(scratch.join("termination-log"), ""))
        .and_then(|()| {
            let open = fs::Permissions::from_mode(0o666);
            fs::set_permissions(scratch.join("termination-log"), open)
        });
    made.map_err(|error| format!("cannot make the container's folder: {error}"))?;
    forget_older(&folder, job.run);
    let known: BTreeMap<_, _> = environment.iter().cloned().collect();
    let mounts = mounts(job, spec, &home, &scratch, &known)?;
    let context = spec.security_context.as_ref();
    let (user, groups) = identity_of(job.pod, context, image)?;
    let folder = spec.working_dir.clone().filter(|folder| !folder.is_empty());
    let folder = folder.unwrap_or_else(|| image.folder.clone());
    let folder = if folder.is_empty() { "/".to_owned() } else { folder };
    let privileged = context.and_then(|context| context.privileged) == Some(true);
    let changes = context.and_then(|context| context.capabilities.as_ref());
    let capabilities = (!privileged).then(|| capabilities::kept(changes));
    Ok(Prepared { environment, arguments, mounts, user, groups, folder, scratch, capabilities })
}

/// Files of the run before the last one are of no use.
fn forget_older(folder: &Path, run: i32) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let number: Option<i32> = entry.file_name().to_string_lossy().parse().ok();
        if number.is_some_and(|number| number < run) {
            // It goes with the pod otherwise.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn arguments(spec: &Container, image: &Image, environment: &[(String, String)]) -> Vec<String> {
    let known: BTreeMap<_, _> = environment.iter().cloned().collect();
    let own = |list: &Option<Vec<String>>| {
        list.as_ref()
            .filter(|list| !list.is_empty())
            .map(|list| list.iter().map(|text| expand(text, &known)).collect::<Vec<_>>())
    };
    match (own(&spec.command), own(&spec.args)) {
        (Some(command), args) => [command, args.unwrap_or_default()].concat(),
        (None, Some(args)) => [image.entrypoint.clone(), args].concat(),
        (None, None) => [image.entrypoint.clone(), image.arguments.clone()].concat(),
    }
}

fn mounts(
    job: &Job<'_>,
    spec: &Container,
    home: &Path,
    scratch: &Path,
    known: &BTreeMap<String, String>,
) -> Result<Vec<Mount>, String> {
    let file = |name: &str, target: &str| Mount {
        source: home.join(name),
        target: PathBuf::from(target),
        read_only: false,
    };
    let mut all = vec![
        file("hosts", "/etc/hosts"),
        file("resolv.conf", "/etc/resolv.conf"),
        file("hostname", "/etc/hostname"),
    ];
    let target = spec.termination_message_path.as_deref().unwrap_or(TERMINATION_PATH);
    all.push(Mount {
        source: scratch.join("termination-log"),
        target: PathBuf::from(target),
        read_only: false,
    });
    for mount in spec.volume_mounts.iter().flatten() {
        let volume = job
            .volumes
            .get(&mount.name)
            .ok_or_else(|| format!("volume {} does not exist", mount.name))?;
        let sub = match (&mount.sub_path, &mount.sub_path_expr) {
            (_, Some(expression)) => Some(expand(expression, known)),
            (sub, None) => sub.clone(),
        };
        let source = volumes::below(volume, sub.as_deref().unwrap_or_default())?;
        all.retain(|other| other.target != Path::new(&mount.mount_path));
        all.push(Mount {
            source,
            target: PathBuf::from(&mount.mount_path),
            read_only: mount.read_only == Some(true),
        });
    }
    Ok(all)
}

/// As whom a container runs: its own settings before the pod's before the image's.
fn identity_of(
    pod: &Pod,
    own: Option<&SecurityContext>,
    image: &Image,
) -> Result<(String, Vec<u32>), String> {
    let pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let uid = own.and_then(|own| own.run_as_user).or(pod.and_then(|pod| pod.run_as_user));
    let gid = own.and_then(|own| own.run_as_group).or(pod.and_then(|pod| pod.run_as_group));
    let non_root =
        own.and_then(|own| own.run_as_non_root).or(pod.and_then(|pod| pod.run_as_non_root));
    let user = match (uid, gid) {
        (Some(uid), Some(gid)) => format!("{uid}:{gid}"),
        (Some(uid), None) => uid.to_string(),
        (None, Some(gid)) => {
            let name = image.user.split(':').next().filter(|name| !name.is_empty());
            format!("{}:{gid}", name.unwrap_or("0"))
        }
        (None, None) => image.user.clone(),
    };
    let is_root = matches!(user.split(':').next(), Some("" | "0" | "root") | None);
    if non_root == Some(true) && is_root {
        return Err("container has runAsNonRoot and image will run as root".to_owned());
    }
    let groups = pod.map(|pod| {
        let extra = pod.supplemental_groups.iter().flatten().chain(&pod.fs_group);
        extra.filter_map(|group| u32::try_from(*group).ok()).collect()
    });
    Ok((user, groups.unwrap_or_default()))
}
