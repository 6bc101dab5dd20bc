//! Pod, and the pod templates of the workload kinds.

use std::collections::BTreeMap;

use crate::values::IntOrString;

resource! { PodSpec as "Pod": "", ["v1"], "pods" short ["po"] }

/// What stands in a Pod's `spec`.
pub type Pod = PodSpec;

message! {
    /// What runs in a pod.
    pub struct PodSpec {
        /// Containers.
        pub containers: Vec<Container>,
        /// Containers that run before them, or beside them with `restartPolicy: Always`.
        pub init_containers: Vec<Container>,
        /// Identity of the pod.
        pub service_account_name: String,
        /// Machine it runs on.
        pub node_name: String,
        /// Whether it uses the machine's own network.
        pub host_network: bool,
        /// Host name.
        pub hostname: String,
        /// Subdomain of the host name: the name of a headless Service.
        pub subdomain: String,
        /// Rights of all containers.
        pub security_context: Option<PodSecurityContext>,
        /// Seconds between the first and the last signal when it is stopped.
        pub termination_grace_period_seconds: Option<i64>,
    }

    /// A container.
    pub struct Container {
        /// Name.
        pub name: String,
        /// Image.
        pub image: String,
        /// Program, in place of the image's.
        pub command: Vec<String>,
        /// Arguments, in place of the image's.
        pub args: Vec<String>,
        /// Ports.
        pub ports: Vec<ContainerPort>,
        /// Environment variables.
        pub env: Vec<ContainerEnvVar>,
        /// Rights.
        pub security_context: Option<SecurityContext>,
        /// Whether an init container runs on beside the others.
        pub restart_policy: Option<String>,
        /// When it is restarted.
        pub liveness_probe: Option<Probe>,
        /// When it gets traffic.
        pub readiness_probe: Option<Probe>,
        /// When the other probes begin.
        pub startup_probe: Option<Probe>,
    }

    /// A port of a container.
    pub struct ContainerPort {
        /// Name.
        pub name: String,
        /// Number.
        pub container_port: i32,
        /// `TCP` (also when empty), `UDP` or `SCTP`.
        pub protocol: String,
        /// Port of the machine.
        pub host_port: i32,
    }

    /// An environment variable.
    pub struct ContainerEnvVar {
        /// Name.
        pub name: String,
        /// Value.
        pub value: String,
    }

    /// Rights of a pod.
    pub struct PodSecurityContext {
        /// User id.
        pub run_as_user: Option<i64>,
        /// Group id.
        pub run_as_group: Option<i64>,
        /// Group of files.
        pub fs_group: Option<i64>,
    }

    /// Rights of a container.
    pub struct SecurityContext {
        /// User id.
        pub run_as_user: Option<i64>,
        /// Group id.
        pub run_as_group: Option<i64>,
        /// Whether it has all rights on the machine.
        pub privileged: Option<bool>,
    }

    /// A check of a container.
    pub struct Probe {
        /// By an HTTP request.
        pub http_get: Option<HttpGetAction>,
        /// By connecting.
        pub tcp_socket: Option<TcpSocketAction>,
        /// By gRPC's health protocol.
        pub grpc: Option<GrpcAction>,
        /// By a command.
        pub exec: Option<ExecAction>,
    }

    /// An HTTP request.
    pub struct HttpGetAction {
        /// Path.
        pub path: String,
        /// Port.
        pub port: IntOrString,
        /// Host, in place of the pod's address.
        pub host: String,
        /// `HTTP` (also when empty) or `HTTPS`.
        pub scheme: String,
    }

    /// A connection.
    pub struct TcpSocketAction {
        /// Port.
        pub port: IntOrString,
        /// Host, in place of the pod's address.
        pub host: String,
    }

    /// A question by gRPC's health protocol.
    pub struct GrpcAction {
        /// Port.
        pub port: i32,
        /// Service to ask about.
        pub service: Option<String>,
    }

    /// A command.
    pub struct ExecAction {
        /// Program and arguments.
        pub command: Vec<String>,
    }

    /// What pods of a workload look like.
    pub struct PodTemplateSpec {
        /// Their metadata.
        pub metadata: TemplateMetadata,
        /// What runs in them.
        pub spec: PodSpec,
    }

    /// Metadata of what is made from a template.
    pub struct TemplateMetadata {
        /// Name.
        pub name: String,
        /// Labels.
        pub labels: BTreeMap<String, String>,
        /// Annotations.
        pub annotations: BTreeMap<String, String>,
    }

    /// State of a pod.
    pub struct PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        pub phase: String,
        /// Address of the pod.
        #[serde(rename = "podIP")]
        pub pod_ip: String,
        /// All addresses of the pod.
        #[serde(rename = "podIPs")]
        pub pod_ips: Vec<PodIp>,
        /// Address of the machine.
        #[serde(rename = "hostIP")]
        pub host_ip: String,
        /// Conditions.
        pub conditions: Vec<PodCondition>,
    }

    /// An address of a pod.
    pub struct PodIp {
        /// The address.
        pub ip: String,
    }

    /// A condition of a pod.
    pub struct PodCondition {
        /// `Ready`, `Initialized`…
        #[serde(rename = "type")]
        pub condition_type: String,
        /// `True`, `False` or `Unknown`.
        pub status: String,
    }
}
