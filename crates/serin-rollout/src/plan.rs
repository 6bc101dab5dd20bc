//! The plan: a Canary with all defaults filled in, in the form in which steps read it.
//!
//! What is odd in a Canary is read as Flagger reads it; telling its author is for validation.

mod quiet;

use serin_api::delivery::{
    Analysis, AutoscalerReference, Canary, CanaryAlert, CanaryMetric, CanaryService, CanaryWebhook,
    FlaggerCanary, HookType, MaxExposure, OnInconclusive, Provider, ReleaseGroup,
    SequentialAnalysis, SequentialUnit, SessionAffinity, Versions,
};
use serin_api::networking::HttpMatchRequest;
use serin_api::{Meta, Object};

use crate::statistics::{Gate, Policy, Unit};
use crate::time::Span;

pub use quiet::Quiet;

/// Whose meaning the fields of a Canary have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Flagger's.
    #[default]
    Flagger,
    /// Serin's, where the two differ.
    Serin,
}

/// The way of a release from no traffic to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// So many ticks of mirroring, then weights.
    Weighted {
        /// Ticks of mirroring before the first weight.
        mirror_ticks: u32,
    },
    /// Iterations with the users who match.
    AbTesting,
    /// Iterations without users, then all.
    BlueGreen,
}

/// What leads the traffic of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// The Service that users call, which is pointed to the one version or the other.
    Service,
    /// Istio's VirtualService.
    VirtualService,
    /// The Gateway API's HTTPRoute.
    HttpRoute,
}

impl Router {
    /// The name of the provider, for events.
    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::Service => "kubernetes",
            Self::VirtualService => "istio",
            Self::HttpRoute => "gatewayapi:v1",
        }
    }

    /// A Canary that names no provider has that of its gateways.
    fn of(canary: &Canary) -> Self {
        let service = canary.service.as_ref();
        let has_gateway_refs = service.is_some_and(|it| !it.gateway_refs.is_empty());
        match canary.provider {
            Provider::Kubernetes => Self::Service,
            Provider::GatewayApi | Provider::GatewayApiBeta => Self::HttpRoute,
            Provider::Default if has_gateway_refs => Self::HttpRoute,
            _ => Self::VirtualService,
        }
    }
}

/// How the verdict by evidence is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What it is to hold.
    pub policy: Policy,
    /// What is counted.
    pub unit: Unit,
    /// What tells sessions apart, as the plan says it; empty if it does not.
    pub session: String,
    /// How long to wait for more evidence at the last step.
    pub patience: Span,
    /// What happens after that.
    pub on_inconclusive: OnInconclusive,
}

/// A Canary as steps read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Whose meaning the fields have.
    pub dialect: Dialect,
    /// Name of the Canary.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Kind of the workload.
    pub kind: String,
    /// Name of the workload.
    pub target: String,
    /// The Services and routes.
    pub service: CanaryService,
    /// The users of A/B testing.
    pub matches: Vec<HttpMatchRequest>,
    /// What leads the traffic.
    pub router: Router,
    /// The way.
    pub strategy: Strategy,
    /// Iterations of the strategies that have them.
    pub iterations: u32,
    /// What the Canary asks for and cannot have without routes, in Flagger's words.
    pub lacks: Vec<&'static str>,
    /// Time from one tick to the next.
    pub interval: Span,
    /// So many failed checks bring the rollback.
    pub threshold: u32,
    /// What each step adds; 0 if there is a list.
    pub step_weight: u32,
    /// The weights of the steps.
    pub step_weights: Vec<u32>,
    /// The weight at which to promote.
    pub max_weight: u32,
    /// What each step takes back; 0 is all at once.
    pub step_weight_promotion: u32,
    /// Percent of the requests that are mirrored, while they are; `None` does not mirror.
    pub mirror: Option<u32>,
    /// The metrics.
    pub metrics: Vec<CanaryMetric>,
    /// The webhooks.
    pub webhooks: Vec<CanaryWebhook>,
    /// The alerts.
    pub alerts: Vec<CanaryAlert>,
    /// The cookies.
    pub affinity: Option<SessionAffinity>,
    /// Promote without analysis.
    pub skips_analysis: bool,
    /// Undo everything on deletion.
    pub reverts_on_deletion: bool,
    /// Do nothing.
    pub is_suspended: bool,
    /// Stay where it is.
    pub is_held: bool,
    /// The autoscaler.
    pub scaler: Option<AutoscalerReference>,
    /// Two subsets instead of a copy.
    pub versions: Option<Versions>,
    /// The group.
    pub group: Option<ReleaseGroup>,
    /// Scale the primary to the canary's size before traffic goes back.
    pub warms_to_canary: bool,
    /// How long the primary must be ready before that.
    pub warm_up: Span,
    /// When nothing advances.
    pub quiet: Vec<Quiet>,
    /// How long the canary's pods stay.
    pub scale_down_delay: Span,
    /// The verdict by evidence.
    pub evidence: Option<Evidence>,
    /// How many users may be reached before it is decided.
    pub exposure: MaxExposure,
    /// Wait for the proxies, so long.
    pub await_proxies: Option<Span>,
}

impl Plan {
    /// The plan of a Canary of `serin.dev`.
    pub fn of(canary: &Object<Canary>) -> Self {
        Self::new(&canary.spec, &canary.meta, Dialect::Serin)
    }

    /// The plan of a Canary of `flagger.app`.
    pub fn of_flagger(canary: &Object<FlaggerCanary>) -> Self {
        Self::new(&canary.spec.0, &canary.meta, Dialect::Flagger)
    }

    fn new(canary: &Canary, meta: &Meta, dialect: Dialect) -> Self {
        let analysis = canary.analysis().cloned().unwrap_or_default();
        let router = Router::of(canary);
        let is_routed = router != Router::Service;
        let positive = |value: i32| u32::try_from(value).unwrap_or(0);
        let percent = |value: i32| positive(value).min(100);
        let mut iterations = positive(analysis.iterations);
        let lacks = if is_routed { Vec::new() } else { lacks(&analysis) };
        if !is_routed && iterations == 0 {
            iterations = ITERATIONS;
        }
        let step_weights: Vec<u32> = analysis.step_weights.iter().copied().map(percent).collect();
        let has_weights = analysis.step_weight > 0 || !step_weights.is_empty();
        let is_combined = dialect == Dialect::Serin && analysis.mirror && has_weights;
        let strategy = match iterations {
            0 => Strategy::Weighted { mirror_ticks: u32::from(analysis.mirror) },
            _ if !analysis.matches.is_empty() && is_routed => Strategy::AbTesting,
            n if is_combined && is_routed => Strategy::Weighted { mirror_ticks: n },
            _ => Strategy::BlueGreen,
        };
        let interval = Span::parse(&analysis.interval).unwrap_or(Span::seconds(60));
        let interval = interval.max(match dialect {
            Dialect::Flagger => Span::seconds(10),
            Dialect::Serin => Span::seconds(1),
        });
        let target = canary.target_ref.clone().unwrap_or_default();
        let mirror = match analysis.mirror_weight {
            _ if !analysis.mirror || !is_routed || strategy == Strategy::AbTesting => None,
            0 => Some(100),
            weight => Some(percent(weight)),
        };
        let warm_up = canary.warm_up.clone().unwrap_or_default();
        let evidence = analysis.sequential.as_ref();
        Self {
            dialect,
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            kind: target.kind,
            target: target.name,
            router,
            service: canary.service.clone().unwrap_or_default(),
            matches: analysis.matches,
            max_weight: match (step_weights.last(), analysis.max_weight) {
                (Some(last), _) => *last,
                (None, 1..) => percent(analysis.max_weight),
                _ => 100,
            },
            strategy,
            iterations,
            lacks,
            interval,
            threshold: positive(analysis.threshold).max(1),
            step_weight: percent(analysis.step_weight),
            step_weights,
            step_weight_promotion: percent(analysis.step_weight_promotion),
            evidence: evidence.map(|it| self::evidence(it, mirror.is_some(), interval)),
            mirror,
            metrics: analysis.metrics,
            webhooks: analysis.webhooks,
            alerts: analysis.alerts,
            affinity: analysis.session_affinity.and_then(|it| affinity(it, dialect)),
            skips_analysis: canary.skip_analysis || canary.analysis().is_none(),
            reverts_on_deletion: canary.revert_on_deletion,
            is_suspended: canary.suspend,
            is_held: canary.hold,
            scaler: canary.autoscaler_ref.clone(),
            versions: canary.versions.clone(),
            group: canary.group.clone(),
            warms_to_canary: warm_up.match_canary,
            warm_up: Span::parse(&warm_up.duration).unwrap_or_default(),
            quiet: canary.quiet_hours.iter().filter_map(Quiet::new).collect(),
            scale_down_delay: Span::parse(&canary.scale_down_delay).unwrap_or_default(),
            exposure: analysis.max_exposure.unwrap_or_default(),
            await_proxies: analysis
                .await_proxies
                .map(|it| Span::parse(&it.timeout).unwrap_or(Span::seconds(60))),
        }
    }

    /// Whether there are routes; otherwise only the Service can be pointed elsewhere.
    pub fn is_routed(&self) -> bool {
        self.router != Router::Service
    }

    /// Whether only users who match may come to the new version, whichever way it goes.
    pub fn is_for_chosen(&self) -> bool {
        self.is_routed() && !self.matches.is_empty()
    }

    /// The webhooks of a type, with their places in the list.
    pub fn hooks(&self, kind: HookType) -> impl Iterator<Item = (usize, &CanaryWebhook)> {
        self.webhooks.iter().enumerate().filter(move |(_, hook)| hook.hook.resolved() == kind)
    }

    /// What `NAME.NAMESPACE` stands for in events.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }

    /// What the workload is called in events.
    pub fn target_name(&self) -> String {
        format!("{}.{}", self.target, self.namespace)
    }

    /// The weight after `weight`. One that is not in the list of weights leads to all of it.
    pub fn next_weight(&self, weight: u32) -> u32 {
        if self.step_weight > 0 || self.step_weights.is_empty() {
            return (weight + self.step_weight.max(1)).min(100);
        }
        let next = match self.step_weights.iter().position(|it| *it == weight) {
            _ if weight == 0 => self.step_weights.first(),
            Some(index) => self.step_weights.get(index + 1),
            None => None,
        };
        next.copied().unwrap_or(100)
    }
}

/// Without routes so many iterations are made where none are asked for.
const ITERATIONS: u32 = 10;

/// What an analysis asks for and cannot have without routes.
fn lacks(analysis: &Analysis) -> Vec<&'static str> {
    let mut lacks = Vec::new();
    if !analysis.matches.is_empty() {
        lacks.push("A/B testing is not supported when using the kubernetes provider");
    }
    if analysis.iterations < 1 {
        lacks.push("Progressive traffic is not supported when using the kubernetes provider");
        lacks.push("Setting canaryAnalysis.iterations: 10");
    }
    lacks
}

/// A cookie without a path belongs to the folder of the page that set it (RFC 6265 §5.1.4): its user is not known on other pages, and
/// cannot be freed from there.
fn affinity(mut spec: SessionAffinity, dialect: Dialect) -> Option<SessionAffinity> {
    if spec.path.is_empty() && dialect == Dialect::Serin {
        "/".clone_into(&mut spec.path);
    }
    (!spec.cookie_name.is_empty()).then_some(spec)
}

fn evidence(spec: &SequentialAnalysis, mirrored: bool, interval: Span) -> Evidence {
    let standard = Policy::default();
    let gate = spec.gate.clone().unwrap_or_default();
    Evidence {
        policy: Policy {
            alpha: spec.alpha.unwrap_or(standard.alpha),
            tolerance: spec.tolerance.unwrap_or(standard.tolerance),
            gate: (!gate.disabled).then(|| Gate {
                ratio: gate.ratio.unwrap_or(2.0),
                beta: gate.beta.unwrap_or(0.05),
            }),
            quantiles: spec.quantiles.clone().unwrap_or(standard.quantiles),
            ceiling: spec.error_ceiling,
            mirrored,
            least_units: spec
                .min_requests
                .and_then(|it| u64::try_from(it).ok())
                .unwrap_or(standard.least_units),
        },
        unit: match spec.unit {
            SequentialUnit::Session => Unit::Session,
            SequentialUnit::Request => Unit::Request,
        },
        session: spec.session.clone(),
        patience: Span::parse(&spec.patience).unwrap_or(Span(interval.0 * 10)),
        on_inconclusive: spec.on_inconclusive,
    }
}
