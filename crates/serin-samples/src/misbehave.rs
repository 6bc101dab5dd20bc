//! What goes wrong on purpose: errors, latency, load, crashes, leaks, and not being ready.
//!
//! Set up by variables (`SERIN_SAMPLE_ERRORS=5%`), and changed at run time by `POST /misbehave` with a form
//! (`errors=5%&delay=200ms`) or a JSON object of the same names. `GET` tells the settings, `DELETE` forgets them. Requests for
//! `/misbehave` and for health never suffer.
//!
//! | name | meaning | values |
//! |---|---|---|
//! | `errors` | share of requests that get an error | `5%`, `0.05` |
//! | `status` | which error | 400 to 599; 500 if not set |
//! | `delay` | added to every answer | `200ms`, `1.5s` |
//! | `jitter` | the delay varies evenly by this, both ways | `50ms` |
//! | `burn` | processor time burnt for every request | `10ms` |
//! | `crash_after` | crashes at this request, or after this time; `0` crashes never | `100`, `30s` |
//! | `leak` | memory that every request leaves behind | `64KiB`, `1MiB` |
//! | `ready` | whether `/health` is well | `true`, `false` |

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::environment::Environment;
use crate::message::{Call, Reply, error, json as json_reply, wrong_method};

/// The names of the settings, and with this before them in capitals those of the variables.
const VARIABLES: &str = "SERIN_SAMPLE_";
const SETTINGS: [&str; 8] =
    ["errors", "status", "delay", "jitter", "burn", "crash_after", "leak", "ready"];
/// All that may leak, whatever is asked for: enough to be noticed, not enough to end a machine.
const MAX_LEAKED: usize = 4 << 30;

/// A setting that is not one, or has a value that it cannot have.
#[derive(Debug, thiserror::Error)]
pub enum BadSetting {
    /// The name is of no setting.
    #[error("there is no setting `{0}`; there are {names}", names = SETTINGS.join(", "))]
    Name(String),
    /// The value is none that the setting can have.
    #[error("`{name}` cannot be `{value}`; an example of what it can be is {example}")]
    Value {
        /// The setting.
        name: String,
        /// What was given.
        value: String,
        /// A value that is right.
        example: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum CrashAfter {
    Requests(u64),
    Time(Duration),
}

/// What shall go wrong.
#[derive(Clone, Debug, PartialEq)]
struct Settings {
    errors: f64,
    status: StatusCode,
    delay: Duration,
    jitter: Duration,
    burn: Duration,
    crash_after: Option<CrashAfter>,
    leak: usize,
    ready: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            errors: 0.0,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            burn: Duration::ZERO,
            crash_after: None,
            leak: 0,
            ready: true,
        }
    }
}

impl Settings {
    fn set(&mut self, name: &str, value: &str) -> Result<(), BadSetting> {
        let (read, example) = match name {
            "errors" => (share(value).map(|it| self.errors = it), "5%"),
            "status" => (failure(value).map(|it| self.status = it), "503"),
            "delay" => (duration(value).map(|it| self.delay = it), "200ms"),
            "jitter" => (duration(value).map(|it| self.jitter = it), "50ms"),
            "burn" => (duration(value).map(|it| self.burn = it), "10ms"),
            "crash_after" => (crash_after(value).map(|it| self.crash_after = it), "100 or 30s"),
            "leak" => (size(value).map(|it| self.leak = it), "1MiB"),
            "ready" => (value.parse().ok().map(|it| self.ready = it), "false"),
            _ => return Err(BadSetting::Name(name.to_owned())),
        };
        let bad = || BadSetting::Value { name: name.to_owned(), value: value.to_owned(), example };
        read.ok_or_else(bad)
    }

    fn to_json(&self) -> Value {
        let crash_after = match self.crash_after {
            None => "0".to_owned(),
            Some(CrashAfter::Requests(requests)) => requests.to_string(),
            Some(CrashAfter::Time(time)) => format!("{time:?}"),
        };
        json!({
            "errors": format!("{}%", self.errors * 100.0),
            "status": self.status.as_u16(),
            "delay": format!("{:?}", self.delay),
            "jitter": format!("{:?}", self.jitter),
            "burn": format!("{:?}", self.burn),
            "crash_after": crash_after,
            "leak": self.leak,
            "ready": self.ready,
        })
    }
}

/// The settings of a running sample, and what has come of them.
#[derive(Debug)]
pub(crate) struct Misbehaviour {
    state: Mutex<State>,
    crashed: Notify,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    settings: Settings,
    /// When the settings were last changed, and the requests since.
    since: Instant,
    requests: u64,
    leaked: Vec<Vec<u8>>,
    random: StdRng,
}

impl Misbehaviour {
    /// As the variables say. `SERIN_SAMPLE_SEED`, a number, makes the draws the same in every run.
    pub(crate) fn new(environment: &Environment) -> Result<Self, BadSetting> {
        let mut settings = Settings::default();
        for name in SETTINGS {
            if let Some(value) = environment.get(&format!("{VARIABLES}{}", name.to_uppercase())) {
                settings.set(name, value)?;
            }
        }
        let seed = environment.get("SERIN_SAMPLE_SEED").and_then(|seed| seed.parse().ok());
        let state = State {
            settings,
            since: Instant::now(),
            requests: 0,
            leaked: Vec::new(),
            random: StdRng::seed_from_u64(seed.unwrap_or_else(rand::random)),
        };
        Ok(Self { state: Mutex::new(state), crashed: Notify::new(), changed: Notify::new() })
    }

    /// Whether health is well, as far as the settings are concerned.
    pub(crate) fn is_ready(&self) -> bool {
        self.state().settings.ready
    }

    /// Lets a request suffer what the settings say. An answer means that the service is not asked.
    pub(crate) async fn suffer(&self) -> Option<Reply> {
        let (delay, burn, failure) = {
            let mut state = self.state();
            state.requests += 1;
            if state.settings.crash_after == Some(CrashAfter::Requests(state.requests)) {
                self.crashed.notify_one();
            }
            state.leak();
            (state.delay(), state.settings.burn, state.failure())
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let start = Instant::now();
        while start.elapsed() < burn {
            std::hint::spin_loop();
        }
        failure.map(|status| error(status, "misbehaving on request"))
    }

    /// Ends when it is time to crash.
    pub(crate) async fn crash(&self) {
        loop {
            let left = {
                let state = self.state();
                match state.settings.crash_after {
                    Some(CrashAfter::Time(time)) => {
                        Some(time.saturating_sub(state.since.elapsed()))
                    }
                    Some(CrashAfter::Requests(_)) | None => None,
                }
            };
            tokio::select! {
                () = self.crashed.notified() => return,
                () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => return,
                () = self.changed.notified() => {}
            }
        }
    }

    /// Answers a request for `/misbehave`.
    pub(crate) fn administer(&self, call: &Call) -> Reply {
        let change = match call.method {
            Method::GET => None,
            Method::POST | Method::PUT => Some(self.changed_by(&call.body)),
            Method::DELETE => Some(Ok(Settings::default())),
            _ => return wrong_method(),
        };
        match change.transpose() {
            Err(bad) => return error(StatusCode::BAD_REQUEST, &bad.to_string()),
            Ok(Some(settings)) => self.change(settings),
            Ok(None) => {}
        }
        let state = self.state();
        let mut told = state.settings.to_json();
        told["requests"] = state.requests.into();
        told["leaked"] = state.leaked.iter().map(Vec::len).sum::<usize>().into();
        json_reply(StatusCode::OK, &told)
    }

    fn changed_by(&self, body: &[u8]) -> Result<Settings, BadSetting> {
        let mut settings = self.state().settings.clone();
        if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
            for (name, value) in fields {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                settings.set(&name, &text)?;
            }
        } else {
            for (name, value) in form_urlencoded::parse(body) {
                // A percent sign that nobody encoded is more likely than one that somebody did.
                settings.set(&name, value.trim())?;
            }
        }
        Ok(settings)
    }

    fn change(&self, settings: Settings) {
        let mut state = self.state();
        if settings.leak == 0 {
            state.leaked = Vec::new();
        }
        state.settings = settings;
        state.since = Instant::now();
        state.requests = 0;
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment: what a panicking thread leaves behind is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn leak(&mut self) {
        let size = self.settings.leak;
        let leaked: usize = self.leaked.iter().map(Vec::len).sum();
        if size > 0 && leaked + size <= MAX_LEAKED {
            // Not zero, or the system would not give memory for it.
            self.leaked.push(vec![1; size]);
        }
    }

    fn delay(&mut self) -> Duration {
        let Settings { delay, jitter, .. } = self.settings;
        if jitter.is_zero() {
            return delay;
        }
        let least = delay.saturating_sub(jitter);
        least + (delay + jitter - least).mul_f64(self.random.random::<f64>())
    }

    fn failure(&mut self) -> Option<StatusCode> {
        let fails =
            self.settings.errors > 0.0 && self.random.random::<f64>() < self.settings.errors;
        fails.then_some(self.settings.status)
    }
}

fn share(text: &str) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

fn failure(text: &str) -> Option<StatusCode> {
    let status: StatusCode = text.parse().ok()?;
    (status.is_client_error() || status.is_server_error()).then_some(status)
}

fn crash_after(text: &str) -> Option<Option<CrashAfter>> {
    if let Ok(requests) = text.parse::<u64>() {
        return Some((requests > 0).then_some(CrashAfter::Requests(requests)));
    }
    duration(text).map(|time| Some(CrashAfter::Time(time)))
}

/// At most a day.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 0.001), ("us", 0.000_001), ("s", 1.0), ("m", 60.0)];
    let (number, unit) =
        match units.iter().find_map(|(unit, it)| Some((text.strip_suffix(unit)?, it))) {
            Some(it) => it,
            None if text == "0" => return Some(Duration::ZERO),
            None => return None,
        };
    let seconds = number.parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds).ok().filter(|it| *it <= Duration::from_secs(24 * 3600))
}

fn size(text: &str) -> Option<usize> {
    let units = [("KiB", 10), ("Ki", 10), ("MiB", 20), ("Mi", 20), ("GiB", 30), ("Gi", 30)];
    let (number, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((text, 0));
    let size = number.trim().parse::<usize>().ok()?.checked_mul(1 << shift)?;
    (size <= MAX_LEAKED).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_written() {
        let check = |name: &str, value: &str, expect: Option<Value>| {
            let mut settings = Settings::default();
            let got = settings.set(name, value).ok().map(|()| settings.to_json()[name].clone());
            assert_eq!(got, expect, "{name}={value}");
        };
        let is = Some;
        check("errors", "5%", is(json!("5%")));
        check("errors", "0.25", is(json!("25%")));
        check("errors", "101%", None);
        check("errors", "-1%", None);
        check("errors", "NaN", None);
        check("status", "503", is(json!(503)));
        check("status", "200", None);
        check("delay", "200ms", is(json!("200ms")));
        check("delay", "1.5s", is(json!("1.5s")));
        check("delay", "200", None);
        check("delay", "-1s", None);
        check("delay", "9999999m", None);
        check("crash_after", "100", is(json!("100")));
        check("crash_after", "30s", is(json!("30s")));
        check("crash_after", "0", is(json!("0")));
        check("leak", "1MiB", is(json!(1 << 20)));
        check("leak", "99999999GiB", None);
        check("ready", "false", is(json!(false)));
        check("ready", "no", None);
        check("speed", "1", None);
    }

    #[test]
    fn a_bad_variable_is_told_with_an_example() {
        let environment = Environment::from_iter([("SERIN_SAMPLE_DELAY", "soon")]);
        let error = Misbehaviour::new(&environment).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`delay` cannot be `soon`; an example of what it can be is 200ms"
        );
    }
}
