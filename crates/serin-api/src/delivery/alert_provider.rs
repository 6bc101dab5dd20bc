//! AlertProvider: who is told what a release does.

use super::as_flagger_has_it;
use crate::delivery::SecretReference;

as_flagger_has_it! {
    /// Who is told what a release does, in Flagger's terms.
    FlaggerAlertProvider of AlertProvider as "AlertProvider", "alertproviders"
    columns [("Type", "string", ".spec.type", "Kind of service")]
}

message! {
    /// Who is told what a release does.
    pub struct AlertProvider {
        /// Kind of service.
        #[serde(rename = "type")]
        #[schemars(extend("x-required" = true))]
        pub provider_type: AlertProviderType,
        /// Channel. Absent is `general`.
        pub channel: String,
        /// Name of the sender. Absent is `flagger`.
        pub username: String,
        /// Where to send; may be in the Secret instead.
        pub address: String,
        /// Proxy on the way there.
        pub proxy: String,
        /// Secret with `address` and `token`.
        pub secret_ref: Option<SecretReference>,
    }
}

choice! {
    /// Kind of service that is told.
    pub enum AlertProviderType {
        /// Slack.
        Slack = "slack",
        /// Microsoft Teams.
        MsTeams = "msteams",
        /// Discord.
        Discord = "discord",
        /// Rocket.Chat.
        Rocket = "rocket",
        /// Google Chat.
        Gchat = "gchat",
        /// Prometheus Alertmanager.
        Alertmanager = "alertmanager",
        /// Grafana's annotations.
        Grafana = "grafana",
        /// Any service that takes JSON.
        Webhook = "webhook",
    }
}
