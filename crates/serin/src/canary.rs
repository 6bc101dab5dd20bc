//! `serin canary`: releases of a cluster, to see and to steer.
//!
//! Everything is read from the Canary's status, and commands are left as an annotation: what this shows and does, any other
//! client of the API can.

mod live;
mod text;

use std::future::ready;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use futures_util::{Stream, StreamExt as _};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use serin_rollout::facts::{COMMAND, Decision, Facts};

use crate::cli::{CanaryArgs, CanaryCommand};
use crate::kubeconfig;
use crate::terminal::{self, Palette};

/// The groups in which there are Canaries, the first that has a name first.
const GROUPS: [(&str, &str); 2] = [("serin.dev", "v1alpha1"), ("flagger.app", "v1beta1")];
/// The API must answer within this time.
const PATIENCE: Duration = Duration::from_secs(15);

/// Releases of a cluster, as they are asked for.
struct Cluster {
    client: kube::Client,
    namespace: String,
}

/// Reads the arguments, asks, prints.
pub(crate) fn run(args: &CanaryArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let cluster = Cluster::of(args).await?;
        let palette = Palette { colors: terminal::stdout_colors(args.view.color) };
        match &args.command {
            CanaryCommand::List { all_namespaces, output } => {
                let all = cluster.all(*all_namespaces).await?;
                let text = |out: &mut dyn Write| text::list(&all, *all_namespaces, palette, out);
                terminal::print(*output, &all, out, text)?;
            }
            CanaryCommand::Show { name, output } => {
                let facts = cluster.one(name).await?;
                let text = |out: &mut dyn Write| text::show(&facts, now(), palette, out);
                terminal::print(*output, &facts, out, text)?;
            }
            CanaryCommand::History { name, output } => {
                let facts = cluster.one(name).await?;
                let text = |out: &mut dyn Write| text::decisions(&facts.decisions, palette, out);
                terminal::print(*output, &facts.decisions, out, text)?;
            }
            CanaryCommand::Watch { name, until_end } => {
                return live::watch(&cluster, name, *until_end, palette, out).await;
            }
            CanaryCommand::Promote { name } => cluster.command(name, "promote", out).await?,
            CanaryCommand::Hold { name } => cluster.command(name, "hold", out).await?,
            CanaryCommand::Resume { name } => cluster.command(name, "resume", out).await?,
            CanaryCommand::Abort { name } => cluster.command(name, "abort", out).await?,
            CanaryCommand::Restart { name } => cluster.command(name, "restart", out).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What a Canary's status says, now and after each change. While the API is away nothing comes.
pub(crate) async fn changes(
    client: &kube::Client,
    namespace: &str,
    name: &str,
) -> anyhow::Result<impl Stream<Item = Facts> + use<>> {
    let cluster = Cluster { client: client.clone(), namespace: namespace.to_owned() };
    let (group, _) = cluster.find(name).await?;
    let api = cluster.api(group, Some(namespace));
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let objects = watcher(api, config).default_backoff().applied_objects();
    Ok(objects.filter_map(move |object| ready(object.ok().map(|it| of(group, &it)))))
}

fn of((group, version): (&str, &str), object: &DynamicObject) -> Facts {
    let object = serde_json::to_value(object).unwrap_or(Value::Null);
    Facts::of(&format!("{group}/{version}"), &object)
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Cluster {
    async fn of(args: &CanaryArgs) -> anyhow::Result<Self> {
        let (client, namespace) =
            kubeconfig::chosen(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
        Ok(Self { client, namespace: args.namespace.clone().unwrap_or(namespace) })
    }

    fn api(&self, (group, version): (&str, &str), namespace: Option<&str>) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(group, version, "Canary");
        let resource = ApiResource::from_gvk_with_plural(&kind, "canaries");
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn all(&self, everywhere: bool) -> anyhow::Result<Vec<Facts>> {
        let namespace = (!everywhere).then_some(self.namespace.as_str());
        let (mut all, mut is_served) = (Vec::new(), false);
        for group in GROUPS {
            let api = self.api(group, namespace);
            if let Some(list) = answer(api.list(&ListParams::default())).await? {
                is_served = true;
                all.extend(list.items.iter().map(|it| of(group, it)));
            }
        }
        if !is_served {
            bail!(
                "the cluster has no Canaries: its API knows neither serin.dev/v1alpha1 nor flagger.app/v1beta1"
            );
        }
        all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(all)
    }

    /// A Canary, with the group it is in.
    async fn find(
        &self,
        name: &str,
    ) -> anyhow::Result<((&'static str, &'static str), DynamicObject)> {
        for group in GROUPS {
            if let Some(object) = answer(self.api(group, Some(&self.namespace)).get(name)).await? {
                return Ok((group, object));
            }
        }
        bail!(
            "there is no Canary {name} in the namespace {}; see `serin canary list -A`",
            self.namespace
        )
    }

    async fn one(&self, name: &str) -> anyhow::Result<Facts> {
        let (group, object) = self.find(name).await?;
        Ok(of(group, &object))
    }

    /// Leaves a command, and waits until it is obeyed.
    async fn command(&self, name: &str, command: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let (group, object) = self.find(name).await?;
        let before = of(group, &object);
        let api = self.api(group, Some(&self.namespace));
        // The time tells this command from the same one given before.
        let text = format!("{command}@{}", now());
        let patch = json!({"metadata": {"annotations": {COMMAND: text}}});
        let parameters =
            PatchParams { field_manager: Some("serin-canary".into()), ..Default::default() };
        let gone = || format!("the Canary {name} is gone");
        let patched = answer(api.patch(name, &parameters, &Patch::Merge(patch))).await?;
        patched.with_context(gone)?;
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let object = answer(api.get(name)).await?.with_context(gone)?;
            if object.metadata.annotations.unwrap_or_default().get(COMMAND) != Some(&text) {
                let facts = self.one(name).await?;
                let said = outcome(command, before.decisions.last(), &facts)?;
                writeln!(out, "{name} {}: {said}", facts.phase)?;
                return Ok(());
            }
        }
        bail!(
            "the command is left with the Canary, but no controller has obeyed it within 10 s; does one run?"
        )
    }
}

/// What came of a command that was obeyed, after the last decision that was known before.
fn outcome(command: &str, known: Option<&Decision>, facts: &Facts) -> anyhow::Result<String> {
    let is_new = |it: &&Decision| Some(*it) != known;
    let new: Vec<&Decision> = facts.decisions.iter().rev().take_while(is_new).collect();
    let refusal = format!("{command} is not possible now");
    if let Some(refused) = new.iter().find(|it| it.event.eq_ignore_ascii_case(&refusal)) {
        bail!("{refusal}: {}", refused.reason);
    }
    Ok(match (command, new.first()) {
        (_, Some(last)) => last.event.clone(),
        ("hold", None) => "it is held already".to_owned(),
        ("resume", None) if facts.held => {
            bail!("spec.hold holds it; take that away from the Canary")
        }
        ("resume", None) => "it is not held".to_owned(),
        _ => "nothing was to be done".to_owned(),
    })
}

/// The answer of the cluster; `None` where it has no such thing.
async fn answer<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> anyhow::Result<Option<T>> {
    let answer = tokio::time::timeout(PATIENCE, call).await;
    match answer.context("the cluster's API does not answer")? {
        Ok(it) => Ok(Some(it)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(kubeconfig::failure(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_says_what_came_of_it() {
        let of = |event: &str| Decision {
            time: "2026-11-21T10:00:00Z".to_owned(),
            warning: true,
            event: event.to_owned(),
            reason: "the phase is Succeeded".to_owned(),
        };
        let known = of("Starting canary analysis for a.b");
        let check = |command: &str, new: &[&str], held: bool, expect: Result<&str, &str>| {
            let mut decisions = vec![known.clone()];
            decisions.extend(new.iter().map(|event| of(event)));
            let facts = Facts { decisions, held, ..Facts::default() };
            let came = outcome(command, Some(&known), &facts).map_err(|error| error.to_string());
            assert_eq!(came.as_deref().map_err(String::as_str), expect, "{command} {new:?}");
        };
        let failed = "Canary failed! Scaling down a.b";
        check("abort", &["Aborting", failed], false, Ok(failed));
        let refusal = "abort is not possible now: the phase is Succeeded";
        check("abort", &["Abort is not possible now"], false, Err(refusal));
        check("hold", &["Holding"], true, Ok("Holding"));
        check("hold", &[], true, Ok("it is held already"));
        check("resume", &[], false, Ok("it is not held"));
        let by_spec = "spec.hold holds it; take that away from the Canary";
        check("resume", &[], true, Err(by_spec));
        check("promote", &[], false, Ok("nothing was to be done"));
    }
}
