//! A picture of evidence as it grows, from the code that releases are judged by.

use std::fmt::Write as _;

use serin_rollout::random::Random;
use serin_rollout::statistics::{Arm, Counts, Interval, Policy, Sequential};

/// A panel, in pixels.
const WIDTH: f64 = 340.0;
/// The same.
const HEIGHT: f64 = 220.0;
/// Seconds that are shown.
const SECONDS: u32 = 60;
/// What is shown of the evidence, as powers of ten.
const SHOWN: (f64, f64) = (-3.0, 4.0);
/// Releases of each kind.
const RELEASES: u64 = 20;
/// The share of the new version, of all requests.
const SHARE: f64 = 0.2;
/// The old version's errors.
const ERRORS: f64 = 0.01;

/// Good and bad releases, with much traffic and with little.
pub(super) fn of_evidence() -> String {
    let style = "text{font:12px system-ui,sans-serif;fill:#57606a}.axis{stroke:#8c959f;stroke-width:1}\
        .good,.bad{fill:none;stroke-width:1.2;stroke-opacity:.75}.good{stroke:#1a7f64}.bad{stroke:#cf222e}\
        .limit{stroke:#57606a;stroke-dasharray:5 4}";
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 820 300\" role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">Evidence against 20 good and 20 bad versions over a minute. At 200 requests a second the bad ones cross the \
         limit of 100 within seconds, the good ones stay below. At 2 requests a second nothing is decided.</title>\n\
         <style>{style}</style>\n"
    );
    for (left, rate) in [(60.0, 200.0), (460.0, 2.0)] {
        panel(&mut svg, left, rate);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Releases with so many requests a second.
fn panel(svg: &mut String, left: f64, rate: f64) {
    let top = 40.0;
    let bottom = top + HEIGHT;
    let y = |power: f64| bottom - (power - SHOWN.0) / (SHOWN.1 - SHOWN.0) * HEIGHT;
    // Writing to a string does not fail.
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"24\">{rate} requests a second</text>");
    for (power, label) in [(-2.0, "1/100"), (0.0, "1"), (2.0, "100")] {
        let (x, y) = (left - 8.0, y(power) + 4.0);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>");
    }
    for seconds in [0, 30, 60] {
        let x = left + f64::from(seconds) / f64::from(SECONDS) * WIDTH;
        let (y, unit) = (bottom + 18.0, if seconds == 60 { " s" } else { "" });
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{seconds}{unit}</text>"
        );
    }
    for (class, errors) in [("good", ERRORS), ("bad", ERRORS * 5.0)] {
        for seed in 0..RELEASES {
            let points = points(rate, errors, seed).into_iter().map(|(second, power)| {
                let x = left + f64::from(second) / f64::from(SECONDS) * WIDTH;
                format!("{x:.1},{:.1}", y(power.clamp(SHOWN.0, SHOWN.1)))
            });
            let points: Vec<String> = points.collect();
            let _ = writeln!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
        }
    }
    let (right, limit) = (left + WIDTH, y(2.0));
    let _ = writeln!(
        svg,
        "<path class=\"axis\" d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\"/>\n\
         <path class=\"limit\" d=\"M{left} {limit:.1}H{right}\"/>\n\
         <text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">rolled back above this line</text>",
        limit - 6.0
    );
}

/// The evidence against one version, second by second, as a power of ten, until it is rolled back.
fn points(rate: f64, errors: f64, seed: u64) -> Vec<(u32, f64)> {
    let mut random = Random::new(seed + 1);
    let policy = Policy { quantiles: Vec::new(), ..Policy::default() };
    let mut evidence = Sequential::new(policy);
    let mut points = vec![(0, 0.0)];
    for second in 1..=SECONDS {
        let mut arm = |share: f64, errors: f64| {
            let requests = random.poisson(rate * share);
            let failed = random.binomial(requests, errors);
            Arm { counts: Counts::new(requests, failed), ..Arm::default() }
        };
        let canary = arm(SHARE, errors);
        let primary = arm(1.0 - SHARE, ERRORS);
        evidence.observe(&Interval { canary, primary });
        points.push((second, evidence.log_e() / std::f64::consts::LN_10));
        if evidence.is_abort() {
            break;
        }
    }
    points
}
