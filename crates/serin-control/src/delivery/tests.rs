use std::sync::Mutex;

use serin_routing::Model;
use serin_routing::model::WorkloadIdentity;

use super::*;
use crate::proxy::{Role, Workload};

/// Writes down what it is asked, and refuses as often as it is told.
#[derive(Default)]
struct Noted {
    asked: Mutex<Vec<String>>,
    refusals: Mutex<usize>,
    problems: Mutex<Vec<Problem>>,
}

impl Publisher for Noted {
    async fn publish(
        &self,
        proxy: &ProxyId,
        model: Arc<Model>,
        _: Arc<Workload>,
    ) -> Result<Ack, PublishError> {
        self.asked.lock().unwrap().push(format!("{proxy} {}", model.listeners.len()));
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals == 0 {
            let problems = self.problems.lock().unwrap().clone();
            return Ok(Ack { problems });
        }
        *refusals -= 1;
        Err(PublishError { reason: "not now".to_owned() })
    }

    async fn retire(&self, proxy: &ProxyId) {
        self.asked.lock().unwrap().push(format!("{proxy} retired"));
    }
}

fn proxy(name: &str) -> ProxyId {
    ProxyId::Gateway { namespace: "n".into(), name: name.into() }
}

fn publication(role: Role) -> Publication {
    let identity = Arc::new(WorkloadIdentity::default());
    let workload =
        Arc::new(Workload { role, identity, addresses: Vec::new(), sockets: Vec::new() });
    Publication { model: Arc::default(), workload }
}

fn reached(name: &str, push: u64) -> Done {
    Done::Reached { proxy: proxy(name), push, is_in_mesh: true }
}

/// Everything that becomes of what is on its way.
async fn settle(delivery: &mut Delivery<Noted>) -> Vec<Done> {
    let mut done = Vec::new();
    while !delivery.is_idle() {
        done.extend(delivery.next().await);
    }
    done
}

#[tokio::test]
async fn what_a_proxy_has_is_not_published_again_and_one_that_is_gone_is_retired() {
    let publisher = Arc::new(Noted::default());
    let mut delivery = Delivery::new(Arc::clone(&publisher), false);
    let (one, other) = (publication(Role::Gateway), publication(Role::Gateway));
    let both = BTreeMap::from([(proxy("a"), one.clone()), (proxy("b"), other)]);
    assert!(delivery.push(1, both).is_empty());
    let done = settle(&mut delivery).await;
    assert!(done.contains(&reached("a", 1)) && done.contains(&reached("b", 1)));
    let again = delivery.push(2, BTreeMap::from([(proxy("a"), one)]));
    assert_eq!(again, [reached("a", 2)]);
    assert_eq!(settle(&mut delivery).await, [Done::Retired(proxy("b"))]);
    let mut asked = publisher.asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, ["gateway n/a 0", "gateway n/b 0", "gateway n/b retired"]);
}

#[tokio::test]
async fn while_one_is_on_its_way_the_newest_waits_and_what_comes_back_counts_for_it() {
    let publisher = Arc::new(Noted::default());
    let mut delivery = Delivery::new(Arc::clone(&publisher), false);
    let (one, two) = (publication(Role::Gateway), publication(Role::Gateway));
    let push = |publication: &Publication| BTreeMap::from([(proxy("a"), publication.clone())]);
    delivery.push(1, push(&one));
    // Another model, and then the first again, before the proxy has answered.
    assert!(delivery.push(2, push(&two)).is_empty() && delivery.push(3, push(&one)).is_empty());
    assert_eq!(settle(&mut delivery).await, [reached("a", 3)]);
    assert_eq!(publisher.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_asked_again() {
    let publisher = Arc::new(Noted { refusals: Mutex::new(2), ..Noted::default() });
    let mut delivery = Delivery::new(Arc::clone(&publisher), false);
    delivery.push(1, BTreeMap::from([(proxy("a"), publication(Role::Gateway))]));
    assert_eq!(settle(&mut delivery).await, [Done::Failed, Done::Failed, reached("a", 1)]);
}

#[tokio::test]
async fn a_listener_that_could_not_be_opened_is_told_once_and_tried_again() {
    let problem = Problem { listener: "0.0.0.0:80".parse().ok(), message: "taken".to_owned() };
    let publisher = Arc::new(Noted::default());
    publisher.problems.lock().unwrap().push(problem.clone());
    let mut delivery = Delivery::new(Arc::clone(&publisher), false);
    delivery.push(1, BTreeMap::from([(proxy("a"), publication(Role::Gateway))]));
    let lacks = |problems| Done::Lacks { proxy: proxy("a"), problems };
    assert_eq!(settle(&mut delivery).await, [lacks(vec![problem]), reached("a", 1)]);
    assert!(delivery.reopens_at().is_some());
    delivery.open_again();
    assert_eq!(settle(&mut delivery).await, [reached("a", 1)]);
    publisher.problems.lock().unwrap().clear();
    delivery.open_again();
    assert_eq!(settle(&mut delivery).await, [lacks(Vec::new()), reached("a", 1)]);
    delivery.open_again();
    assert!(delivery.is_idle() && delivery.reopens_at().is_none());
}

#[tokio::test]
async fn who_lets_in_what_comes_from_outside_may_be_held_and_then_gets_what_is_newest() {
    let publisher = Arc::new(Noted::default());
    let mut delivery = Delivery::new(Arc::clone(&publisher), true);
    let sidecar = publication(Role::Sidecar);
    for push in [1, 2] {
        let all = [
            (proxy("gateway"), publication(Role::Gateway)),
            (proxy("node"), publication(Role::Node)),
            (proxy("pod"), sidecar.clone()),
        ];
        let now = delivery.push(push, BTreeMap::from(all));
        let later = settle(&mut delivery).await;
        let told: Vec<Done> = now.into_iter().chain(later).collect();
        assert_eq!(told, [reached("pod", push)]);
    }
    assert_eq!(delivery.open(), [reached("pod", 2)]);
    settle(&mut delivery).await;
    assert_eq!(
        *publisher.asked.lock().unwrap(),
        ["gateway n/pod 0", "gateway n/gateway 0", "gateway n/node 0"]
    );
    let without = BTreeMap::from([(proxy("pod"), sidecar)]);
    delivery.push(3, without);
    assert_eq!(settle(&mut delivery).await.len(), 2, "they are retired");
}
