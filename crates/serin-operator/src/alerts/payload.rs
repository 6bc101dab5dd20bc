//! What each kind of service takes.

use serde_json::{Value, json};
use serin_api::delivery::AlertProviderType;
use serin_rollout::Severity;

use super::{Alert, Receiver};

pub(super) fn of(receiver: &Receiver, alert: &Alert) -> Value {
    match receiver.kind {
        AlertProviderType::Slack | AlertProviderType::Discord => {
            attachment(receiver, alert, ["good", "danger"])
        }
        AlertProviderType::Rocket => attachment(receiver, alert, ["#0076D7", "#FF0000"]),
        AlertProviderType::MsTeams => card(alert),
        AlertProviderType::Gchat => chat(alert),
        AlertProviderType::Alertmanager => firing(alert),
        AlertProviderType::Grafana => annotation(alert),
        AlertProviderType::Webhook => plain(alert),
    }
}

fn about(alert: &Alert) -> String {
    format!("{}.{}", alert.name, alert.namespace)
}

const fn severity(alert: &Alert) -> &'static str {
    match alert.severity {
        Severity::Info => "info",
        Severity::Warn => "warn",
        Severity::Error => "error",
    }
}

/// The colour of what is as it should be, or of what failed.
fn color<'c>(alert: &Alert, [good, bad]: [&'c str; 2]) -> &'c str {
    if alert.severity == Severity::Error { bad } else { good }
}

fn pairs(alert: &Alert, [key, value]: [&str; 2], more: &Value) -> Value {
    let of = |(title, text): &(String, String)| {
        let mut pair = json!({key: title, value: text});
        if let (Some(pair), Some(more)) = (pair.as_object_mut(), more.as_object()) {
            pair.extend(more.clone());
        }
        pair
    };
    alert.facts.iter().map(of).collect()
}

/// Slack's, which Discord and Rocket.Chat take too.
fn attachment(receiver: &Receiver, alert: &Alert, colors: [&str; 2]) -> Value {
    json!({
        "channel": receiver.channel,
        "username": receiver.username,
        "icon_emoji": ":rocket:",
        "attachments": [{
            "color": color(alert, colors),
            "author_name": about(alert),
            "text": alert.text,
            "mrkdwn_in": ["text"],
            "fields": pairs(alert, ["title", "value"], &json!({"short": false})),
        }],
    })
}

fn card(alert: &Alert) -> Value {
    json!({
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": color(alert, ["0076D7", "FF0000"]),
        "summary": about(alert),
        "sections": [{
            "activityTitle": alert.text,
            "activitySubtitle": about(alert),
            "facts": pairs(alert, ["name", "value"], &json!({})),
        }],
    })
}

fn chat(alert: &Alert) -> Value {
    let title = if alert.severity == Severity::Error { "Release failed" } else { "Release" };
    let facts = alert
        .facts
        .iter()
        .map(|(title, text)| json!({"keyValue": {"topLabel": title, "content": text}}));
    let mut widgets = vec![json!({"textParagraph": {"text": alert.text}})];
    widgets.extend(facts);
    json!({
        "cards": [{
            "header": {"title": title, "subtitle": about(alert)},
            "sections": [{"widgets": widgets}],
        }],
    })
}

/// Alertmanager closes it by itself after its resolve timeout.
fn firing(alert: &Alert) -> Value {
    let mut annotations = json!({"summary": alert.text});
    for (title, text) in &alert.facts {
        annotations[title.to_lowercase().replace(' ', "_")] = json!(text);
    }
    json!([{
        "labels": {
            "alertname": "CanaryRelease",
            "severity": match alert.severity {
                Severity::Info => "info",
                Severity::Warn => "warning",
                Severity::Error => "critical",
            },
            "canary": alert.name,
            "namespace": alert.namespace,
        },
        "annotations": annotations,
        "startsAt": crate::events::timestamp(alert.at),
    }])
}

fn annotation(alert: &Alert) -> Value {
    json!({
        "time": alert.at.0,
        "tags": ["canary", alert.name, alert.namespace, severity(alert)],
        "text": format!("{}: {}", about(alert), alert.text),
    })
}

fn plain(alert: &Alert) -> Value {
    let facts: serde_json::Map<String, Value> =
        alert.facts.iter().map(|(title, text)| (title.clone(), json!(text))).collect();
    json!({
        "name": alert.name,
        "namespace": alert.namespace,
        "severity": severity(alert),
        "message": alert.text,
        "timestamp": crate::events::timestamp(alert.at),
        "metadata": facts,
    })
}

#[cfg(test)]
mod tests {
    use serin_rollout::Time;

    use super::*;

    fn check(kind: AlertProviderType, severity: Severity, expect: &Value) {
        let receiver = Receiver {
            kind,
            address: String::new(),
            channel: "releases".to_owned(),
            username: "bird".to_owned(),
            token: None,
            proxy: String::new(),
        };
        let alert = Alert {
            severity,
            text: "It happened.".to_owned(),
            name: "podinfo".to_owned(),
            namespace: "test".to_owned(),
            facts: vec![("Traffic routing".to_owned(), "Blue/Green".to_owned())],
            at: Time(1_795_000_000_000),
        };
        assert_eq!(&of(&receiver, &alert), expect, "{kind}");
    }

    fn slack(color: &str) -> Value {
        json!({
            "channel": "releases", "username": "bird", "icon_emoji": ":rocket:",
            "attachments": [{
                "color": color, "author_name": "podinfo.test", "text": "It happened.", "mrkdwn_in": ["text"],
                "fields": [{"title": "Traffic routing", "value": "Blue/Green", "short": false}],
            }],
        })
    }

    fn teams(color: &str) -> Value {
        json!({
            "@type": "MessageCard", "@context": "http://schema.org/extensions",
            "themeColor": color, "summary": "podinfo.test",
            "sections": [{
                "activityTitle": "It happened.", "activitySubtitle": "podinfo.test",
                "facts": [{"name": "Traffic routing", "value": "Blue/Green"}],
            }],
        })
    }

    #[test]
    fn chats_are_told_as_flagger_tells_them() {
        use AlertProviderType::{Discord, Gchat, MsTeams, Rocket, Slack};
        for kind in [Slack, Discord] {
            check(kind, Severity::Info, &slack("good"));
            check(kind, Severity::Warn, &slack("good"));
            check(kind, Severity::Error, &slack("danger"));
        }
        check(Rocket, Severity::Warn, &slack("#0076D7"));
        check(Rocket, Severity::Error, &slack("#FF0000"));
        check(MsTeams, Severity::Info, &teams("0076D7"));
        check(MsTeams, Severity::Error, &teams("FF0000"));
        let card = |title: &str| {
            json!({"cards": [{
                "header": {"title": title, "subtitle": "podinfo.test"},
                "sections": [{"widgets": [
                    {"textParagraph": {"text": "It happened."}},
                    {"keyValue": {"topLabel": "Traffic routing", "content": "Blue/Green"}},
                ]}],
            }]})
        };
        check(Gchat, Severity::Info, &card("Release"));
        check(Gchat, Severity::Error, &card("Release failed"));
    }

    #[test]
    fn programs_are_told_in_their_own_terms() {
        let firing = json!([{
            "labels": {
                "alertname": "CanaryRelease", "severity": "critical", "canary": "podinfo", "namespace": "test",
            },
            "annotations": {"summary": "It happened.", "traffic_routing": "Blue/Green"},
            "startsAt": "2026-11-18T11:06:40Z",
        }]);
        check(AlertProviderType::Alertmanager, Severity::Error, &firing);
        let annotation = json!({
            "time": 1_795_000_000_000_i64, "tags": ["canary", "podinfo", "test", "warn"],
            "text": "podinfo.test: It happened.",
        });
        check(AlertProviderType::Grafana, Severity::Warn, &annotation);
        let plain = json!({
            "name": "podinfo", "namespace": "test", "severity": "info", "message": "It happened.",
            "timestamp": "2026-11-18T11:06:40Z", "metadata": {"Traffic routing": "Blue/Green"},
        });
        check(AlertProviderType::Webhook, Severity::Info, &plain);
    }
}
