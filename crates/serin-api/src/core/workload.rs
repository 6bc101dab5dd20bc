//! The kinds that make pods.

use crate::core::PodTemplateSpec;
use crate::values::LabelSelector;

resource! { Deployment: "apps", ["v1"], "deployments" short ["deploy"] }
resource! { ReplicaSet: "apps", ["v1"], "replicasets" short ["rs"] }
resource! { StatefulSet: "apps", ["v1"], "statefulsets" short ["sts"] }
resource! { DaemonSet: "apps", ["v1"], "daemonsets" short ["ds"] }
resource! { Job: "batch", ["v1"], "jobs" }
resource! { CronJob: "batch", ["v1"], "cronjobs" short ["cj"] }

message! {
    /// Interchangeable pods with rolling updates.
    pub struct Deployment {
        /// How many pods there are. Absent is 1.
        pub replicas: Option<i32>,
        /// Pods that are counted as its own.
        pub selector: LabelSelector,
        /// What the pods look like.
        pub template: PodTemplateSpec,
        /// Whether changes wait.
        pub paused: bool,
    }

    /// Interchangeable pods of one template.
    pub struct ReplicaSet {
        /// How many pods there are. Absent is 1.
        pub replicas: Option<i32>,
        /// Pods that are counted as its own.
        pub selector: LabelSelector,
        /// What the pods look like.
        pub template: PodTemplateSpec,
    }

    /// Pods with names and storage of their own.
    pub struct StatefulSet {
        /// How many pods there are. Absent is 1.
        pub replicas: Option<i32>,
        /// Pods that are counted as its own.
        pub selector: LabelSelector,
        /// What the pods look like.
        pub template: PodTemplateSpec,
        /// Headless Service that names the pods.
        pub service_name: String,
    }

    /// A pod on each machine.
    pub struct DaemonSet {
        /// Pods that are counted as its own.
        pub selector: LabelSelector,
        /// What the pods look like.
        pub template: PodTemplateSpec,
    }

    /// Pods that run to their end.
    pub struct Job {
        /// How many must succeed. Absent is 1.
        pub completions: Option<i32>,
        /// How many run at a time. Absent is 1.
        pub parallelism: Option<i32>,
        /// What the pods look like.
        pub template: PodTemplateSpec,
    }

    /// Jobs by schedule.
    pub struct CronJob {
        /// When, in cron's form.
        pub schedule: String,
        /// What the jobs look like.
        pub job_template: JobTemplateSpec,
    }

    /// What the jobs of a CronJob look like.
    pub struct JobTemplateSpec {
        /// What they run.
        pub spec: Job,
    }
}
