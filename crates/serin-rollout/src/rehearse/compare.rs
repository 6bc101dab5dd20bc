//! Many runs of a plan, by the rule of evidence and by Flagger's, and what they come to.

use serde::Serialize;
use serin_api::delivery::{CanaryMetric, HookType, OnInconclusive, ThresholdRange};

use super::traffic::{Latencies, Service, Simulation};
use super::world::World;
use crate::observation::{About, Answer, Question};
use crate::plan::{Evidence, Plan, Strategy};
use crate::random::Random;
use crate::state::{Phase, State};
use crate::statistics::{Policy, Unit};
use crate::time::{Span, Time};

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The plan with the verdict by evidence.
    Sequential,
    /// The same steps with thresholds alone.
    Flagger,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The new version was promoted.
    Promoted,
    /// It was rolled back.
    Aborted,
    /// Neither, within the time.
    Inconclusive,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// Seconds from the first request that reached the canary to the end.
    pub seconds: u64,
    /// Requests of users that reached the canary.
    pub canary_requests: u64,
    /// Those that failed.
    pub canary_errors: u64,
}

/// The middle and the far end of a number over many runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the runs have less.
    pub median: u64,
    /// 95 of 100 have less.
    pub p95: u64,
}

/// What many runs come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What decided.
    pub rule: Rule,
    /// How many runs.
    pub runs: u64,
    /// Promoted.
    pub promoted: u64,
    /// Rolled back.
    pub aborted: u64,
    /// Neither.
    pub inconclusive: u64,
    /// Seconds from the first request that reached the canary to the end.
    pub seconds: Spread,
    /// Requests of users that reached the canary.
    pub canary_requests: Spread,
    /// Those that failed.
    pub canary_errors: Spread,
}

/// What is rehearsed.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The plan.
    pub plan: Plan,
    /// The service.
    pub service: Service,
    /// How many runs.
    pub runs: u64,
    /// The seed of the first run.
    pub seed: u64,
}

/// The success rate that Flagger's rule asks for where the plan has no metric.
const SUCCESS: f64 = 99.0;
/// A run without a decision is given up after so long, or after twice its steps if that is longer.
const LONGEST: u64 = 1800;

impl Rule {
    /// The plan by which this rule decides.
    pub fn plan(self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        plan.webhooks.retain(|hook| hook.hook != HookType::PostRollout);
        plan.quiet.clear();
        plan.group = None;
        match self {
            Self::Flagger => {
                plan.evidence = None;
                if plan.metrics.is_empty() {
                    let range = ThresholdRange { min: Some(SUCCESS), max: None };
                    plan.metrics.push(CanaryMetric {
                        name: "request-success-rate".to_owned(),
                        threshold_range: Some(range),
                        ..CanaryMetric::default()
                    });
                }
            }
            Self::Sequential => {
                if plan.evidence.is_none() {
                    // In the place of the thresholds, not beside them.
                    plan.metrics.clear();
                    plan.evidence = Some(Evidence {
                        policy: Policy { mirrored: plan.mirror.is_some(), ..Policy::default() },
                        unit: Unit::Session,
                        session: String::new(),
                        patience: Span(plan.interval.0 * 10),
                        on_inconclusive: OnInconclusive::Hold,
                    });
                }
            }
        }
        plan
    }
}

/// One run of a plan: the real steps, once a second, in a simulated world.
pub fn run(plan: &Plan, service: Service, random: &mut Random) -> Run {
    run_with(plan, service, &service.latencies(), random)
}

fn run_with(plan: &Plan, service: Service, latencies: &[Latencies; 2], random: &mut Random) -> Run {
    let start = Time(0);
    let (mut world, mut state) = World::initialised(plan, start);
    world.keeps_log = false;
    let unit = plan.evidence.as_ref().map_or(Unit::Request, |it| it.unit);
    let by_evidence = plan.evidence.as_ref().is_some_and(|it| !it.policy.quantiles.is_empty());
    let by_metric = plan.metrics.iter().any(|metric| metric.name == "request-duration");
    let mut simulation =
        Simulation::new(service, latencies, unit, by_evidence || by_metric, random);
    if plan.versions.is_none() {
        world.target.revision = "v2".to_owned();
    }
    let is_matched = plan.is_for_chosen();
    let mut first = None;
    let mut second = 0;
    let outcome = loop {
        second += 1;
        let routes = world.routes.clone().unwrap_or_default();
        if first.is_none() && (routes.canary > 0 || routes.mirror.is_some()) {
            first = Some(second);
        }
        world.traffic = simulation.second(&routes, is_matched);
        let now = Time(second * 1000);
        state = world.turn(plan, &state, now, |question| answer(plan, question, &simulation));
        if let Some(outcome) = ended(plan, &state, second) {
            break outcome;
        }
    };
    let exposed = simulation.exposed;
    Run {
        outcome,
        seconds: u64::try_from(second - first.unwrap_or(second) + 1).unwrap_or_default(),
        canary_requests: exposed.total,
        canary_errors: exposed.bad,
    }
}

fn ended(plan: &Plan, state: &State, second: i64) -> Option<Outcome> {
    let steps = match plan.strategy {
        Strategy::Weighted { mirror_ticks } => {
            let listed = u32::try_from(plan.step_weights.len()).unwrap_or(100);
            mirror_ticks + 100_u32.checked_div(plan.step_weight).unwrap_or(listed)
        }
        Strategy::AbTesting | Strategy::BlueGreen => plan.iterations,
    };
    let limit =
        (plan.interval.0 / 1000 * 2 * i64::from(steps + plan.threshold)).max(LONGEST as i64);
    match state.phase {
        Phase::Promoting | Phase::Finalising | Phase::Succeeded => Some(Outcome::Promoted),
        Phase::Failed => Some(Outcome::Aborted),
        _ => (second >= limit).then_some(Outcome::Inconclusive),
    }
}

/// What the hooks and the metrics say: hooks agree, and metrics tell of the simulated service.
fn answer(plan: &Plan, question: &Question, simulation: &Simulation<'_>) -> Answer {
    match question.about {
        About::Hook(index) => match plan.webhooks.get(index).map(|hook| hook.hook) {
            Some(HookType::Rollback) => Answer::No("nobody asks for it".to_owned()),
            _ => Answer::Yes,
        },
        About::MetricServers => Answer::Yes,
        About::Metric(index) => {
            let Some(metric) = plan.metrics.get(index) else { return Answer::NoValue };
            let window =
                Span::parse(&metric.interval).filter(|it| it.0 > 0).unwrap_or(Span::seconds(60));
            let seconds = usize::try_from(window.0 / 1000).unwrap_or(60).max(1);
            let value = match metric.name.as_str() {
                "request-success-rate" => simulation.window.success(seconds),
                "request-duration" => simulation.window.duration(seconds),
                // Nothing is known of others; they pass.
                _ => metric
                    .threshold_range
                    .as_ref()
                    .and_then(|it| it.max.or(it.min))
                    .or(Some(metric.threshold)),
            };
            value.map_or(Answer::NoValue, Answer::Value)
        }
    }
}

/// Many runs by a rule. `progress` is told after each how many are done.
pub fn rehearse(setting: &Setting, rule: Rule, mut progress: impl FnMut(u64)) -> Report {
    let plan = rule.plan(&setting.plan);
    let latencies = setting.service.latencies();
    let runs: Vec<Run> = (0..setting.runs)
        .map(|index| {
            // Both rules see the same seeds.
            let mut random = Random::new(setting.seed.wrapping_add(index));
            let run = run_with(&plan, setting.service, &latencies, &mut random);
            progress(index + 1);
            run
        })
        .collect();
    Report::new(rule, &runs)
}

impl Report {
    fn new(rule: Rule, runs: &[Run]) -> Self {
        let count = |outcome| runs.iter().filter(|run| run.outcome == outcome).count() as u64;
        Self {
            rule,
            runs: runs.len() as u64,
            promoted: count(Outcome::Promoted),
            aborted: count(Outcome::Aborted),
            inconclusive: count(Outcome::Inconclusive),
            seconds: Spread::of(runs.iter().map(|run| run.seconds)),
            canary_requests: Spread::of(runs.iter().map(|run| run.canary_requests)),
            canary_errors: Spread::of(runs.iter().map(|run| run.canary_errors)),
        }
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.collect();
        values.sort_unstable();
        let at = |part: usize| {
            values.get((values.len() * part).div_ceil(100).saturating_sub(1)).copied()
        };
        Self { median: at(50).unwrap_or_default(), p95: at(95).unwrap_or_default() }
    }
}
