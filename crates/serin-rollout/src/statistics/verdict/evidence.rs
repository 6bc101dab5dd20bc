//! What the evidence is, in numbers and in words: what was seen, what it is worth, and what would change the verdict.

use serde::{Deserialize, Serialize};

use super::{Gate, Sequential, Verdict, together};

/// Errors at once that are thought through to tell how far an abort is.
const MOST_ERRORS: u64 = 10_000;

/// The name of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TestName {
    /// Errors of users' requests, relative to the primary.
    Errors,
    /// Slow answers to users, relative to the primary.
    Latency,
    /// Errors of mirrored requests, pair by pair.
    MirroredErrors,
    /// Slow answers to mirrored requests, pair by pair.
    MirroredLatency,
    /// The canary's errors against the ceiling.
    Ceiling,
}

/// What one test says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestEvidence {
    /// Which test.
    pub name: TestName,
    /// The logarithm of its evidence that the canary is worse; 0 is none, below 0 speaks for the canary.
    pub log_e: f64,
    /// Its share of the budget, 0 to 1.
    pub weight: f64,
}

/// What the promotion gate says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateEvidence {
    /// The relative risk that is to be ruled out.
    pub ratio: f64,
    /// The logarithm of the evidence against it.
    pub log_e: f64,
    /// What the logarithm must reach.
    pub threshold: f64,
}

/// A version in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArmEvidence {
    /// Units counted.
    pub units: u64,
    /// Of these, errors.
    pub errors: u64,
    /// The least error rate that is in keeping with the counts at all times, with 95 % confidence.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

/// All there is to say at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// What it comes to.
    pub verdict: Verdict,
    /// The logarithm of all evidence that the canary is worse.
    pub log_e: f64,
    /// The greatest it ever was.
    pub peak_log_e: f64,
    /// The canary is aborted when `peak_log_e` reaches this.
    pub threshold: f64,
    /// The always-valid p-value: the probability of evidence as strong as the strongest, were the canary no worse.
    pub p_value: f64,
    /// The tests that have a part in it.
    pub tests: Vec<TestEvidence>,
    /// The promotion gate, if there is one.
    pub gate: Option<GateEvidence>,
    /// The new version.
    pub canary: ArmEvidence,
    /// The version that users have, over the same time.
    pub primary: ArmEvidence,
    /// What would change the verdict, one sentence each.
    pub outlook: Vec<String>,
}

impl Sequential {
    /// What was seen, what it is worth, and what would change the verdict.
    pub fn evidence(&self) -> Evidence {
        let used = self.tests().into_iter().filter(|(_, part, _)| *part > 0.0);
        let parts: f64 = used.clone().map(|(_, part, _)| part).sum();
        let [canary, primary] = self.arms();
        Evidence {
            verdict: self.verdict(),
            log_e: self.log_e(),
            peak_log_e: self.peak,
            threshold: self.threshold(),
            p_value: (-self.peak).exp().min(1.0),
            tests: used
                .map(|(name, part, log_e)| TestEvidence { name, log_e, weight: part / parts })
                .collect(),
            gate: self.gate_evidence(),
            canary,
            primary,
            outlook: self.outlook(),
        }
    }

    /// What speaks most against the canary, in words.
    pub fn complaint(&self) -> String {
        let used = self.tests().into_iter().filter(|(_, part, _)| *part > 0.0);
        let strongest = used.max_by(|(_, _, a), (_, _, b)| a.total_cmp(b)).map(|(name, _, _)| name);
        let (canary, primary) = (self.canary, self.primary);
        let failed = format!(
            "{} of {} units failed, {} of {} of the primary",
            canary.bad, canary.total, primary.bad, primary.total
        );
        match strongest {
            Some(TestName::MirroredErrors) => {
                let (canary, primary) = self.mirrored_errors.pairs();
                format!(
                    "{canary} copies failed that the primary answered well, {primary} the other way round"
                )
            }
            Some(TestName::MirroredLatency) => {
                let (canary, primary) = self.mirrored_latency.pairs();
                format!(
                    "{canary} copies took a quarter longer than the primary, {primary} the other way round"
                )
            }
            Some(TestName::Latency) => match self.latency.strongest() {
                Some((quantile, limit)) => {
                    let percent = (1.0 - quantile) * 100.0;
                    format!(
                        "far more than {percent:.0} % of its answers take longer than {limit:.0} ms, which {percent:.0} % of the primary's do; {failed}"
                    )
                }
                None => failed,
            },
            Some(TestName::Ceiling) => match self.policy.ceiling {
                Some(ceiling) => format!("{failed}; at most {} % may", ceiling * 100.0),
                None => failed,
            },
            Some(TestName::Errors) | None => failed,
        }
    }

    fn gate_evidence(&self) -> Option<GateEvidence> {
        let (gate, Gate { ratio, beta }) = (self.gate.as_ref()?, self.policy.gate?);
        Some(GateEvidence { ratio, log_e: gate.log_e(), threshold: -beta.ln() })
    }

    fn outlook(&self) -> Vec<String> {
        if self.is_abort() {
            return vec![
                "the verdict is final; a new revision begins with new evidence".to_owned(),
            ];
        }
        let mut outlook = Vec::new();
        let errors = self.errors_to_abort();
        if let Some(errors) = errors {
            outlook.push(format!(
                "{errors} more {} of the canary in a row, with none of the primary, would abort",
                if errors == 1 { "error" } else { "errors" }
            ));
        }
        if let Some(missing) =
            self.policy.least_units.checked_sub(self.canary.total).filter(|it| *it > 0)
        {
            outlook.push(format!(
                "{missing} more units must reach the canary before it may be promoted"
            ));
        }
        if !self.is_gate_passed() {
            outlook.push(self.gate_outlook());
        }
        outlook
    }

    /// How many errors of the canary at once, at its present share of the traffic, would end it.
    fn errors_to_abort(&self) -> Option<u64> {
        let (canary, primary) = self.share;
        let tests = self.tests();
        let after = |more: u64| {
            let mut tests = tests;
            tests[0].2 = self.errors.log_e_after(more, canary, primary);
            together(tests)
        };
        if after(MOST_ERRORS) < self.threshold() {
            return None;
        }
        // The evidence grows with each error, so the number can be searched by halves.
        let (mut low, mut high) = (0, MOST_ERRORS);
        while high - low > 1 {
            let middle = u64::midpoint(low, high);
            if after(middle) < self.threshold() { low = middle } else { high = middle }
        }
        Some(high)
    }

    /// How much more traffic of the same kind the gate needs.
    fn gate_outlook(&self) -> String {
        let (Some(gate), Some(Gate { ratio, beta })) = (&self.gate, self.policy.gate) else {
            return String::new();
        };
        let (canary, primary) = self.share;
        let bad = self.canary.bad + self.primary.bad;
        let units = self.canary.total + self.primary.total;
        let gain = gate.gain_per_bad(1.0, canary, primary);
        let missing = (-beta.ln() - gate.log_e()) / gain;
        if bad == 0 || !missing.is_finite() {
            return format!(
                "nothing rules out {ratio} times the primary's error rate yet: without any errors the versions cannot be \
                 told apart"
            );
        }
        let more = missing * units as f64 / bad as f64;
        format!(
            "about {more:.0} more units of both versions are needed to rule out {ratio} times the primary's error rate, if \
             they are equally good"
        )
    }
}
