//! A weight is written: how long until the first and until every proxy decides by it.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::ask::Asker;
use crate::report::{quantile, sample};
use crate::up::Up;
use crate::{Plan, objects, part};

/// Pods that ask; the gateway is asked beside them.
const ASKERS: usize = 5;
/// Services among which many rules are shared out.
const SERVICES: usize = 1_000;
/// Rules beside the one that changes, at first.
const FEW: usize = 9;
/// Writes under way at a time while they are not what is measured.
const WRITERS: usize = 32;
/// What takes longer will not come.
const LIMIT: Duration = Duration::from_secs(120);

/// What asks and answers, and a few rules.
pub(crate) async fn with_few_rules(up: &Up, plan: Plan) -> anyhow::Result<Changes> {
    up.create(&objects::namespace()).await?;
    let told = up.told("changes");
    let at = told.to_string_lossy().into_owned();
    let told = listen(UnixDatagram::bind(&told)?);
    for object in [
        objects::service(objects::TARGET),
        objects::subsets(),
        objects::gateway(),
        objects::split(0),
        objects::deployment(objects::TARGET, "v1", 1),
        objects::deployment(objects::TARGET, "v2", 1),
    ] {
        up.create(&object).await?;
    }
    create(up, (0..FEW).map(|it| objects::service(&objects::other(it)))).await?;
    create(up, (0..FEW).map(|it| objects::rule(it, SERVICES))).await?;
    for number in 0..ASKERS {
        let name = format!("asker-{number}");
        let target = format!("{}:80", objects::TARGET);
        let pod = objects::deployment_of(&name, &name, "ask", &[&at, &target]);
        up.create(&objects::telling(pod, &up.folder())).await?;
    }
    let asker = Asker::new(&format!("{}:80", up.gateway), objects::OUTSIDE);
    thread::spawn(move || part::keep_asking(at.as_ref(), "gateway", asker));
    let mut changes = Changes { told, versions: BTreeMap::new() };
    changes.until("v1").await?;
    changes.measure(up, plan, FEW + 1).await?;
    Ok(changes)
}

/// The same with many rules beside it.
pub(crate) async fn with_many_rules(
    up: &Up,
    plan: Plan,
    mut changes: Changes,
) -> anyhow::Result<()> {
    create(up, (FEW..SERVICES).map(|it| objects::service(&objects::other(it)))).await?;
    let begun = Instant::now();
    create(up, (FEW..plan.rules - 1).map(|it| objects::rule(it, SERVICES))).await?;
    let rate = plan.rules as f64 / begun.elapsed().as_secs_f64();
    let case = format!("{} VirtualServices", plan.rules);
    sample(&case, "written", "1/s", rate);
    let begun = Instant::now();
    up.patch(&objects::split(0), &json!({"spec": {"http": objects::routes(100)}})).await?;
    changes.until("v2").await?;
    sample(&case, "everywhere after the last", "ms", begun.elapsed().as_secs_f64() * 1e3);
    changes.measure(up, plan, plan.rules).await?;
    sample(&case, "resident", "MiB", up.memory()?);
    Ok(())
}

async fn create(up: &Up, objects: impl Iterator<Item = Value>) -> anyhow::Result<()> {
    let writes = objects.map(|object| async move { up.create(&object).await });
    stream::iter(writes).buffer_unordered(WRITERS).try_collect().await
}

/// Who decides by which version.
pub(crate) struct Changes {
    told: UnboundedReceiver<(Instant, String)>,
    versions: BTreeMap<String, String>,
}

/// Words on the socket, with the time when they came.
fn listen(socket: UnixDatagram) -> UnboundedReceiver<(Instant, String)> {
    let (send, told) = unbounded_channel();
    thread::spawn(move || {
        let mut word = [0; 256];
        while let Ok(length) = socket.recv(&mut word) {
            let text = String::from_utf8_lossy(word.get(..length).unwrap_or_default()).into_owned();
            if send.send((Instant::now(), text)).is_err() {
                return;
            }
        }
    });
    told
}

impl Changes {
    /// Waits until all decide by a version. When the first and the last of them did so first.
    async fn until(&mut self, version: &str) -> anyhow::Result<(Instant, Instant)> {
        let mut times = Vec::new();
        let wait = async {
            while self.versions.len() <= ASKERS || self.versions.values().any(|it| it != version) {
                let (at, word) = self.told.recv().await.context("nobody tells any more")?;
                let (name, told) = word.split_once(' ').context("a word of another kind")?;
                if told == version {
                    times.push(at);
                }
                self.versions.insert(name.to_owned(), told.to_owned());
            }
            anyhow::Ok(())
        };
        let result = timeout(LIMIT, wait).await;
        result.with_context(|| format!("not all decide by {version}: {:?}", self.versions))??;
        let (first, last) = (times.iter().min(), times.iter().max());
        Ok((*first.context("nobody changed")?, *last.context("nobody changed")?))
    }

    async fn measure(&mut self, up: &Up, plan: Plan, rules: usize) -> anyhow::Result<()> {
        let (mut written, mut firsts, mut lasts) = (Vec::new(), Vec::new(), Vec::new());
        let is_v2 = self.versions.values().next().is_some_and(|it| it == "v2");
        for change in 0..plan.changes {
            let to_v2 = (change % 2 == 0) != is_v2;
            let weight = if to_v2 { 100 } else { 0 };
            // The beat of the changes is not the beat of anything in the subject.
            tokio::time::sleep(Duration::from_millis(40 + (change as u64 * 37) % 61)).await;
            let begun = Instant::now();
            let http = json!({"spec": {"http": objects::routes(weight)}});
            up.patch(&objects::split(0), &http).await?;
            written.push(begun.elapsed());
            let (first, last) = self.until(if to_v2 { "v2" } else { "v1" }).await?;
            ensure!(first >= begun, "a proxy changed before it could");
            firsts.push(first - begun);
            lasts.push(last - begun);
        }
        let case = format!("a weight, {rules} VirtualServices");
        for (what, times) in
            [("answered", &mut written), ("first proxy", &mut firsts), ("every proxy", &mut lasts)]
        {
            sample(&case, &format!("{what}, p50"), "ms", quantile(times, 0.5));
            sample(&case, &format!("{what}, p99"), "ms", quantile(times, 0.99));
        }
        Ok(())
    }
}
