//! What a turn does.

use std::sync::Arc;

use serin_api::delivery::HookType;
use serin_rollout::{About, Action, Decision, Observation, Question, Routes, Severity, Step, Time};

use super::Release;
use crate::objects::{Obstacle, Scene};
use crate::shared;
use crate::{alerts, hooks, metrics};

impl Release {
    /// Does everything that a step wants, in its order.
    pub(super) async fn carry_out_all(
        &mut self,
        scene: &Scene<'_>,
        seen: &Observation,
        next: &Step,
        now: Time,
    ) -> Result<(), Obstacle> {
        // The routes that are in place once those of this step are set.
        let mut routes = seen.routes.clone().unwrap_or_default();
        let subject = hooks::Subject {
            name: scene.plan.name.clone(),
            namespace: scene.plan.namespace.clone(),
            phase: next.state.phase,
            checksum: crate::json::hash(&serde_json::json!([
                next.state.configs,
                next.state.last_applied
            ])),
        };
        for action in &next.actions {
            if let Action::SetRoutes(wanted) = action {
                routes = wanted.clone();
            }
            self.carry_out(scene, action, &routes, &subject, now).await?;
        }
        Ok(())
    }

    async fn carry_out(
        &mut self,
        scene: &Scene<'_>,
        action: &Action,
        routes: &Routes,
        subject: &hooks::Subject,
        now: Time,
    ) -> Result<(), Obstacle> {
        match action {
            Action::EnsureObjects => scene.ensure(routes).await,
            Action::SetRoutes(wanted) => scene.set_routes(wanted).await,
            Action::ScaleUpCanary => scene.scale_up().await,
            Action::ScaleDownCanary => scene.scale_down().await,
            Action::SetScaler { side, least, most } => {
                scene.limit_scaler(*side, *least, *most).await
            }
            Action::WarmUpPrimary { pods } => scene.warm_up(*pods).await,
            Action::CopyToPrimary { revision } => {
                let promoted =
                    self.memory.as_ref().map_or("", |it| it.now.state.last_promoted.as_str());
                scene.copy_to_primary(revision, promoted).await
            }
            Action::RestorePrimary { revision } => scene.restore_primary(revision).await,
            Action::RestoreOriginals => scene.restore_originals().await,
            Action::ReleaseFinalizer => self.set_finalizer(scene, false).await,
            Action::Ask(question) => {
                self.ask(scene, question, subject, now).await;
                Ok(())
            }
            Action::Notify { hook, .. } => {
                self.notify(scene, hook, subject, now);
                Ok(())
            }
            Action::Alert { severity, text } => {
                self.alert(scene, *severity, text, now).await;
                Ok(())
            }
            Action::Record(decision) => {
                self.record(scene, decision, subject).await;
                Ok(())
            }
        }
    }

    /// Puts a question, unless it waits for its answer already.
    async fn ask(
        &mut self,
        scene: &Scene<'_>,
        question: &Question,
        subject: &hooks::Subject,
        now: Time,
    ) {
        if !self.asked.insert(question.clone()) {
            return;
        }
        let (question, shared) = (question.clone(), Arc::clone(&self.shared));
        match question.about {
            About::MetricServers => {
                let probes = metrics::Probes::prepare(scene, now).await;
                self.answers.spawn(async move { (question, probes.ask(&shared.caller).await) });
            }
            About::Hook(index) => {
                let Some(hook) = scene.plan.webhooks.get(index).cloned() else { return };
                let subject = subject.clone();
                self.answers.spawn(async move {
                    let answer = hooks::ask(&shared.caller, &hook, &subject).await;
                    (question, answer)
                });
            }
            About::Metric(index) => {
                let Some(metric) = scene.plan.metrics.get(index) else { return };
                let inquiry = metrics::prepare(scene, metric, &self.window, now).await;
                let (plan, metric) = (scene.plan.clone(), metric.name.clone());
                self.answers.spawn(async move {
                    let answer = metrics::ask(&shared, inquiry).await;
                    shared.report.note_metric(&plan, &metric, &answer);
                    (question, answer)
                });
            }
        }
    }

    /// Tells a hook how the release ended.
    fn notify(&mut self, scene: &Scene<'_>, name: &str, subject: &hooks::Subject, now: Time) {
        let hook = scene.plan.hooks(HookType::PostRollout).find(|(_, hook)| hook.name == name);
        let Some((_, hook)) = hook else { return };
        let (hook, subject, shared) = (hook.clone(), subject.clone(), Arc::clone(&self.shared));
        let canary = scene.canary.clone();
        self.errands.spawn(async move {
            let answer = hooks::ask(&shared.caller, &hook, &subject).await;
            let (is_warning, event) = match answer {
                serin_rollout::Answer::No(why) | serin_rollout::Answer::Failed(why) => {
                    (true, format!("Post-rollout hook {} failed {why}", hook.name))
                }
                _ => (false, format!("Post-rollout check {} passed", hook.name)),
            };
            let decision = Decision { at: now, is_warning, event, reason: String::new() };
            shared::record(&shared, &canary, &decision).await;
        });
    }

    async fn alert(&mut self, scene: &Scene<'_>, severity: Severity, text: &str, now: Time) {
        let (receivers, missing) = alerts::receivers(scene, severity).await;
        for why in missing {
            let event = format!("An alert could not be sent: {why}");
            let decision = Decision { at: now, is_warning: true, event, reason: String::new() };
            shared::record(&self.shared, scene.canary, &decision).await;
        }
        let with_facts = severity == Severity::Info && text.starts_with("New ");
        let alert = alerts::Alert {
            severity,
            text: text.to_owned(),
            name: scene.plan.name.clone(),
            namespace: scene.plan.namespace.clone(),
            facts: if with_facts { alerts::facts(scene) } else { Vec::new() },
            at: now,
        };
        for receiver in receivers {
            let (alert, shared, canary) =
                (alert.clone(), Arc::clone(&self.shared), scene.canary.clone());
            self.errands.spawn(async move {
                if let Err(why) = alerts::send(&shared.caller, &receiver, &alert).await {
                    let event = format!("The alert to {} could not be sent: {why}", receiver.kind);
                    let decision =
                        Decision { at: now, is_warning: true, event, reason: String::new() };
                    shared::record(&shared, &canary, &decision).await;
                }
            });
        }
    }

    async fn record(&mut self, scene: &Scene<'_>, decision: &Decision, subject: &hooks::Subject) {
        shared::record(&self.shared, scene.canary, decision).await;
        let mut hooks: Vec<_> =
            scene.plan.hooks(HookType::Event).map(|(_, hook)| hook.clone()).collect();
        if let Some(url) = self.shared.settings.event_webhook.clone().filter(|_| hooks.is_empty()) {
            hooks.push(serin_api::delivery::CanaryWebhook {
                name: "events".to_owned(),
                url,
                ..Default::default()
            });
        }
        for hook in hooks {
            let (shared, subject, decision) =
                (Arc::clone(&self.shared), subject.clone(), decision.clone());
            self.errands.spawn(async move {
                if let Err(error) = hooks::tell(&shared.caller, &hook, &subject, &decision).await {
                    tracing::warn!(hook = hook.name, error, "an event hook could not be told");
                }
            });
        }
    }
}
