//! Releases: what a canary does next, and whether it is any worse than what it replaces.
//!
//! The crate decides and does nothing. [`step()`] takes what was, what is observed and the time, and answers with what is to
//! be done and what is now. What is to be done is safe to do twice: a crash between any two actions is made good by the
//! next step, from the state that was stored. Where something must be unpredictable, the caller brings a number.

mod action;
pub mod alerts;
pub mod configs;
pub mod facts;
pub mod metrics;
mod observation;
pub mod plan;
pub mod random;
pub mod rehearse;
pub mod routes;
mod state;
pub mod statistics;
mod step;
mod time;
mod version;

pub use action::{Action, Severity, Side};
pub use observation::{
    About, Answer, Command, Member, Observation, Proxies, Question, Readiness, Traffic, Workload,
};
pub use plan::{Dialect, Plan};
pub use state::{Cookies, Decision, Phase, Routes, State};
pub use step::{Outlook, Step, step};
pub use time::{Span, Time};
pub use version::{Destination, Version, primary_name};
