//! `serin demo`: a story that a cluster of its own plays out, told as it happens.
//!
//! Nothing is staged. The cluster is `serin up` in a process of its own ([`stage`]), the users are real requests ([`crowd`], or those of
//! `serin load`), and what is told ([`narrator`]) is what the API and the answers say. Each story is a module.

mod affinity;
mod crowd;
mod lanes;
mod mirror;
mod narrator;
mod release;
mod rolling;
mod stage;
mod versions;

use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;

use crate::cli::{DemoArgs, Story};
use crate::terminal::{self, Palette};
use crate::up::{Signals, check_privileges};
use narrator::{Event, Narrator};
use stage::Stage;

/// How long a step of a story may take: that a machine is slow is not how a story ends.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long an answer may take, for the same reason.
const ANSWER: Duration = Duration::from_secs(60);

/// Tells a story; 0 only if it ends as it should.
pub(crate) fn run(args: &DemoArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    check_privileges()?;
    let palette = Palette { colors: terminal::stdout_colors(args.view.color) };
    let narrator = Narrator::new(out, palette, args.json.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(perform(args, narrator))
}

async fn perform(args: &DemoArgs, mut narrator: Narrator<'_>) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    narrator.heading(title(args.story))?;
    narrator.note(&Event { event: "started", ..Event::default() })?;
    narrator
        .say("A cluster starts on this machine: no container engine, no image, one program.")?;
    let mut stage = Stage::open(args, narrator).await?;
    stage.narrator.note(&Event { event: "ready", ..Event::default() })?;
    if let Some(link) = stage.dashboard().map(str::to_owned) {
        stage.narrator.say(&format!("Its dashboard: {link}"))?;
    }
    let mut gone = pin!(stage.gone());
    let told = tokio::select! {
        told = tell(args.story, &mut stage) => Some(told),
        () = signals.next() => None,
        () = &mut gone => Some(Err(anyhow!("the cluster was ended by somebody else"))),
    };
    let ended = match &told {
        Some(Ok(true)) => "as it should",
        Some(Ok(false)) => "otherwise than it should",
        Some(Err(_)) => "with an error",
        None => "early",
    };
    let reason = told.as_ref().and_then(|told| told.as_ref().err()).map(|it| format!("{it:#}"));
    let reason = Some(reason.unwrap_or_else(|| ended.to_owned()));
    stage.narrator.note(&Event { event: "ended", reason, ..Event::default() })?;
    if let Some(Ok(false)) = told {
        stage.narrator.say("This is not how the story should end.")?;
        if let Some(why) = stage.narrator.users.last_failure() {
            stage.narrator.add(&format!("the last request that failed: {why}"))?;
        }
    }
    if let Some(Ok(_)) = told {
        look_around(args, &mut stage)?;
        if args.keep {
            tokio::select! {
                () = signals.next() => {}
                () = gone => {}
            }
        }
    }
    stage.close().await?;
    match told {
        Some(told) => Ok(ExitCode::from(u8::from(!told?))),
        None => Ok(ExitCode::FAILURE),
    }
}

async fn tell(story: Story, stage: &mut Stage<'_>) -> anyhow::Result<bool> {
    match story {
        Story::Release => release::tell(stage).await,
        Story::Affinity => affinity::tell(stage).await,
        Story::Lanes => lanes::tell(stage).await,
        Story::Rolling => rolling::tell(stage).await,
        Story::Mirror => mirror::tell(stage).await,
    }
}

const fn title(story: Story) -> &'static str {
    match story {
        Story::Release => "A release that watches itself",
        Story::Affinity => "Users stay with the version they met",
        Story::Lanes => "Versions that call their own version",
        Story::Rolling => "A rolling update under load",
        Story::Mirror => "Copies before users",
    }
}

/// What to try next.
fn look_around(args: &DemoArgs, stage: &mut Stage<'_>) -> anyhow::Result<()> {
    if !args.keep {
        stage.narrator.heading("Next")?;
        return stage.narrator.plain(
            "  serin demo --keep                    the same, and the cluster stays to look around\n  \
             serin demo affinity                  or lanes, rolling, mirror: other ways to release\n  \
             serin up -f samples/bookinfo         a cluster of your own; kubectl and your manifests work on it\n  \
             serin check YOUR-MANIFESTS           what is wrong with yours",
        );
    }
    stage.narrator.heading("The cluster stays until Ctrl-C. Look around in another terminal:")?;
    let (config, place) = (stage.kubeconfig().display().to_string(), stage.argument());
    let release = match args.story {
        Story::Release => {
            "\n  serin canary history reviews\n  kubectl get canaries.serin.dev reviews -o yaml"
        }
        _ => "",
    };
    let text = format!(
        "  export KUBECONFIG={config}\n  kubectl get pods,virtualservices -o wide{release}\n  serin status{place}"
    );
    stage.narrator.plain(&text)
}
