//! Every state that can be reached, with a crash between any two actions.
//!
//! The explorer holds the whole world: workloads, routes, and the state as it was last stored. From each pair it lets one
//! thing happen (pods come and go, a hook or a metric says no, someone aborts, a revision comes), makes a step, and stops
//! after each of its actions as a crash would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::json;

use super::*;
use crate::observation::Command;
use crate::{Readiness, step};

/// What may happen before a step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Nothing,
    CanaryPods(u32),
    PrimaryPods(u32),
    PrimaryStuck,
    BadAnswers,
    Order(Command),
    Revision,
    RouteEdited,
}

const EVENTS: [Event; 12] = [
    Event::Nothing,
    Event::CanaryPods(0),
    Event::CanaryPods(2),
    Event::PrimaryPods(0),
    Event::PrimaryPods(2),
    Event::PrimaryStuck,
    Event::BadAnswers,
    Event::Order(Command::Abort),
    Event::Order(Command::Promote),
    Event::Order(Command::Restart),
    Event::Revision,
    Event::RouteEdited,
];

#[derive(Clone, Debug)]
struct Node {
    world: World,
    state: State,
}

impl Node {
    /// Everything that decides about the future, without times and numbers that only grow.
    fn new(mut world: World, mut state: State) -> Self {
        let zero = Time(0);
        state.history.clear();
        state.waits_for = None;
        state.failures.iter_mut().for_each(|tick| *tick = 0);
        (state.since, state.started, state.stepped) = (zero, zero, zero);
        state.tick = crate::state::Tick::default();
        state.scale_down = state.scale_down.map(|_| zero);
        state.warm_since = state.warm_since.map(|_| zero);
        state.position = 0;
        world.log.clear();
        world.questions.clear();
        Self { world, state }
    }

    fn key(&self) -> String {
        let World { target, primary, command, .. } = &self.world;
        let workload = |it: &crate::Workload| {
            let stuck = matches!(it.readiness, Readiness::Stuck(_));
            format!("{} {} {} {stuck}", it.revision, it.replicas, it.ready_pods)
        };
        let routes = |it: &crate::Routes| format!("{} {:?}", it.canary, it.mirror);
        let it = &self.state;
        let flags = [
            it.is_accepted,
            it.is_held,
            it.is_urged,
            it.is_restarting,
            it.undo.is_some(),
            it.scale_down.is_some(),
            it.warm_since.is_some(),
        ];
        format!(
            "{} {:?} {:?} {command:?} {} {} {} {} {} {} {flags:?}",
            workload(target),
            primary.as_ref().map(workload),
            self.world.routes.as_ref().map(routes),
            it.phase,
            routes(&it.routes),
            it.iterations,
            it.failures.len(),
            it.last_applied,
            it.last_promoted,
        )
    }

    /// Whether all pods are there that shall be.
    fn is_calm(&self) -> bool {
        let is_well =
            |it: &crate::Workload| it.ready_pods == it.replicas && it.readiness == Readiness::Ready;
        is_well(&self.world.target) && self.world.primary.as_ref().is_none_or(is_well)
    }

    fn happen(&mut self, event: Event) -> bool {
        let wanted = self.world.target.replicas;
        match event {
            Event::Nothing | Event::BadAnswers => {}
            Event::CanaryPods(pods) => {
                if pods > wanted {
                    return false;
                }
                set_pods(&mut self.world.target, pods);
            }
            Event::PrimaryPods(pods) => match &mut self.world.primary {
                Some(primary) => set_pods(primary, pods),
                None => return false,
            },
            Event::PrimaryStuck => match &mut self.world.primary {
                Some(primary) if self.state.phase == Phase::Promoting => {
                    primary.readiness = Readiness::Stuck("no image".to_owned());
                }
                _ => return false,
            },
            Event::Order(command) => self.world.command = Some(command),
            Event::Revision => {
                if self.world.target.revision != "v1" {
                    return false;
                }
                self.world.target.revision = "v2".to_owned();
            }
            Event::RouteEdited => match &mut self.world.routes {
                Some(routes) => routes.canary = 70,
                None => return false,
            },
        }
        true
    }
}

fn set_pods(workload: &mut crate::Workload, pods: u32) {
    workload.ready_pods = pods;
    workload.readiness = if pods < workload.replicas {
        Readiness::Pending("no pods".to_owned())
    } else {
        Readiness::Ready
    };
}

/// A whole step: questions are answered until there are none. Gives every action in order, and the state at the end.
fn whole_step(plan: &Plan, node: &Node, good: bool) -> (Vec<Action>, State) {
    let mut world = node.world.clone();
    let mut state = node.state.clone();
    let mut actions = Vec::new();
    let mut answers = Vec::new();
    loop {
        let mut seen = world.observe();
        seen.answers = std::mem::take(&mut answers);
        let next = step(plan, &state, &seen, Time(0));
        state = next.state;
        for action in next.actions {
            match action {
                Action::Ask(question) => {
                    let answer = match (good, &question.about) {
                        (true, About::Hook(_) | About::MetricServers) => Answer::Yes,
                        (true, About::Metric(_)) => Answer::Value(100.0),
                        (false, _) => Answer::No("no".to_owned()),
                    };
                    answers.push((question, answer));
                }
                action => {
                    world.carry_out(&action);
                    actions.push(action);
                }
            }
        }
        world.command = None;
        if answers.is_empty() {
            return (actions, state);
        }
    }
}

/// Phase, weight of the canary, its pods and the revision of the primary.
type End = (Phase, u32, u32, String);

/// Where it ends when nothing bad happens any more: the step after which the same follows again. The ends of the nodes on
/// the way are remembered.
fn calm(plan: &Plan, node: &Node, ends: &mut BTreeMap<String, End>) -> End {
    let mut node = node.clone();
    let mut way = vec![node.key()];
    let end = loop {
        if let Some(end) = ends.get(&way[way.len() - 1]) {
            break end.clone();
        }
        let wanted = node.world.target.replicas;
        set_pods(&mut node.world.target, wanted);
        if let Some(primary) = &mut node.world.primary {
            set_pods(primary, 2);
        }
        let (actions, state) = whole_step(plan, &node, true);
        actions.iter().for_each(|action| node.world.carry_out(action));
        node.world.command = None;
        node = Node::new(node.world, state);
        let key = node.key();
        if way.contains(&key) {
            let World { target, primary, routes, .. } = &node.world;
            let primary = primary.as_ref().map(|it| it.revision.clone()).unwrap_or_default();
            break (
                node.state.phase,
                routes.as_ref().map_or(0, |it| it.canary),
                target.replicas,
                primary,
            );
        }
        way.push(key);
    };
    ends.extend(way.into_iter().map(|key| (key, end.clone())));
    end
}

/// What must hold after each action of a controller that has seen these pods.
fn check_safe(before: &World, after: &World, action: &Action) {
    let Some(routes) = &after.routes else { return };
    assert!(routes.canary <= 100 && routes.primary() + routes.canary == 100);
    if let Action::SetRoutes(_) = action {
        let canary = before.target.ready_pods;
        let primary = before.primary.as_ref().map_or(0, |it| it.ready_pods);
        assert!(
            routes.canary == 0 || canary > 0 || primary == 0,
            "traffic to a canary without pods: {routes:?}"
        );
        assert!(
            routes.canary == 100 || primary > 0 || canary == 0,
            "traffic to a primary without pods: {routes:?}"
        );
        assert!(routes.mirror.is_none() || canary > 0, "copies to a canary without pods");
    }
    if let Action::ScaleDownCanary = action {
        assert_eq!(
            (routes.canary, routes.mirror),
            (0, None),
            "pods are taken away from under traffic"
        );
    }
}

/// Explores everything that `plan` can come to. Gives the number of states.
fn explore(plan: &Plan) -> usize {
    let (world, state) = World::initialised(plan, Time(0));
    let mut ends = BTreeMap::new();
    let mut end_of = |node: &Node| calm(plan, node, &mut ends);
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([Node::new(world, state)]);
    while let Some(node) = open.pop_front() {
        if !seen.insert(node.key()) {
            continue;
        }
        for event in EVENTS {
            let mut start = node.clone();
            if !start.happen(event) {
                continue;
            }
            let (actions, state) = whole_step(plan, &start, event != Event::BadAnswers);
            let mut world = start.world.clone();
            let mut crashes = Vec::new();
            for action in &actions {
                let before = world.clone();
                world.carry_out(action);
                world.log.clear();
                check_safe(&before, &world, action);
                // A crash after what changed nothing is a crash before it.
                if world != before {
                    crashes.push(Node::new(world.clone(), start.state.clone()));
                }
            }
            world.command = None;
            let done = Node::new(world, state);
            let end = end_of(&done);
            let aborted = event == Event::Order(Command::Abort) && start.state.phase.is_analysed();
            if aborted {
                assert_eq!((end.0, end.1), (Phase::Failed, 0), "{event:?} from {:#?}", start.state);
            }
            // What was bad when the crash came may be good when the step is made again: then it is another step.
            if start.is_calm() && event != Event::BadAnswers {
                for (at, crash) in crashes.iter().enumerate() {
                    assert_eq!(
                        end_of(crash),
                        end,
                        "a crash after {at} of {actions:#?} changes the end: {event:?} from {start:#?}"
                    );
                }
            }
            open.push_back(done);
            // A crash leaves a world that the explorer goes on from, too.
            open.extend(crashes);
        }
        assert!(seen.len() < 60_000, "more states than there should be");
    }
    seen.len()
}

fn small(more: Value) -> Plan {
    let mut analysis = json!({
        "interval": "1m", "threshold": 2,
        "metrics": [{"name": "m", "templateRef": {"name": "m"}, "thresholdRange": {"min": 1}}],
        "webhooks": [{"name": "gate", "type": "confirm-promotion", "url": "http://a/"}],
    });
    for (key, value) in more.as_object().unwrap() {
        analysis[key] = value.clone();
    }
    serin(json!({"analysis": analysis}))
}

#[test]
fn weights_hold_their_laws_in_every_state_and_after_every_crash() {
    let states = explore(&small(json!({"stepWeights": [40, 80]})));
    assert!(states > 100, "{states}");
}

#[test]
fn mirrors_and_blue_green_hold_them_too() {
    let states = explore(&small(json!({"iterations": 1, "mirror": true})));
    assert!(states > 100, "{states}");
}

#[test]
fn steps_back_to_the_primary_hold_them_too() {
    let states = explore(&small(json!({"stepWeights": [60], "stepWeightPromotion": 40})));
    assert!(states > 100, "{states}");
}
