//! What the standards of Pod Security ask of a pod, check by check, with the words of each refusal.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::go::quote;

/// A pod, or a template of pods.
pub(super) struct Pod<'p> {
    pub(super) metadata: &'p Value,
    pub(super) spec: &'p Value,
}

/// Something that is not allowed.
pub(super) struct Violation {
    /// In a word.
    pub(super) reason: String,
    /// Where, and what instead.
    pub(super) detail: String,
}

/// A check, given the minor version whose rules are meant.
type Check = fn(&Pod<'_>, u32) -> Option<Violation>;

/// The checks of the baseline in the order of their names: the version since which there is one, and the one from which on a
/// stricter check of the restricted level stands in its place.
const BASELINE: &[(u32, u32, Check)] = &[
    (0, NEVER, app_armor),
    (0, 22, default_capabilities),
    (0, NEVER, host_namespaces),
    (0, 0, host_paths),
    (0, NEVER, host_ports),
    (34, NEVER, probe_hosts),
    (0, NEVER, privileged),
    (0, NEVER, proc_mount),
    (0, NEVER, selinux),
    (19, 19, unconfined),
    (0, NEVER, sysctls),
    (0, NEVER, host_process),
];

/// The checks of the restricted level in the order of their names.
const RESTRICTED: &[(u32, Check)] = &[
    (8, escalation),
    (22, few_capabilities),
    (0, volumes),
    (0, non_root),
    (23, root_user),
    (19, seccomp),
];

const NEVER: u32 = u32::MAX;

/// What of a pod is against the rules of a version.
pub(super) fn run(pod: &Pod<'_>, restricted: bool, minor: u32) -> Vec<Violation> {
    let replaced = |from: u32| restricted && from != NEVER && minor >= from;
    let baseline = BASELINE.iter().filter(|(since, from, _)| minor >= *since && !replaced(*from));
    let mut found: Vec<Violation> =
        baseline.filter_map(|(_, _, check)| check(pod, minor)).collect();
    let more = RESTRICTED.iter().filter(|(since, _)| restricted && minor >= *since);
    found.extend(more.filter_map(|(_, check)| check(pod, minor)));
    found
}

impl<'p> Pod<'p> {
    /// All containers, in the order in which they start.
    fn containers(&self) -> impl Iterator<Item = &'p Value> + use<'p> {
        let spec = self.spec;
        ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(move |list| spec[list].as_array().into_iter().flatten())
    }

    /// The names of the containers of which something is so.
    fn those(&self, test: impl Fn(&Value) -> bool) -> Vec<&'p str> {
        self.containers()
            .filter(|it| test(it))
            .map(|it| it["name"].as_str().unwrap_or_default())
            .collect()
    }

    /// The same of their security contexts.
    fn those_with(&self, test: impl Fn(&Value) -> bool) -> Vec<&'p str> {
        self.those(|it| test(&it["securityContext"]))
    }

    fn context(&self) -> &'p Value {
        &self.spec["securityContext"]
    }

    fn is_windows(&self, minor: u32) -> bool {
        minor >= 25 && self.spec["os"]["name"] == "windows"
    }

    /// Who sets a value that may not be set: the pod, or containers; and which values those are.
    fn setters(
        &self,
        value: impl Fn(&'p Value) -> Option<&'p str>,
        allowed: impl Fn(&str) -> bool,
    ) -> Option<(String, String)> {
        let mut values = BTreeSet::new();
        let mut is_bad = |context: &'p Value| match value(context) {
            Some(it) if !allowed(it) => {
                values.insert(it);
                true
            }
            _ => false,
        };
        let pod = is_bad(self.context());
        let names: Vec<&str> = self
            .containers()
            .filter(|it| is_bad(&it["securityContext"]))
            .map(|it| it["name"].as_str().unwrap_or_default())
            .collect();
        let who = who(pod, &names)?;
        Some((who, joined(values)))
    }
}

/// `"a", "b"`.
fn joined<'t>(names: impl IntoIterator<Item = &'t str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// `container "a"`, `containers "a", "b"`.
fn named(names: &[&str]) -> String {
    format!("{} {}", number(names.len(), "container", "containers"), joined(names.iter().copied()))
}

const fn number<'w>(count: usize, one: &'w str, many: &'w str) -> &'w str {
    if count == 1 { one } else { many }
}

/// `pod and container "a"`.
fn who(pod: bool, containers: &[&str]) -> Option<String> {
    let mut all: Vec<String> = pod.then(|| "pod".to_owned()).into_iter().collect();
    if !containers.is_empty() {
        all.push(named(containers));
    }
    (!all.is_empty()).then(|| all.join(" and "))
}

fn violation(reason: &str, detail: String) -> Option<Violation> {
    Some(Violation { reason: reason.to_owned(), detail })
}

/// What containers do that they must not.
fn of_containers(reason: &str, names: &[&str], rule: &str) -> Option<Violation> {
    if names.is_empty() {
        return None;
    }
    violation(reason, format!("{} {rule}", named(names)))
}

fn app_armor(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let allowed = |kind: &str| matches!(kind, "" | "RuntimeDefault" | "Localhost");
    let found = pod.setters(|context| context["appArmorProfile"]["type"].as_str(), allowed);
    let rule = "must not set AppArmor profile type to";
    if let Some((who, values)) = found {
        let reason = number(values.matches(", ").count() + 1, ONE_PROFILE, PROFILES);
        return violation(reason, format!("{who} {rule} {values}"));
    }
    let prefix = "container.apparmor.security.beta.kubernetes.io/";
    let annotations = pod.metadata["annotations"].as_object().into_iter().flatten();
    let bad: Vec<(&str, &str)> = annotations
        .filter(|(name, _)| name.starts_with(prefix))
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .filter(|(_, it)| {
            !(it.is_empty() || *it == "runtime/default" || it.starts_with("localhost/"))
        })
        .collect();
    if bad.is_empty() {
        return None;
    }
    let names = joined(bad.iter().map(|it| it.0));
    let values = joined(bad.iter().map(|it| it.1).collect::<BTreeSet<_>>());
    let what = number(bad.len(), "annotation", "annotations");
    let reason = number(values.matches(", ").count() + 1, ONE_PROFILE, PROFILES);
    violation(reason, format!("{what} {names} {rule} {values}"))
}

const ONE_PROFILE: &str = "forbidden AppArmor profile";
const PROFILES: &str = "forbidden AppArmor profiles";

const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Containers that add other capabilities than the allowed ones, as a rule that they break.
fn added(pod: &Pod<'_>, allowed: &[&str]) -> Option<String> {
    let mut bad = BTreeSet::new();
    let names: Vec<&str> = pod
        .containers()
        .filter(|container| {
            let added = container["securityContext"]["capabilities"]["add"].as_array();
            let added = added.into_iter().flatten().filter_map(Value::as_str);
            let before = bad.len();
            let mut any = false;
            for it in added.filter(|it| !allowed.contains(it)) {
                bad.insert(it);
                any = true;
            }
            any || bad.len() > before
        })
        .map(|it| it["name"].as_str().unwrap_or_default())
        .collect();
    if names.is_empty() {
        return None;
    }
    let rule = format!("must not include {} in securityContext.capabilities.add", joined(bad));
    Some(format!("{} {rule}", named(&names)))
}

fn default_capabilities(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    violation("non-default capabilities", added(pod, DEFAULT_CAPABILITIES)?)
}

fn host_namespaces(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let all = ["hostNetwork", "hostPID", "hostIPC"].into_iter();
    let set: Vec<String> =
        all.filter(|name| pod.spec[*name] == true).map(|name| format!("{name}=true")).collect();
    if set.is_empty() {
        return None;
    }
    violation("host namespaces", set.join(", "))
}

/// The volumes of a pod: their names, and the kind of each.
fn volumes_of<'p>(pod: &Pod<'p>) -> impl Iterator<Item = (&'p str, &'p str)> + use<'p> {
    let all = pod.spec["volumes"].as_array().into_iter().flatten();
    all.map(|it| {
        let mut kinds = it.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let kind = kinds.find(|name| *name != "name").unwrap_or("unknown");
        (it["name"].as_str().unwrap_or_default(), kind)
    })
}

fn host_paths(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let names: Vec<&str> =
        volumes_of(pod).filter(|(_, kind)| *kind == "hostPath").map(|it| it.0).collect();
    if names.is_empty() {
        return None;
    }
    let what = number(names.len(), "volume", "volumes");
    violation("hostPath volumes", format!("{what} {}", joined(names)))
}

fn host_ports(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let ports = |it: &Value| -> Vec<String> {
        let all = it["ports"].as_array().into_iter().flatten();
        let numbers = all.filter_map(|port| port["hostPort"].as_i64()).filter(|it| *it != 0);
        numbers.map(|it| it.to_string()).collect()
    };
    let names = pod.those(|it| !ports(it).is_empty());
    let all: BTreeSet<String> = pod.containers().flat_map(ports).collect();
    let list = all.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let (uses, what) =
        (number(names.len(), "uses", "use"), number(all.len(), "hostPort", "hostPorts"));
    of_containers("hostPort", &names, &format!("{uses} {what} {list}"))
}

/// Probes and hooks ask the pod itself.
fn probe_hosts(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let hosts = |container: &Value| -> Vec<String> {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
        let hooks = ["postStart", "preStop"].map(|name| &container["lifecycle"][name]);
        let all = probes.iter().map(|name| &container[*name]).chain(hooks);
        all.flat_map(|it| [&it["httpGet"]["host"], &it["tcpSocket"]["host"]])
            .filter_map(Value::as_str)
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut names = pod.those(|it| !hosts(it).is_empty());
    names.sort_unstable();
    let all: BTreeSet<String> = pod.containers().flat_map(hosts).collect();
    let what = number(all.len(), "probe or lifecycle host", "probe or lifecycle hosts");
    let (uses, list) = (number(names.len(), "uses", "use"), joined(all.iter().map(String::as_str)));
    of_containers("probe or lifecycle host", &names, &format!("{uses} {what} {list}"))
}

fn privileged(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let names = pod.those_with(|context| context["privileged"] == true);
    of_containers("privileged", &names, "must not set securityContext.privileged=true")
}

fn proc_mount(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let kind = |it: &Value| {
        let kind = it["securityContext"]["procMount"].as_str();
        kind.filter(|it| *it != "Default").map(str::to_owned)
    };
    let names = pod.those(|it| kind(it).is_some());
    let kinds: BTreeSet<String> = pod.containers().filter_map(kind).collect();
    let kinds = joined(kinds.iter().map(String::as_str));
    of_containers(
        "procMount",
        &names,
        &format!("must not set securityContext.procMount to {kinds}"),
    )
}

fn selinux(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    const TYPES: &[&str] =
        &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let text = |context: &'_ Value, name: &str| {
        context["seLinuxOptions"][name].as_str().unwrap_or_default().to_owned()
    };
    let is_bad = |context: &Value| {
        !TYPES.contains(&text(context, "type").as_str())
            || !text(context, "user").is_empty()
            || !text(context, "role").is_empty()
    };
    let setters = who(is_bad(pod.context()), &pod.those_with(is_bad))?;
    let contexts =
        || std::iter::once(pod.context()).chain(pod.containers().map(|it| &it["securityContext"]));
    let types: BTreeSet<String> =
        contexts().map(|it| text(it, "type")).filter(|it| !TYPES.contains(&it.as_str())).collect();
    let mut wrong = Vec::new();
    if !types.is_empty() {
        let what = number(types.len(), "type", "types");
        wrong.push(format!("{what} {}", joined(types.iter().map(String::as_str))));
    }
    for name in ["user", "role"] {
        if contexts().any(|it| !text(it, name).is_empty()) {
            wrong.push(format!("{name} may not be set"));
        }
    }
    let wrong = wrong.join("; ");
    violation(
        "seLinuxOptions",
        format!("{setters} set forbidden securityContext.seLinuxOptions: {wrong}"),
    )
}

fn profile(context: &Value) -> Option<&str> {
    context["seccompProfile"]["type"].as_str().filter(|it| !it.is_empty())
}

const SECCOMP: &str = "must not set securityContext.seccompProfile.type to";

fn unconfined(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let (who, values) = pod.setters(profile, |it| it != "Unconfined")?;
    violation("seccompProfile", format!("{who} {SECCOMP} {values}"))
}

/// Settings of the kernel that are a pod's own, and the versions since which they are known to be.
const SYSCTLS: &[(&str, u32)] = &[
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

fn sysctls(pod: &Pod<'_>, minor: u32) -> Option<Violation> {
    let is_safe = |name: &str| SYSCTLS.iter().any(|(it, since)| *it == name && minor >= *since);
    let all = pod.context()["sysctls"].as_array().into_iter().flatten();
    let names = all.map(|it| it["name"].as_str().unwrap_or_default());
    let bad: Vec<&str> = names.filter(|it| !is_safe(it)).collect();
    if bad.is_empty() {
        return None;
    }
    violation(number(bad.len(), "forbidden sysctl", "forbidden sysctls"), bad.join(", "))
}

fn host_process(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let is_bad = |context: &Value| context["windowsOptions"]["hostProcess"] == true;
    let who = who(is_bad(pod.context()), &pod.those_with(is_bad))?;
    violation(
        "hostProcess",
        format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
    )
}

fn escalation(pod: &Pod<'_>, minor: u32) -> Option<Violation> {
    if pod.is_windows(minor) {
        return None;
    }
    let names = pod.those_with(|context| context["allowPrivilegeEscalation"] != false);
    let rule = "must set securityContext.allowPrivilegeEscalation=false";
    of_containers("allowPrivilegeEscalation != false", &names, rule)
}

fn few_capabilities(pod: &Pod<'_>, minor: u32) -> Option<Violation> {
    if pod.is_windows(minor) {
        return None;
    }
    let drops_all = |context: &Value| {
        let dropped = context["capabilities"]["drop"].as_array();
        dropped.is_some_and(|list| list.iter().any(|it| it == "ALL"))
    };
    let names = pod.those_with(|context| !drops_all(context));
    let mut all = Vec::new();
    if !names.is_empty() {
        let rule = "must set securityContext.capabilities.drop=[\"ALL\"]";
        all.push(format!("{} {rule}", named(&names)));
    }
    all.extend(added(pod, &["NET_BIND_SERVICE"]));
    if all.is_empty() {
        return None;
    }
    violation("unrestricted capabilities", all.join("; "))
}

fn volumes(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    const ALLOWED: &[&str] = &[
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let bad: Vec<(&str, &str)> =
        volumes_of(pod).filter(|(_, kind)| !ALLOWED.contains(kind)).collect();
    if bad.is_empty() {
        return None;
    }
    let names: BTreeSet<&str> = bad.iter().map(|it| it.0).collect();
    let kinds: BTreeSet<&str> = bad.iter().map(|it| it.1).collect();
    let detail = format!(
        "{} {} {} {} {}",
        number(names.len(), "volume", "volumes"),
        joined(names.iter().copied()),
        number(names.len(), "uses", "use"),
        number(kinds.len(), "restricted volume type", "restricted volume types"),
        joined(kinds.iter().copied())
    );
    violation("restricted volume types", detail)
}

fn non_root(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let denied = |context: &Value| context["runAsNonRoot"] == false;
    if let Some(who) = who(denied(pod.context()), &pod.those_with(denied)) {
        return violation(REASON, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    if pod.context()["runAsNonRoot"] == true {
        return None;
    }
    let names = pod.those_with(|context| context["runAsNonRoot"].is_null());
    if names.is_empty() {
        return None;
    }
    let who = named(&names);
    violation(REASON, format!("pod or {who} must set securityContext.runAsNonRoot=true"))
}

fn root_user(pod: &Pod<'_>, _: u32) -> Option<Violation> {
    let is_root = |context: &Value| context["runAsUser"] == 0;
    let who = who(is_root(pod.context()), &pod.those_with(is_root))?;
    violation("runAsUser=0", format!("{who} must not set runAsUser=0"))
}

fn seccomp(pod: &Pod<'_>, minor: u32) -> Option<Violation> {
    const REASON: &str = "seccompProfile";
    if pod.is_windows(minor) {
        return None;
    }
    let allowed = |it: &str| matches!(it, "RuntimeDefault" | "Localhost");
    if let Some((who, values)) = pod.setters(profile, allowed) {
        return violation(REASON, format!("{who} {SECCOMP} {values}"));
    }
    if profile(pod.context()).is_some() {
        return None;
    }
    let names = pod.those_with(|context| profile(context).is_none());
    if names.is_empty() {
        return None;
    }
    let rule =
        "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
    violation(REASON, format!("pod or {} {rule}", named(&names)))
}
