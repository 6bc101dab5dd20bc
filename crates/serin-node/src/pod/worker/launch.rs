//! From the spec of a container to a process: the ground, the image, the environment, the files, the start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use tokio::task::JoinHandle;

use super::super::machine::Held;
use super::super::{Role, added, container, files, identity, uses_host_network, volumes};
use super::Happening;
use super::configure::{Prepared, configure};
use crate::cgroups::{Group, Limits};
use crate::events::Severity;
use crate::hooks;
use crate::images::{Image, Pulled, logins_of};
use crate::init::{Launch, Place, Root};
use crate::logs::{self, Log, Stream};
use crate::moment::Moment;
use crate::node::Shared;
use crate::process::{Exit, Output, Process, StartError};
use crate::running::{LiveContainer, LivePod, Place as Live};
use crate::sandbox::{Plan, Sandbox};
use crate::streams::{Io, Stdin};

/// How long to wait before an image that may not be pulled is looked for again.
const FIRST_PULL: SignedDuration = SignedDuration::from_secs(10);
/// How long to wait before a configuration that was wrong is read again.
const CONFIG: SignedDuration = SignedDuration::from_secs(5);
/// How much of a termination log is kept.
const TERMINATION_LOG: usize = 4096;

/// Where the volumes of a pod are, by name.
pub(crate) type Volumes = BTreeMap<String, PathBuf>;

/// What is needed to start a container.
pub(super) struct Job<'a> {
    pub shared: &'a Arc<Shared>,
    pub pod: &'a Arc<Pod>,
    pub sandbox: &'a Sandbox,
    pub volumes: &'a Volumes,
    /// How often it was started before.
    pub run: i32,
}

/// A container that was started.
pub(super) struct Begun {
    pub process: Process,
    pub io: Arc<Io>,
    pub log: Log,
    pub output: Vec<JoinHandle<()>>,
    pub id: String,
    pub image: String,
    pub environment: Arc<Vec<(String, String)>>,
    pub user: String,
    pub folder: String,
    pub termination_log: PathBuf,
    pub group: Group,
    pub capabilities: Option<u64>,
    /// What the group was made for, where there are groups.
    pub resources: Option<ResourceRequirements>,
}

/// What containers stand on.
pub(super) struct Ground {
    pub sandbox: Sandbox,
    pub live: LivePod,
    pub volumes: Volumes,
}

/// Why there is no ground: the reason and message of an event.
pub(super) struct GroundError {
    pub reason: &'static str,
    pub message: String,
}

impl GroundError {
    fn sandbox(error: &io::Error) -> Self {
        let message = format!("Failed to create pod sandbox: {error}");
        Self { reason: "FailedCreatePodSandBox", message }
    }
}

/// The folder of a pod.
pub(super) fn home(shared: &Shared, pod: &Pod) -> PathBuf {
    shared.settings.data_dir.join("pods").join(identity(pod).2)
}

/// How events name a container.
pub(super) fn field_path(role: Role, name: &str) -> String {
    match role {
        Role::Main => format!("spec.containers{{{name}}}"),
        Role::Added => format!("spec.ephemeralContainers{{{name}}}"),
        _ => format!("spec.initContainers{{{name}}}"),
    }
}

/// Makes the sandbox, the files and the volumes of a pod.
pub(super) async fn prepare(
    shared: &Arc<Shared>,
    pod: &Arc<Pod>,
    address: Option<Ipv4Addr>,
) -> Result<Ground, GroundError> {
    let made = make_sandbox(shared, pod, address).await;
    let sandbox = made.map_err(|error| GroundError::sandbox(&error))?;
    furnish(shared, pod, &sandbox).await
}

/// DNS, files and volumes.
async fn furnish(
    shared: &Arc<Shared>,
    pod: &Arc<Pod>,
    sandbox: &Sandbox,
) -> Result<Ground, GroundError> {
    let dns = match sandbox.address() {
        Some(_) => {
            let served = shared.dns.serve(sandbox, shared.settings.dns).await;
            Some(Arc::new(served.map_err(|error| GroundError::sandbox(&error))?))
        }
        None => None,
    };
    write_files(shared, pod, sandbox).map_err(|error| GroundError::sandbox(&error))?;
    let volumes = volumes::prepare(shared, pod, sandbox, &home(shared, pod)).await;
    let volumes = volumes.map_err(|message| GroundError { reason: "FailedMount", message })?;
    let live = LivePod { pod: Arc::clone(pod), sandbox: sandbox.clone(), dns };
    Ok(Ground { sandbox: sandbox.clone(), live, volumes })
}

async fn make_sandbox(
    shared: &Shared,
    pod: &Pod,
    address: Option<Ipv4Addr>,
) -> io::Result<Sandbox> {
    let settings = &shared.settings;
    if pod.spec.as_ref().is_some_and(uses_host_network) {
        return Sandbox::start(files::hostname(pod), None).await;
    }
    let address = address.ok_or_else(|| io::Error::other("no address is left for the pod"))?;
    let plan = Plan { address, local: vec![settings.dns], redirect_to: settings.proxy_port };
    Sandbox::start(files::hostname(pod), Some(plan)).await
}

fn write_files(shared: &Shared, pod: &Pod, sandbox: &Sandbox) -> io::Result<()> {
    let settings = &shared.settings;
    let home = home(shared, pod);
    fs::create_dir_all(&home)?;
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let domain = &settings.domain;
    fs::write(home.join("hosts"), files::hosts(pod, sandbox.address(), domain))?;
    fs::write(home.join("resolv.conf"), files::resolv_conf(pod, settings.dns, domain, &host))?;
    fs::write(home.join("hostname"), format!("{}\n", files::hostname(pod)))
}

/// Starts a container.
pub(super) async fn begin(job: Job<'_>, name: String) -> Happening {
    let Some((role, spec)) = container(job.pod, &name) else {
        return Happening::Begun(
            name,
            Err(held(
                ("InvalidContainer", "InvalidContainer"),
                "no such container".to_owned(),
                CONFIG,
            )),
        );
    };
    let spec = spec.as_ref();
    let image = match find_image(&job, role, spec).await {
        Ok(image) => image,
        Err(held) => return Happening::Begun(name, Err(held)),
    };
    let prepared = match configure(&job, spec, &image).await {
        Ok(prepared) => prepared,
        Err(message) => {
            let reason = "CreateContainerConfigError";
            job.tell(role, spec, Severity::Warning, "Failed", format!("Error: {message}"));
            return Happening::Begun(name, Err(held((reason, reason), message, CONFIG)));
        }
    };
    job.tell(role, spec, Severity::Normal, "Created", format!("Created container: {name}"));
    run(job, role, spec, prepared, image).await
}

impl Job<'_> {
    fn tell(
        &self,
        role: Role,
        spec: &Container,
        severity: Severity,
        reason: &'static str,
        message: String,
    ) {
        let part = Some(field_path(role, &spec.name));
        self.shared.events.tell(self.pod, part, severity, reason, message);
    }
}

fn held(
    (reason, later): (&'static str, &'static str),
    message: String,
    wait: SignedDuration,
) -> Held {
    let at = Moment::now();
    let retry = at.after(wait);
    Held { reason, later, later_message: message.clone(), message, at, retry }
}

/// What runs for a container's image, which is pulled where that is needed and allowed.
async fn find_image(job: &Job<'_>, role: Role, spec: &Container) -> Result<Image, Held> {
    let name = spec.image.as_deref().unwrap_or_default();
    let policy = spec.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    let found = job.shared.images.find(name, policy == "Always");
    match found {
        Ok(Some(image)) => {
            let message = image.note.clone().unwrap_or_else(|| {
                format!("Container image \"{name}\" already present on machine")
            });
            job.tell(role, spec, Severity::Normal, "Pulled", message);
            Ok(image)
        }
        Ok(None) if policy == "Never" => {
            let message =
                format!("Container image \"{name}\" is not present with pull policy of Never");
            job.tell(role, spec, Severity::Warning, "ErrImageNeverPull", message.clone());
            let reason = "ErrImageNeverPull";
            Err(held((reason, reason), message, FIRST_PULL))
        }
        Ok(None) => pull(job, role, spec, name).await,
        Err(error) => Err(not_pulled(job, (role, spec), name, &error.to_string())),
    }
}

async fn pull(job: &Job<'_>, role: Role, spec: &Container, name: &str) -> Result<Image, Held> {
    let begun = Instant::now();
    job.tell(role, spec, Severity::Normal, "Pulling", format!("Pulling image \"{name}\""));
    let (logins, missing) = logins_of(&job.shared.settings.client, job.pod, name).await;
    if !missing.is_empty() {
        let message = format!(
            "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
            missing.join(", ")
        );
        job.tell(role, spec, Severity::Warning, "FailedToRetrieveImagePullSecret", message);
    }
    let puller = &job.shared.images.puller;
    match puller.pull(name, logins).await {
        Ok(Pulled { image, size, was_here }) => {
            puller.went_well(&pull_key(job, spec));
            let took = begun.elapsed().as_millis();
            let took = format!("{}.{:03}s", took / 1000, took % 1000);
            let message = if was_here {
                format!("Container image \"{name}\" already present on machine")
            } else {
                format!(
                    "Successfully pulled image \"{name}\" in {took} ({took} including waiting). Image size: {size} bytes."
                )
            };
            job.tell(role, spec, Severity::Normal, "Pulled", message);
            Ok(image)
        }
        Err(error) => Err(not_pulled(job, (role, spec), name, &error.tell(name))),
    }
}

fn pull_key(job: &Job<'_>, spec: &Container) -> String {
    format!("{}/{}", identity(job.pod).2, spec.name)
}

fn not_pulled(job: &Job<'_>, (role, spec): (Role, &Container), name: &str, error: &str) -> Held {
    let message = format!("Failed to pull image \"{name}\": {error}");
    job.tell(role, spec, Severity::Warning, "Failed", message);
    job.tell(role, spec, Severity::Warning, "Failed", "Error: ErrImagePull".to_owned());
    let back_off = format!("Back-off pulling image \"{name}\"");
    job.tell(role, spec, Severity::Normal, "BackOff", back_off.clone());
    let wait = job.shared.images.puller.wait_after_failure(&pull_key(job, spec));
    let mut held = held(("ErrImagePull", "ImagePullBackOff"), error.to_owned(), wait);
    held.later_message = format!("{back_off}: ErrImagePull: {error}");
    held
}

async fn run(
    job: Job<'_>,
    role: Role,
    spec: &Container,
    prepared: Prepared,
    image: Image,
) -> Happening {
    let name = spec.name.clone();
    match try_run(&job, spec, prepared, image).await {
        Ok((begun, None)) => {
            job.tell(role, spec, Severity::Normal, "Started", format!("Started container {name}"));
            after_start(&job, role, spec, &begun).await;
            Happening::Begun(name, Ok(begun))
        }
        Ok((begun, Some(message))) => {
            let message = format!("Error: failed to start container \"{name}\": {message}");
            job.tell(role, spec, Severity::Warning, "Failed", message.clone());
            Happening::NotRun(name, begun, message)
        }
        Err(error) => {
            let reason = "CreateContainerError";
            job.tell(role, spec, Severity::Warning, "Failed", format!("Error: {error}"));
            Happening::Begun(name, Err(held((reason, reason), error, CONFIG)))
        }
    }
}

/// Runs the hook that goes with the start; a container whose hook fails is stopped.
async fn after_start(job: &Job<'_>, role: Role, spec: &Container, begun: &Begun) {
    let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
    let Some(hook) = hook else { return };
    let place = Live { sandbox: job.sandbox.clone(), container: begun.live() };
    let program = &job.shared.settings.program;
    if let Err(error) = hooks::run(hook, &place, job.pod, &spec.name, program).await {
        let message = format!("PostStartHook failed: {error}");
        job.tell(role, spec, Severity::Warning, "FailedPostStartHook", message);
        begun.process.signal(rustix::process::Signal::KILL);
    }
}

impl Begun {
    /// How others see it.
    pub(super) fn live(&self) -> LiveContainer {
        LiveContainer {
            process: self.process.clone(),
            log: self.log.clone(),
            io: Arc::clone(&self.io),
            environment: Arc::clone(&self.environment),
            user: self.user.clone(),
            folder: self.folder.clone(),
            capabilities: self.capabilities,
            cgroups: self.group.folders(),
            group: self.group.clone(),
        }
    }
}

/// The process whose container another one looks into, where it says so.
fn beside(job: &Job<'_>, name: &str) -> Result<Option<u32>, String> {
    let own = added(job.pod).iter().find(|container| container.name == name);
    let target = own.and_then(|container| container.target_container_name.as_deref());
    let Some(target) = target.filter(|target| !target.is_empty()) else { return Ok(None) };
    let place = job.shared.running.place(identity(job.pod).2, target);
    let place = place.ok_or_else(|| format!("container {target} does not run"))?;
    Ok(Some(place.container.process.pid()))
}

/// Starts the process. A program that cannot be run is told beside the container that was made for it.
async fn try_run(
    job: &Job<'_>,
    spec: &Container,
    prepared: Prepared,
    image: Image,
) -> Result<(Begun, Option<String>), String> {
    let folder = logs::folder(&job.shared.settings.data_dir, identity(job.pod), &spec.name);
    let log =
        Log::create(&folder, job.run).map_err(|error| format!("cannot write logs: {error}"))?;
    forget_logs(&folder, job.run);
    let terminal = spec.tty == Some(true);
    let stdin = (spec.stdin == Some(true) && !terminal).then(Stdin::open).transpose();
    let stdin = stdin.map_err(|error| format!("cannot make standard input: {error}"))?;
    let unique = uuid::Uuid::from_u128(job.shared.random()).simple().to_string();
    let group = job.shared.groups.group(&unique, Limits::of(spec));
    let context = spec.security_context.as_ref();
    let launch = Launch {
        place: Place::New(Root {
            image: image.root.clone(),
            scratch: prepared.scratch.clone(),
            read_only: context.and_then(|one| one.read_only_root_filesystem) == Some(true),
            mounts: prepared.mounts,
            beside: beside(job, &spec.name)?,
        }),
        arguments: prepared.arguments,
        environment: prepared.environment,
        folder: prepared.folder,
        user: prepared.user,
        groups: prepared.groups,
        stdin: stdin.as_ref().map(Stdin::path),
        terminal,
        capabilities: prepared.capabilities,
        no_new_privileges: context.and_then(|one| one.allow_privilege_escalation) == Some(false),
        cgroups: Some(group.folders()).filter(|folders| !folders.is_empty()),
    };
    let started = Process::start(job.sandbox, &job.shared.settings.program, &launch).await;
    let (process, mut pipes, failure) = match started {
        Ok((process, output)) => (process, output, None),
        Err(StartError::Program { message, process }) => {
            (process, Output::default(), Some(message))
        }
        Err(error @ StartError::System(_)) => {
            group.remove();
            return Err(error.to_string());
        }
    };
    let io = Arc::new(Io::new(stdin, pipes.terminal.take()));
    let output = if failure.is_none() { follow(&log, pipes, &io) } else { Vec::new() };
    let begun = Begun {
        process,
        io,
        log,
        output,
        id: format!("serin://{unique}{unique}"),
        image: image.id,
        environment: Arc::new(launch.environment),
        user: launch.user,
        folder: launch.folder,
        termination_log: prepared.scratch.join("termination-log"),
        group,
        capabilities: launch.capabilities,
        resources: job
            .shared
            .groups
            .can_limit()
            .then(|| spec.resources.clone().unwrap_or_default()),
    };
    Ok((begun, failure))
}

/// Keeps the log of this run and of the one before.
fn forget_logs(folder: &Path, run: i32) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number: Option<i32> = name.split('.').next().and_then(|number| number.parse().ok());
        if number.is_some_and(|number| number < run - 1) {
            // It goes with the pod otherwise.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn follow(log: &Log, output: Output, io: &Io) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    if let Some(terminal) = io.terminal().cloned() {
        let log = log.clone();
        tasks.push(tokio::spawn(async move { log.follow(Stream::Out, terminal).await }));
    }
    for (stream, pipe) in [(Stream::Out, output.stdout), (Stream::Err, output.stderr)] {
        if let Some(pipe) = pipe {
            let log = log.clone();
            tasks.push(tokio::spawn(async move { log.follow(stream, pipe).await }));
        }
    }
    tasks
}

/// What a container left to be told: its termination log, or the end of its log.
pub(super) fn termination_message(
    spec: Option<&Container>,
    path: &Path,
    exit: Exit,
    log: &Log,
) -> Option<String> {
    let text = fs::read(path).unwrap_or_default();
    if !text.is_empty() {
        let cut = text.get(..TERMINATION_LOG).unwrap_or(&text);
        return Some(String::from_utf8_lossy(cut).into_owned());
    }
    let policy = spec.and_then(|spec| spec.termination_message_policy.as_deref());
    if policy == Some("FallbackToLogsOnError") && exit.code != 0 {
        return log.last_lines(80, 2048).filter(|text| !text.is_empty());
    }
    None
}

/// Removes what a pod had on disk.
pub(super) async fn delete_files(shared: &Shared, pod: &Pod) {
    let (namespace, name, uid) = identity(pod);
    let home = home(shared, pod);
    let logs = shared.settings.data_dir.join("logs").join(format!("{namespace}_{name}_{uid}"));
    let removed = tokio::task::spawn_blocking(move || {
        for folder in [home, logs] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(folder = %folder.display(), %error, "files of a pod are left");
                }
                _ => {}
            }
        }
    });
    // It only fails where the runtime ends.
    let _ = removed.await;
}
