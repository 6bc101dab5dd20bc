//! How a benchmark is asked, what it prints, and how it ends.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

/// The plan that the arguments ask for; `None` as a test, where all there is to find out is that it builds.
pub(crate) fn asked<P>(words: &[&str], full: P, quick: P) -> Option<P> {
    match words {
        ["--bench"] => Some(full),
        ["--quick", "--bench"] | ["--bench", "--quick"] => Some(quick),
        _ => None,
    }
}

/// The end of the process.
pub(crate) fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a sample.
pub(crate) fn sample(case: &str, metric: &str, unit: &str, value: f64) {
    let sample =
        json!({"case": case, "subject": "serin", "metric": metric, "unit": unit, "value": value});
    println!("{sample}");
}

/// The sample below which a part of all lies, in milliseconds.
pub(crate) fn quantile(samples: &mut [Duration], part: f64) -> f64 {
    samples.sort();
    let last = samples.len().saturating_sub(1);
    let place = (last as f64 * part).round() as usize;
    samples.get(place).map_or(f64::NAN, |it| it.as_secs_f64() * 1e3)
}
