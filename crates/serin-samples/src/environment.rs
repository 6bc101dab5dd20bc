//! The variables that a sample is set up by.
//!
//! A copy of the process's environment rather than the environment itself, so that several samples with different settings can run in
//! one process. Flags of the command line become variables, too: what can be said in a manifest and what can be typed is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::misbehave::duration;
use crate::sample::BadSample;

/// How long any service may take that a sample calls.
const TIMEOUT: &str = "SERIN_SAMPLE_TIMEOUT";

/// Names and values, as a container gets them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. What is not UTF-8 is made so.
    pub fn of_process() -> Self {
        let text = |it: std::ffi::OsString| it.to_string_lossy().into_owned();
        std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// Sets a variable, in the place of one that was set before.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// A variable. One that is empty counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of these that is set.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Whether a variable says `true`.
    pub(crate) fn is_true(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The name of this instance: `HOSTNAME`, or what the system calls itself. In a pod both are the pod's name.
    pub(crate) fn instance(&self) -> String {
        if let Some(name) = self.get("HOSTNAME") {
            return name.to_owned();
        }
        let system = std::fs::read_to_string("/proc/sys/kernel/hostname");
        system.map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
    }

    /// How long a service may take that a sample calls: `SERIN_SAMPLE_TIMEOUT`, or what is usual for it.
    pub(crate) fn timeout(&self, usual: Duration) -> Result<Duration, BadSample> {
        let Some(value) = self.get(TIMEOUT) else { return Ok(usual) };
        duration(value)
            .filter(|it| !it.is_zero())
            .ok_or_else(|| BadSample::Timeout { variable: TIMEOUT, value: value.to_owned() })
    }

    /// The version that a sample plays: the flag's, or what a sample's own variable says.
    pub(crate) fn version(&self, own: &str) -> Option<&str> {
        self.first(&["SERIN_SAMPLE_VERSION", own])
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
