//! What tests share: real programs to talk to, and processes that end with their test.
//!
//! Only tests and benchmarks use it. It panics where they would, with what was missing or went wrong.

mod process;
pub mod tools;

pub use process::Process;

/// Time after which a test gives up waiting for something that will not come. Generous: only failures take so long.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);
