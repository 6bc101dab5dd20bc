//! The operators of format strings.

use std::borrow::Cow;

/// What an operator stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// The first of these headers that is there.
    RequestHeader(Vec<Box<str>>),
    ResponseHeader(Vec<Box<str>>),
    ResponseTrailer(Vec<Box<str>>),
    /// With its format.
    StartTime(Box<str>),
    Address(Address, AddressPart),
    /// The first value of a parameter of the query, as it was written.
    QueryParameter(Box<str>),
    Property(Property),
    /// What proxies have that run other filters than Serin's: nothing.
    Absent,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// The client, as far as its address is trusted.
    DownstreamRemote,
    /// The peer of the downstream connection.
    DownstreamDirectRemote,
    /// This side of the downstream connection.
    DownstreamLocal,
    /// The endpoint.
    UpstreamRemote,
    /// This side of the upstream connection.
    UpstreamLocal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressPart {
    All,
    Host,
    Port,
}

/// A value that is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its operator's name says, in the table below")]
pub enum Property {
    BytesReceived,
    BytesSent,
    ConnectionTerminationDetails,
    DownstreamLocalUriSan,
    DownstreamPeerFingerprint,
    DownstreamPeerIssuer,
    DownstreamPeerSerial,
    DownstreamPeerSubject,
    DownstreamPeerUriSan,
    DownstreamTlsCipher,
    DownstreamTlsVersion,
    Duration,
    GrpcStatus(GrpcStatusForm),
    Hostname,
    Protocol,
    RequestDuration,
    RequestHeadersBytes,
    RequestedServerName,
    ResponseCode,
    ResponseCodeDetails,
    ResponseDuration,
    ResponseFlags,
    ResponseFlagsLong,
    ResponseHeadersBytes,
    ResponseTxDuration,
    RouteName,
    StreamId,
    UpstreamCluster,
    UpstreamHost,
    UpstreamProtocol,
    UpstreamRequestAttemptCount,
    UpstreamTransportFailureReason,
    VirtualHostName,
}

/// How a status of gRPC is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcStatusForm {
    /// `InvalidArgument`.
    Camel,
    /// `INVALID_ARGUMENT`.
    Snake,
    /// `3`.
    Number,
}

/// Statuses of gRPC by number, in the two ways to write them.
const GRPC_STATUSES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

impl GrpcStatusForm {
    /// The status as it is written; one without a name as its number.
    pub fn text(self, status: u32) -> Cow<'static, str> {
        let names = usize::try_from(status).ok().and_then(|number| GRPC_STATUSES.get(number));
        match (self, names) {
            (Self::Camel, Some((camel, _))) => Cow::Borrowed(camel),
            (Self::Snake, Some((_, snake))) => Cow::Borrowed(snake),
            (Self::Number, _) | (_, None) => Cow::Owned(status.to_string()),
        }
    }
}

const PROPERTIES: &[(&str, Property)] = &[
    ("BYTES_RECEIVED", Property::BytesReceived),
    ("BYTES_SENT", Property::BytesSent),
    ("CONNECTION_TERMINATION_DETAILS", Property::ConnectionTerminationDetails),
    ("DOWNSTREAM_LOCAL_URI_SAN", Property::DownstreamLocalUriSan),
    ("DOWNSTREAM_PEER_FINGERPRINT_256", Property::DownstreamPeerFingerprint),
    ("DOWNSTREAM_PEER_ISSUER", Property::DownstreamPeerIssuer),
    ("DOWNSTREAM_PEER_SERIAL", Property::DownstreamPeerSerial),
    ("DOWNSTREAM_PEER_SUBJECT", Property::DownstreamPeerSubject),
    ("DOWNSTREAM_PEER_URI_SAN", Property::DownstreamPeerUriSan),
    ("DOWNSTREAM_TLS_CIPHER", Property::DownstreamTlsCipher),
    ("DOWNSTREAM_TLS_VERSION", Property::DownstreamTlsVersion),
    ("DURATION", Property::Duration),
    ("GRPC_STATUS", Property::GrpcStatus(GrpcStatusForm::Camel)),
    ("GRPC_STATUS_NUMBER", Property::GrpcStatus(GrpcStatusForm::Number)),
    ("HOSTNAME", Property::Hostname),
    ("PROTOCOL", Property::Protocol),
    ("REQUESTED_SERVER_NAME", Property::RequestedServerName),
    ("REQUEST_DURATION", Property::RequestDuration),
    ("REQUEST_HEADERS_BYTES", Property::RequestHeadersBytes),
    ("RESPONSE_CODE", Property::ResponseCode),
    ("RESPONSE_CODE_DETAILS", Property::ResponseCodeDetails),
    ("RESPONSE_DURATION", Property::ResponseDuration),
    ("RESPONSE_FLAGS", Property::ResponseFlags),
    ("RESPONSE_FLAGS_LONG", Property::ResponseFlagsLong),
    ("RESPONSE_HEADERS_BYTES", Property::ResponseHeadersBytes),
    ("RESPONSE_TX_DURATION", Property::ResponseTxDuration),
    ("ROUTE_NAME", Property::RouteName),
    ("STREAM_ID", Property::StreamId),
    ("UPSTREAM_CLUSTER", Property::UpstreamCluster),
    ("UPSTREAM_CLUSTER_RAW", Property::UpstreamCluster),
    ("UPSTREAM_HOST", Property::UpstreamHost),
    ("UPSTREAM_PROTOCOL", Property::UpstreamProtocol),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Property::UpstreamRequestAttemptCount),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", Property::UpstreamTransportFailureReason),
    ("VIRTUAL_HOST_NAME", Property::VirtualHostName),
];

/// Operators whose values other filters than Serin's would set, whatever is asked of them.
const ABSENT: [&str; 5] =
    ["CLUSTER_METADATA", "DYNAMIC_METADATA", "FILTER_STATE", "METADATA", "UPSTREAM_METADATA"];

/// `…_ADDRESS`, `…_ADDRESS_WITHOUT_PORT` and `…_PORT` of each.
const ADDRESSES: &[(&str, Address)] = &[
    ("DOWNSTREAM_REMOTE", Address::DownstreamRemote),
    ("DOWNSTREAM_DIRECT_REMOTE", Address::DownstreamDirectRemote),
    ("DOWNSTREAM_LOCAL", Address::DownstreamLocal),
    ("UPSTREAM_REMOTE", Address::UpstreamRemote),
    ("UPSTREAM_LOCAL", Address::UpstreamLocal),
];

impl Operator {
    /// The operator of a name and its argument; `None` if there is none.
    pub(super) fn new(name: &str, argument: Option<&str>) -> Option<Self> {
        match (name, argument) {
            ("REQ", Some(headers)) => header_names(headers).map(Self::RequestHeader),
            ("RESP", Some(headers)) => header_names(headers).map(Self::ResponseHeader),
            ("TRAILER", Some(names)) => header_names(names).map(Self::ResponseTrailer),
            ("START_TIME", format) => Some(Self::StartTime(format.unwrap_or_default().into())),
            ("QUERY_PARAM", Some(name)) if !name.is_empty() => {
                Some(Self::QueryParameter(name.into()))
            }
            ("GRPC_STATUS", Some(form)) => {
                grpc_status_form(form).map(|form| Self::Property(Property::GrpcStatus(form)))
            }
            (name, Some(_)) if ABSENT.contains(&name) => Some(Self::Absent),
            ("VIRTUAL_CLUSTER_NAME", None) => Some(Self::Absent),
            (_, None) => address(name).or_else(|| property(name)),
            (_, Some(_)) => None,
        }
    }
}

fn grpc_status_form(text: &str) -> Option<GrpcStatusForm> {
    match text {
        "CAMEL_STRING" => Some(GrpcStatusForm::Camel),
        "SNAKE_STRING" => Some(GrpcStatusForm::Snake),
        "NUMBER" => Some(GrpcStatusForm::Number),
        _ => None,
    }
}

fn header_names(argument: &str) -> Option<Vec<Box<str>>> {
    let names: Vec<Box<str>> =
        argument.splitn(2, '?').map(|name| name.to_ascii_lowercase().into()).collect();
    names.iter().all(|name| !name.is_empty()).then_some(names)
}

fn address(name: &str) -> Option<Operator> {
    ADDRESSES.iter().find_map(|(base, address)| {
        let part = match name.strip_prefix(base)? {
            "_ADDRESS" => AddressPart::All,
            "_ADDRESS_WITHOUT_PORT" => AddressPart::Host,
            "_PORT" => AddressPart::Port,
            _ => return None,
        };
        Some(Operator::Address(*address, part))
    })
}

fn property(name: &str) -> Option<Operator> {
    let (_, property) = PROPERTIES.iter().find(|(candidate, _)| *candidate == name)?;
    Some(Operator::Property(*property))
}

/// An operator as it is written: `NAME(argument):length%`.
pub(super) struct Call<'t> {
    pub(super) name: &'t str,
    pub(super) argument: Option<&'t str>,
    pub(super) max_length: Option<usize>,
    /// What follows.
    pub(super) rest: &'t str,
}

impl<'t> Call<'t> {
    /// Takes a call off the text behind its first percent sign.
    pub(super) fn split(text: &'t str) -> Option<Self> {
        let is_name = |character: char| {
            character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_'
        };
        let name_end = text.find(|character| !is_name(character)).filter(|end| *end > 0)?;
        let (name, mut rest) = text.split_at(name_end);
        let mut argument = None;
        if let Some(after) = rest.strip_prefix('(') {
            let (inside, after) = after.split_once(')')?;
            argument = Some(inside);
            rest = after;
        }
        let mut max_length = None;
        if let Some(after) = rest.strip_prefix(':') {
            let digits = after.find('%')?;
            max_length = Some(after[..digits].parse().ok()?);
            rest = &after[digits..];
        }
        Some(Self { name, argument, max_length, rest: rest.strip_prefix('%')? })
    }
}
