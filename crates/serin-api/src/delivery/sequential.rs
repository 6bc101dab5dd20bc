//! The verdict by evidence: what it is to hold, and what happens when there is not enough of it.

message! {
    /// A verdict by evidence that may be looked at as often as one likes. See docs/verdicts.md.
    pub struct SequentialAnalysis {
        /// Greatest probability of ever rolling back a version that is no worse. Absent is 0.01.
        pub alpha: Option<f64>,
        /// How many times the primary's error risk still counts as no worse. Absent is 1.
        pub tolerance: Option<f64>,
        /// No promotion without evidence of no harm. Absent asks for less than twice the risk with a probability of error
        /// of 0.05.
        pub gate: Option<SequentialGate>,
        /// What is counted. Absent is `session`.
        pub unit: SequentialUnit,
        /// What tells sessions apart, the first that a request has: `cookie:NAME`, `header:NAME`, `client` (the client's
        /// address), with commas between them. Absent is what the VirtualService's annotation `serin.dev/cohort` says; without
        /// either, each request counts as a session of its own.
        #[schemars(regex(pattern = "^ *((cookie|header):[!#-'*+.^_`|~0-9A-Za-z-]+|client)( *, *((cookie|header):[!#-'*+.^_`|~0-9A-Za-z-]+|client)){0,7} *$"))]
        pub session: String,
        /// So many units must reach the new version before it is promoted. Absent is 100.
        pub min_requests: Option<i64>,
        /// What happens when all steps are taken and the evidence is not enough.
        pub on_inconclusive: OnInconclusive,
        /// How long to gather more evidence at the last step before `onInconclusive` applies. Absent is ten times the interval.
        #[schemars(regex(pattern = "^([0-9]+(ms|s|m|h))+$"))]
        pub patience: String,
        /// Quantiles of latency that are compared. Absent are 0.5, 0.9 and 0.99; an empty list leaves latency out.
        pub quantiles: Option<Vec<f64>>,
        /// Share of errors, 0 to 1, that the new version must not exceed, whatever the primary does. Absent is no limit.
        pub error_ceiling: Option<f64>,
    }

    /// No promotion without evidence of no harm.
    pub struct SequentialGate {
        /// Promote without such evidence.
        pub disabled: bool,
        /// How many times the primary's risk must be ruled out. Absent is 2.
        pub ratio: Option<f64>,
        /// Greatest probability of promoting in spite of such a risk. Absent is 0.05.
        pub beta: Option<f64>,
    }

    /// How many users a version may reach before it has been decided about. At the limit the weight grows no further.
    pub struct MaxExposure {
        /// Requests in all.
        pub requests: Option<i64>,
        /// Percent of the users.
        pub users: Option<i32>,
    }
}

choice! {
    /// What is counted.
    pub enum SequentialUnit {
        /// Sessions or clients, each once however often it fails.
        Session = "session",
        /// Requests.
        Request = "request",
    }

    /// What happens when the evidence is not enough.
    pub enum OnInconclusive {
        /// Stay at the last step until there is enough, or someone decides.
        Hold = "hold",
        /// Promote: nothing speaks against it.
        Promote = "promote",
        /// Roll back: nothing speaks for it.
        Rollback = "rollback",
    }
}
