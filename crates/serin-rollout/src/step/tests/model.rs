//! A deliberately simple model of Flagger's algorithm, compared over random histories.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Readiness;

/// What happens in a tick.
#[derive(Clone, Copy, Debug)]
struct Happening {
    checks_pass: bool,
    gate_open: bool,
    canary: u8,
    primary_ready: bool,
    revision: bool,
}

fn happening() -> impl Strategy<Value = Happening> {
    // Mostly well, so that histories come far.
    let mostly = || prop::bool::weighted(0.85);
    (
        mostly(),
        mostly(),
        prop_oneof![20 => Just(0_u8), 3 => Just(1), 1 => Just(2)],
        mostly(),
        prop::bool::weighted(0.06),
    )
        .prop_map(|(checks_pass, gate_open, canary, primary_ready, revision)| Happening {
            checks_pass,
            gate_open,
            canary,
            primary_ready,
            revision,
        })
}

/// Flagger, told in one function: phase, weight, failed checks, iterations.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    phase: Phase,
    weight: u32,
    failed: u32,
    iterations: u32,
    is_accepted: bool,
    target: u32,
    applied: u32,
    promoted: u32,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    steps: &'static [u32],
    iterations: u32,
    ab: bool,
    threshold: u32,
}

impl Model {
    fn new() -> Self {
        Self {
            phase: Phase::Initialized,
            weight: 0,
            failed: 0,
            iterations: 0,
            is_accepted: false,
            target: 1,
            applied: 1,
            promoted: 1,
        }
    }

    fn begin(&mut self) {
        self.phase = Phase::Progressing;
        (self.weight, self.failed, self.iterations, self.is_accepted) = (0, 0, 0, false);
        self.applied = self.target;
    }

    fn end(&mut self, phase: Phase) {
        self.phase = phase;
        self.weight = 0;
    }

    fn tick(&mut self, shape: Shape, it: Happening) {
        if it.revision {
            self.target += 1;
        }
        let changed = self.target != self.applied && self.target != self.promoted;
        match self.phase {
            Phase::Finalising => {
                self.promoted = self.applied;
                self.end(Phase::Succeeded);
            }
            Phase::Initialized | Phase::Succeeded | Phase::Failed if !changed => {}
            _ if !it.primary_ready => {}
            Phase::Initialized | Phase::Succeeded | Phase::Failed => self.begin(),
            Phase::Promoting if changed => {
                self.promoted = self.applied;
                self.begin();
            }
            Phase::Promoting => self.end(Phase::Finalising),
            _ if changed => self.begin(),
            _ if it.canary == 1 => {}
            _ if it.canary == 2 => self.end(Phase::Failed),
            _ if self.failed >= shape.threshold => self.end(Phase::Failed),
            _ => self.analyse(shape, it),
        }
    }

    fn analyse(&mut self, shape: Shape, it: Happening) {
        let untouched = self.weight == 0 && self.iterations == 0;
        let must_check = !untouched || !self.is_accepted;
        if must_check && !it.checks_pass {
            self.failed += 1;
            return;
        }
        self.is_accepted |= untouched;
        if shape.iterations > 0 {
            if self.iterations < shape.iterations {
                self.iterations += 1;
                self.weight = if shape.ab { 100 } else { 0 };
            } else if !it.gate_open {
                self.phase = Phase::WaitingPromotion;
            } else if !shape.ab && self.iterations == shape.iterations {
                (self.iterations, self.weight, self.phase) =
                    (self.iterations + 1, 100, Phase::Progressing);
            } else {
                self.phase = Phase::Promoting;
            }
            return;
        }
        match shape.steps.iter().find(|step| **step > self.weight) {
            Some(next) => self.weight = *next,
            None if it.gate_open => self.phase = Phase::Promoting,
            None => self.phase = Phase::WaitingPromotion,
        }
    }
}

const SHAPES: [Shape; 4] = [
    Shape { steps: &[10, 20, 30], iterations: 0, ab: false, threshold: 3 },
    Shape { steps: &[5, 50, 100], iterations: 0, ab: false, threshold: 1 },
    Shape { steps: &[], iterations: 3, ab: true, threshold: 2 },
    Shape { steps: &[], iterations: 2, ab: false, threshold: 2 },
];

fn plan(shape: Shape) -> Plan {
    let mut analysis = json!({
        "interval": "1m", "threshold": shape.threshold, "iterations": shape.iterations, "stepWeights": shape.steps,
        "metrics": [{"name": "m", "templateRef": {"name": "m"}, "thresholdRange": {"min": 1}}],
        "webhooks": [
            {"name": "acceptance", "type": "pre-rollout", "url": "http://a/"},
            {"name": "gate", "type": "confirm-promotion", "url": "http://a/"},
        ],
    });
    if shape.ab {
        analysis["match"] = json!([{"headers": {"a": {"exact": "b"}}}]);
    }
    flagger(analysis)
}

proptest! {
    #[test]
    fn every_history_goes_as_the_simple_model_says(
        shape in prop::sample::select(SHAPES.to_vec()),
        history in prop::collection::vec(happening(), 1..60),
    ) {
        let mut release = Release::new(plan(shape));
        let mut model = Model::new();
        release.world.target.revision = "1".to_owned();
        release.state.last_applied = "1".to_owned();
        release.state.last_promoted = "1".to_owned();
        for (index, it) in history.iter().enumerate() {
            model.tick(shape, *it);
            release.world.target.revision = model.target.to_string();
            release.world.target.readiness = match it.canary {
                0 => Readiness::Ready,
                1 => Readiness::Pending("starting".to_owned()),
                _ => Readiness::Stuck("crash loop".to_owned()),
            };
            release.world.primary.as_mut().unwrap().readiness =
                if it.primary_ready { Readiness::Ready } else { Readiness::Pending("rolling".to_owned()) };
            let no = || Answer::No("closed".to_owned());
            release.say("m", Answer::Value(if it.checks_pass { 2.0 } else { 0.0 }));
            release.say("acceptance", if it.checks_pass { Answer::Yes } else { no() });
            release.say("gate", if it.gate_open { Answer::Yes } else { no() });
            release.tick();
            let state = &release.state;
            let weight = release.world.routes.as_ref().unwrap().canary;
            prop_assert_eq!(
                (state.phase, weight, state.failed_checks(), state.iterations),
                (model.phase, model.weight, model.failed, model.iterations),
                "tick {} of {:?}: {:#?}", index, history, release.events()
            );
        }
    }
}
