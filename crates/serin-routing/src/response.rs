//! Answers that the proxy gives itself: status, response flags, details, and what gRPC clients get.
//!
//! One table for everybody: decisions, the data plane and the access log. Flags and details are those of Envoy's access
//! log (`%RESPONSE_FLAGS%`, `%RESPONSE_CODE_DETAILS%`), which dashboards and scripts read.

use std::fmt;

use crate::authentication::Refusal;

/// Why a request was not answered by an upstream, or how it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// The client went away.
    DownstreamConnectionTermination,
    /// The client broke the protocol.
    DownstreamProtocolError,
    /// The request took longer than allowed, or than its stream may.
    DurationTimeout,
    /// A delay was injected.
    DelayInjected,
    /// An abort was injected.
    FaultInjected,
    /// A header made no sense.
    InvalidEnvoyHeader,
    /// This side reset the stream.
    LocalReset,
    /// The cluster does not exist.
    NoClusterFound,
    /// No endpoint is healthy.
    NoHealthyUpstream,
    /// No rule takes the request.
    NoRouteFound,
    /// Over a rate limit.
    RateLimited,
    /// The stream was idle for too long.
    StreamIdleTimeout,
    /// An external service denied it.
    UnauthorizedExternalService,
    /// The upstream closed the connection.
    UpstreamConnectionTermination,
    /// No connection to the upstream.
    UpstreamConnectionFailure,
    /// The circuit breaker is open.
    UpstreamOverflow,
    /// The upstream broke the protocol.
    UpstreamProtocolError,
    /// The upstream reset the stream.
    UpstreamRemoteReset,
    /// The upstream took too long.
    UpstreamRequestTimeout,
    /// All retries were used up, or a retry was not allowed.
    UpstreamRetryLimitExceeded,
    /// The stream lasted longer than allowed.
    UpstreamMaxStreamDurationReached,
    /// The overload manager refused it.
    OverloadManager,
}

impl Flag {
    /// All flags.
    pub const ALL: [Self; 22] = [
        Self::NoHealthyUpstream,
        Self::UpstreamRequestTimeout,
        Self::LocalReset,
        Self::UpstreamRemoteReset,
        Self::UpstreamConnectionFailure,
        Self::UpstreamConnectionTermination,
        Self::UpstreamOverflow,
        Self::NoRouteFound,
        Self::DelayInjected,
        Self::FaultInjected,
        Self::RateLimited,
        Self::UnauthorizedExternalService,
        Self::DownstreamConnectionTermination,
        Self::UpstreamRetryLimitExceeded,
        Self::StreamIdleTimeout,
        Self::InvalidEnvoyHeader,
        Self::DownstreamProtocolError,
        Self::UpstreamMaxStreamDurationReached,
        Self::NoClusterFound,
        Self::DurationTimeout,
        Self::UpstreamProtocolError,
        Self::OverloadManager,
    ];

    /// As the access log shows it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::DownstreamConnectionTermination => "DC",
            Self::DownstreamProtocolError => "DPE",
            Self::DurationTimeout => "DT",
            Self::DelayInjected => "DI",
            Self::FaultInjected => "FI",
            Self::InvalidEnvoyHeader => "IH",
            Self::LocalReset => "LR",
            Self::NoClusterFound => "NC",
            Self::NoHealthyUpstream => "UH",
            Self::NoRouteFound => "NR",
            Self::RateLimited => "RL",
            Self::StreamIdleTimeout => "SI",
            Self::UnauthorizedExternalService => "UAEX",
            Self::UpstreamConnectionTermination => "UC",
            Self::UpstreamConnectionFailure => "UF",
            Self::UpstreamOverflow => "UO",
            Self::UpstreamProtocolError => "UPE",
            Self::UpstreamRemoteReset => "UR",
            Self::UpstreamRequestTimeout => "UT",
            Self::UpstreamRetryLimitExceeded => "URX",
            Self::UpstreamMaxStreamDurationReached => "UMSDR",
            Self::OverloadManager => "OM",
        }
    }
}

impl Flag {
    /// As the access log shows it in full.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DownstreamConnectionTermination => "DownstreamConnectionTermination",
            Self::DownstreamProtocolError => "DownstreamProtocolError",
            Self::DurationTimeout => "DurationTimeout",
            Self::DelayInjected => "DelayInjected",
            Self::FaultInjected => "FaultInjected",
            Self::InvalidEnvoyHeader => "InvalidEnvoyRequestHeaders",
            Self::LocalReset => "LocalReset",
            Self::NoClusterFound => "NoClusterFound",
            Self::NoHealthyUpstream => "NoHealthyUpstream",
            Self::NoRouteFound => "NoRouteFound",
            Self::RateLimited => "RateLimited",
            Self::StreamIdleTimeout => "StreamIdleTimeout",
            Self::UnauthorizedExternalService => "UnauthorizedExternalService",
            Self::UpstreamConnectionTermination => "UpstreamConnectionTermination",
            Self::UpstreamConnectionFailure => "UpstreamConnectionFailure",
            Self::UpstreamOverflow => "UpstreamOverflow",
            Self::UpstreamProtocolError => "UpstreamProtocolError",
            Self::UpstreamRemoteReset => "UpstreamRemoteReset",
            Self::UpstreamRequestTimeout => "UpstreamRequestTimeout",
            Self::UpstreamRetryLimitExceeded => "UpstreamRetryLimitExceeded",
            Self::UpstreamMaxStreamDurationReached => "UpstreamMaxStreamDurationReached",
            Self::OverloadManager => "OverloadManagerTerminated",
        }
    }
}

/// The flags of one request, in the order in which they came to be, which is Envoy's: `URX,UF` where tries ran out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flags(u32);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// Bits of one flag: its number, counted from one.
    const BITS: u32 = 5;
    /// Flags that there is room for; no request has more than a few.
    const ROOM: u32 = u32::BITS / Self::BITS;

    /// These flags and one more.
    #[must_use]
    pub const fn with(self, flag: Flag) -> Self {
        let end = self.len();
        if self.contains(flag) || end == Self::ROOM {
            return self;
        }
        Self(self.0 | (flag as u32 + 1) << (end * Self::BITS))
    }

    /// Whether a flag is among them.
    pub const fn contains(self, flag: Flag) -> bool {
        let mut place = 0;
        while place < Self::ROOM {
            if self.number(place) == flag as u32 + 1 {
                return true;
            }
            place += 1;
        }
        false
    }

    /// The flags, the first first.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        (0..self.len()).filter_map(move |place| {
            Flag::ALL.into_iter().find(|flag| *flag as u32 + 1 == self.number(place))
        })
    }

    /// How many there are.
    const fn len(self) -> u32 {
        (u32::BITS - self.0.leading_zeros()).div_ceil(Self::BITS)
    }

    const fn number(self, place: u32) -> u32 {
        self.0 >> (place * Self::BITS) & ((1 << Self::BITS) - 1)
    }
}

impl fmt::Display for Flags {
    /// `URX,UF`; `-` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, flag) in self.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{}", flag.code())?;
        }
        if *self == Self::NONE { f.write_str("-") } else { Ok(()) }
    }
}

/// What kept a request from being answered by an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No virtual host for the authority, or no rule for the request.
    RouteNotFound,
    /// The chosen cluster does not exist; with the status of its rule.
    ClusterNotFound(u16),
    /// No endpoint of the cluster can be used.
    NoHealthyUpstream,
    /// The circuit breaker is open.
    Overflow,
    /// No connection could be made.
    ConnectFailure,
    /// Connecting took too long.
    ConnectTimeout,
    /// The connection broke before a response.
    ConnectionTermination,
    /// The upstream reset the stream before a response.
    RemoteReset,
    /// The upstream refused the stream: it has not looked at the request.
    RefusedStream,
    /// The upstream's response made no sense.
    UpstreamProtocolError,
    /// The whole request took too long.
    ResponseTimeout,
    /// A try took too long.
    PerTryTimeout,
    /// Nothing moved for too long, before a response; with 408 while the request is being received, 504 after that.
    StreamIdleTimeout(u16),
    /// The request lasted longer than allowed, before a response.
    DurationTimeout,
    /// A fault was injected.
    FaultAbort {
        /// The status.
        status: u16,
        /// The gRPC status, if the fault names one.
        grpc_status: Option<u8>,
    },
    /// Over a rate limit.
    RateLimited,
    /// An authorization policy denied it.
    AccessDenied,
    /// Its token is refused.
    Unauthenticated(Refusal),
    /// An upgrade that the rule does not pass on.
    UpgradeFailed,
    /// `CONNECT` where no rule is for tunnels.
    NoTunnel,
    /// The request's head is over the limits.
    HeadersTooLarge,
    /// The request's body does not fit in the buffer.
    PayloadTooLarge,
    /// The request's body is malformed.
    MalformedBody {
        /// The status.
        status: u16,
        /// What is wrong, as Envoy's response code details have it.
        details: &'static str,
    },
}

/// How an upstream's answer ended before its end, when its head had gone downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenOff {
    /// The connection broke.
    Closed,
    /// What came was no body, or not all of it before an orderly end.
    Malformed,
    /// The upstream reset the stream.
    Reset,
}

impl BrokenOff {
    /// The flag for the log, and `%RESPONSE_CODE_DETAILS%`.
    pub const fn told(self) -> (Flag, &'static str) {
        match self {
            Self::Closed => (
                Flag::UpstreamConnectionTermination,
                "upstream_reset_after_response_started{connection_termination}",
            ),
            Self::Malformed => (
                Flag::UpstreamProtocolError,
                "upstream_reset_after_response_started{protocol_error}",
            ),
            Self::Reset => {
                (Flag::UpstreamRemoteReset, "upstream_reset_after_response_started{remote_reset}")
            }
        }
    }
}

/// An answer of the proxy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status, for clients that do not speak gRPC.
    pub status: u16,
    /// The flag for the log, if there is one.
    pub flag: Option<Flag>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
    /// The body, which gRPC clients get as their message.
    pub body: &'static str,
    /// The gRPC status, for clients that speak it; their HTTP status is 200.
    pub grpc_status: u8,
}

impl Failure {
    /// Whether nothing that follows on the request's connection can be understood.
    pub const fn ends_connection(self) -> bool {
        matches!(self, Self::MalformedBody { .. } | Self::UpgradeFailed | Self::NoTunnel)
    }

    /// The answer.
    pub const fn reply(self) -> Reply {
        let (status, flag, details, body) = self.row();
        let grpc_status = match self {
            Self::FaultAbort { grpc_status: Some(grpc_status), .. } => grpc_status,
            _ => grpc_status_of(status),
        };
        Reply { status, flag, details, body, grpc_status }
    }

    #[expect(clippy::too_many_lines, reason = "it is a table")]
    const fn row(self) -> (u16, Option<Flag>, &'static str, &'static str) {
        match self {
            Self::RouteNotFound => (404, Some(Flag::NoRouteFound), "route_not_found", ""),
            Self::ClusterNotFound(status) => {
                (status, Some(Flag::NoClusterFound), "cluster_not_found", "")
            }
            Self::NoHealthyUpstream => {
                (503, Some(Flag::NoHealthyUpstream), "no_healthy_upstream", "no healthy upstream")
            }
            Self::Overflow => (
                503,
                Some(Flag::UpstreamOverflow),
                "upstream_reset_before_response_started{overflow}",
                "too many requests or connections to the upstream (circuit breaker)",
            ),
            Self::ConnectFailure => (
                503,
                Some(Flag::UpstreamConnectionFailure),
                "upstream_reset_before_response_started{remote_connection_failure}",
                "no connection to the upstream",
            ),
            Self::ConnectTimeout => (
                503,
                Some(Flag::UpstreamConnectionFailure),
                "upstream_reset_before_response_started{connection_timeout}",
                "no connection to the upstream in time",
            ),
            Self::ConnectionTermination => (
                503,
                Some(Flag::UpstreamConnectionTermination),
                "upstream_reset_before_response_started{connection_termination}",
                "the upstream closed the connection before it answered",
            ),
            Self::RemoteReset => (
                503,
                Some(Flag::UpstreamRemoteReset),
                "upstream_reset_before_response_started{remote_reset}",
                "the upstream reset the request before it answered",
            ),
            Self::RefusedStream => (
                503,
                Some(Flag::UpstreamRemoteReset),
                "upstream_reset_before_response_started{remote_refused_stream_reset}",
                "the upstream refused the request",
            ),
            Self::UpstreamProtocolError => (
                502,
                Some(Flag::UpstreamProtocolError),
                "upstream_reset_before_response_started{protocol_error}",
                "the upstream's answer is malformed",
            ),
            Self::ResponseTimeout => (
                504,
                Some(Flag::UpstreamRequestTimeout),
                "response_timeout",
                "upstream request timeout",
            ),
            Self::PerTryTimeout => (
                504,
                Some(Flag::UpstreamRequestTimeout),
                "upstream_per_try_timeout",
                "upstream request timeout",
            ),
            Self::StreamIdleTimeout(status) => {
                (status, Some(Flag::StreamIdleTimeout), "stream_idle_timeout", "stream timeout")
            }
            Self::DurationTimeout => (
                504,
                Some(Flag::DurationTimeout),
                "duration_timeout",
                "the request took longer than it may",
            ),
            Self::FaultAbort { status, .. } => {
                (status, Some(Flag::FaultInjected), "fault_filter_abort", "fault filter abort")
            }
            Self::RateLimited => (429, Some(Flag::RateLimited), "request_rate_limited", ""),
            Self::AccessDenied => (403, None, "rbac_access_denied", "RBAC: access denied"),
            Self::Unauthenticated(refusal) => {
                (refusal.status(), None, refusal.details(), refusal.text())
            }
            Self::UpgradeFailed => (403, None, "upgrade_failed", ""),
            Self::NoTunnel => (404, Some(Flag::NoRouteFound), "route_not_found", ""),
            Self::HeadersTooLarge => {
                (431, Some(Flag::DownstreamProtocolError), "http1.headers_too_large", "")
            }
            Self::PayloadTooLarge => {
                (413, None, "request_payload_too_large", "the request's body is too large")
            }
            Self::MalformedBody { status, details } => {
                (status, Some(Flag::DownstreamProtocolError), details, "the body is malformed")
            }
        }
    }
}

/// The gRPC status for an HTTP status (gRPC's "HTTP to gRPC status code mapping").
pub const fn grpc_status_of(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_place_and_code() {
        for flag in Flag::ALL {
            let only = Flags::NONE.with(flag);
            assert_eq!(only.to_string(), flag.code());
            assert!(Flag::ALL.into_iter().all(|other| only.contains(other) == (other == flag)));
        }
    }

    #[test]
    fn several_flags_are_listed_as_they_came() {
        let flags = Flags::NONE
            .with(Flag::UpstreamRetryLimitExceeded)
            .with(Flag::UpstreamConnectionFailure)
            .with(Flag::UpstreamRetryLimitExceeded);
        assert_eq!(flags.to_string(), "URX,UF");
        assert_eq!(Flags::NONE.to_string(), "-");
        let all = Flag::ALL.into_iter().fold(Flags::NONE, Flags::with);
        assert!(all.iter().eq(Flag::ALL.into_iter().take(6)), "{all}");
    }

    #[test]
    fn failures_answer_as_envoy_does() {
        let check = |failure: Failure, status: u16, flag: &str, details: &str, grpc_status: u8| {
            let reply = failure.reply();
            let code = reply.flag.map_or("-", Flag::code);
            assert_eq!(
                (reply.status, code, reply.details, reply.grpc_status),
                (status, flag, details, grpc_status)
            );
        };
        check(Failure::RouteNotFound, 404, "NR", "route_not_found", 12);
        check(Failure::ClusterNotFound(503), 503, "NC", "cluster_not_found", 14);
        check(Failure::ClusterNotFound(500), 500, "NC", "cluster_not_found", 2);
        check(Failure::NoHealthyUpstream, 503, "UH", "no_healthy_upstream", 14);
        check(Failure::ResponseTimeout, 504, "UT", "response_timeout", 14);
        let abort = |status, grpc_status| Failure::FaultAbort { status, grpc_status };
        check(abort(418, None), 418, "FI", "fault_filter_abort", 2);
        check(abort(200, Some(5)), 200, "FI", "fault_filter_abort", 5);
    }
}
