//! Rehearsal: what a plan would do. The real steps and the real verdict, in a simulated world, beside Flagger's rule on the
//! same traffic.

mod compare;
mod traffic;
mod world;

pub use compare::{Outcome, Report, Rule, Run, Setting, Spread, rehearse, run};
pub use traffic::Service;
pub use world::World;
