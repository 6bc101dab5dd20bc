//! Traffic between the workloads of a mesh whose proxies do not report here: what a Prometheus that scrapes them makes of it.
//!
//! It is asked for rates every few seconds; what they add up to stands for the counters. So pods may come and go, and the numbers still
//! only grow. They are as late as scrapes are, and smooth where traffic is not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use serin_operator::Prometheus;
use serin_telemetry::{Destination, Histogram, Tally, Traffic, Workload};
use tokio::task::JoinHandle;

/// Prometheus is asked this often.
const EVERY: Duration = Duration::from_secs(5);
/// The stretches that rates are of: the second one for those who scrape but once a minute.
const STRETCHES: [&str; 2] = ["1m", "5m"];
/// Of more pairs of ends those that nothing flows between are forgotten: workloads come and go for as long as this runs.
const PAIRS: usize = 4096;
/// The labels of both ends.
const ENDS: &str = "source_workload, source_workload_namespace, source_version, destination_workload, \
    destination_workload_namespace, destination_version, destination_service_name, destination_service_namespace";

/// Traffic by a Prometheus.
pub(super) struct Counted {
    prometheus: Prometheus,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When it was asked last, and for which stretch.
    asked: Option<(Instant, usize)>,
    answer: Option<JoinHandle<Result<Flows, String>>>,
    /// The latest rates, and until when they are added up.
    rates: Flows,
    until: Option<Instant>,
    sums: Flows,
    /// Why the latest question has no answer.
    trouble: Option<String>,
}

/// What flows from whom to whom.
type Flows = BTreeMap<(Workload, Destination), Flow>;

/// Requests, or requests a second.
#[derive(Clone, Debug, Default, PartialEq)]
struct Flow {
    requests: f64,
    failures: f64,
    /// By the upper end of their bucket in milliseconds, those below not counted in.
    durations: BTreeMap<u64, f64>,
}

impl Counted {
    pub(super) fn new(prometheus: Prometheus) -> Self {
        Self { prometheus, state: Mutex::default() }
    }

    /// What has been counted so far.
    pub(super) async fn traffic(&self) -> Result<Vec<Traffic>, String> {
        let answer = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.answer.take_if(|it| it.is_finished())
        };
        let answered = match answer {
            Some(answer) => Some(answer.await.unwrap_or_else(|error| Err(error.to_string()))),
            None => None,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.add_up(now);
        if let Some(answered) = answered {
            state.take(answered);
        }
        if state.answer.is_none()
            && let Some(stretch) = state.next(now)
        {
            state.answer = Some(tokio::spawn(ask(self.prometheus.clone(), STRETCHES[stretch])));
        }
        match &state.trouble {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(state.sums.iter().map(|(ends, flow)| flow.told(ends)).collect()),
        }
    }
}

impl State {
    /// Adds what the latest rates mean until now.
    fn add_up(&mut self, now: Instant) {
        let since = self.until.replace(now);
        let seconds = since.map_or(0.0, |it| now.duration_since(it).as_secs_f64());
        for (ends, rate) in &self.rates {
            self.sums.entry(ends.clone()).or_default().add(rate, seconds);
        }
    }

    fn take(&mut self, answered: Result<Flows, String>) {
        match answered {
            Ok(rates) => {
                if self.sums.len() > PAIRS {
                    self.sums.retain(|ends, _| rates.contains_key(ends));
                }
                (self.rates, self.trouble) = (rates, None);
            }
            Err(why) => (self.rates, self.trouble) = (Flows::new(), Some(why)),
        }
    }

    /// The stretch to ask for, if it is time. Where there is nothing in one, the other may have something.
    fn next(&mut self, now: Instant) -> Option<usize> {
        let stretch = match self.asked {
            None => 0,
            Some((at, _)) if now.duration_since(at) < EVERY => return None,
            Some((_, last)) if self.rates.is_empty() => (last + 1) % STRETCHES.len(),
            Some((_, last)) => last,
        };
        self.asked = Some((now, stretch));
        Some(stretch)
    }
}

impl Flow {
    fn add(&mut self, rate: &Self, seconds: f64) {
        self.requests += rate.requests * seconds;
        self.failures += rate.failures * seconds;
        for (bound, rate) in &rate.durations {
            *self.durations.entry(*bound).or_default() += rate * seconds;
        }
    }

    fn told(&self, (source, destination): &(Workload, Destination)) -> Traffic {
        let mut duration = Histogram::default();
        let (mut counted, mut told) = (0.0, 0);
        for (bound, count) in &self.durations {
            // Rounded in sum, so that nothing is lost in many small buckets.
            counted += count;
            let all = counted as u64;
            duration.record_times(*bound, all - told);
            told = all;
        }
        let (requests, failures) = (self.requests as u64, self.failures as u64);
        Traffic {
            source: source.clone(),
            destination: destination.clone(),
            sent: Tally { requests, failures, duration, ..Tally::default() },
            ..Traffic::default()
        }
    }
}

/// Requests as their senders report them, and those of senders outside of the mesh as the receivers do.
async fn ask(prometheus: Prometheus, stretch: &str) -> Result<Flows, String> {
    let query = |metric: &str, more: &str| {
        let sum = |of: &str| format!("sum by ({ENDS}, {more}) (rate({metric}{{{of}}}[{stretch}]))");
        let [inside, outside] = [
            r#"reporter=~"source|waypoint""#,
            r#"reporter="destination",source_workload="unknown""#,
        ];
        format!("{} or {}", sum(inside), sum(outside))
    };
    let codes = "response_code, grpc_response_status, response_flags";
    let requests = prometheus.series(&query("istio_requests_total", codes)).await?;
    let durations = query("istio_request_duration_milliseconds_bucket", "le");
    let durations = prometheus.series(&durations).await?;
    Ok(flows(&requests, &durations))
}

fn flows(requests: &[(Value, f64)], durations: &[(Value, f64)]) -> Flows {
    let mut flows = Flows::new();
    for (labels, rate) in requests {
        let flow = flows.entry(ends(labels)).or_default();
        flow.requests += rate;
        flow.failures += if has_failed(labels) { *rate } else { 0.0 };
    }
    // By the sender, the bounds in their order.
    let mut cumulative: BTreeMap<_, BTreeMap<u64, f64>> = BTreeMap::new();
    for (labels, rate) in durations {
        if let Some(bound) = bound(labels) {
            *cumulative.entry(ends(labels)).or_default().entry(bound).or_default() += rate;
        }
    }
    for (ends, buckets) in cumulative {
        let Some(flow) = flows.get_mut(&ends) else { continue };
        let mut below = 0.0;
        for (bound, rate) in buckets {
            flow.durations.insert(bound, (rate - below).max(0.0));
            below = rate.max(below);
        }
    }
    flows
}

fn text<'l>(labels: &'l Value, name: &str) -> &'l str {
    labels[name].as_str().filter(|it| *it != "unknown").unwrap_or_default()
}

fn ends(labels: &Value) -> (Workload, Destination) {
    let workload = |side: &str| Workload {
        name: text(labels, &format!("{side}_workload")).into(),
        namespace: text(labels, &format!("{side}_workload_namespace")).into(),
        version: text(labels, &format!("{side}_version")).into(),
        ..Workload::default()
    };
    let destination = Destination {
        workload: workload("destination"),
        service_name: text(labels, "destination_service_name").into(),
        service_namespace: text(labels, "destination_service_namespace").into(),
        ..Destination::default()
    };
    (workload("source"), destination)
}

/// Whether requests with these labels failed by the server's doing. That the client went away (`DC`) says nothing of the server.
fn has_failed(labels: &Value) -> bool {
    let grpc = text(labels, "grpc_response_status");
    match text(labels, "response_code") {
        "0" => !text(labels, "response_flags").split(',').any(|flag| flag == "DC"),
        "200" => !grpc.is_empty() && grpc != "0",
        code => code.starts_with('5'),
    }
}

/// The upper end of a bucket in whole milliseconds; what is above all is as large as can be.
fn bound(labels: &Value) -> Option<u64> {
    match labels["le"].as_str()? {
        "+Inf" => Some(u64::MAX),
        bound => bound.parse::<f64>().ok().map(|bound| bound as u64),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(more: Value) -> Value {
        let mut labels = json!({
            "source_workload": "unknown", "destination_workload": "reviews-v1", "destination_workload_namespace": "shop",
            "destination_version": "v1", "destination_service_name": "reviews", "destination_service_namespace": "shop",
        });
        labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        labels
    }

    fn flow() -> Flows {
        let code = |code: &str, flags: &str, grpc: &str| {
            labels(
                json!({"response_code": code, "response_flags": flags, "grpc_response_status": grpc}),
            )
        };
        let requests = [
            (code("200", "-", ""), 7.5),
            (code("503", "UH", ""), 0.5),
            (code("0", "DC", ""), 1.0),
            (code("200", "-", "14"), 1.0),
        ];
        let bucket = |le: &str| labels(json!({"le": le}));
        let durations =
            [(bucket("+Inf"), 10.0), (bucket("0.5"), 0.0), (bucket("5"), 4.0), (bucket("10"), 9.5)];
        flows(&requests, &durations)
    }

    #[test]
    fn series_become_flows() {
        let flows = flow();
        let [((source, destination), flow)] = &flows.iter().collect::<Vec<_>>()[..] else {
            panic!("one flow: {flows:?}")
        };
        assert_eq!((&*source.name, &*destination.workload.name), ("", "reviews-v1"));
        assert_eq!(
            (&*destination.service_name, &*destination.service_namespace),
            ("reviews", "shop")
        );
        assert_eq!((flow.requests, flow.failures), (10.0, 1.5));
        let durations: Vec<_> =
            flow.durations.iter().map(|(bound, rate)| (*bound, *rate)).collect();
        assert_eq!(durations, [(0, 0.0), (5, 4.0), (10, 5.5), (u64::MAX, 0.5)]);
    }

    #[test]
    fn rates_add_up_to_numbers_that_only_grow() {
        let mut state = State::default();
        let start = Instant::now();
        state.add_up(start);
        state.take(Ok(flow()));
        let mut at = |seconds: u64| {
            state.add_up(start + Duration::from_secs(seconds));
            let ((ends, flow), None) =
                (state.sums.first_key_value().unwrap(), state.sums.iter().nth(1))
            else {
                panic!("one flow")
            };
            let told = flow.told(ends).sent;
            (told.requests, told.failures, told.duration.count())
        };
        assert_eq!(at(1), (10, 1, 10));
        assert_eq!(at(2), (20, 3, 20));
        assert_eq!(at(10), (100, 15, 100));
        // Prometheus goes away, and comes again without the pods of before.
        state.take(Err("gone".to_owned()));
        assert_eq!(state.trouble.as_deref(), Some("gone"));
        state.add_up(start + Duration::from_secs(60));
        state.take(Ok(Flows::new()));
        state.add_up(start + Duration::from_secs(61));
        assert_eq!(state.sums.first_key_value().unwrap().1.requests, 100.0);
        assert_eq!(state.trouble, None);
    }

    #[test]
    fn workloads_that_are_gone_are_forgotten_when_there_are_too_many() {
        let mut state = State::default();
        for number in 0..=PAIRS {
            let source = Workload { name: number.to_string().into(), ..Workload::default() };
            state.sums.insert((source, Destination::default()), Flow::default());
        }
        state.take(Ok(flow()));
        assert!(state.sums.is_empty());
    }

    #[test]
    fn a_longer_stretch_is_asked_for_where_there_is_nothing_in_the_shorter() {
        let mut state = State::default();
        let start = Instant::now();
        assert_eq!(state.next(start), Some(0));
        assert_eq!(state.next(start + Duration::from_secs(1)), None);
        assert_eq!(state.next(start + EVERY), Some(1));
        state.take(Ok(flow()));
        assert_eq!(state.next(start + 2 * EVERY), Some(1));
    }
}
