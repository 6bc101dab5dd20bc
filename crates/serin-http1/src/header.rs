//! Header fields as offsets into a buffer, and the names that a proxy acts on.

/// A header field: where its name and value stand in the buffer of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which name it is, if it is one that matters here.
    pub known: FieldName,
    pub(crate) name_start: u32,
    pub(crate) name_end: u32,
    pub(crate) value_start: u32,
    pub(crate) value_end: u32,
}

impl Field {
    /// The name, in lower case.
    pub fn name<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        slice(buffer, self.name_start, self.name_end)
    }

    /// The value without the white space around it.
    pub fn value<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        slice(buffer, self.value_start, self.value_end)
    }

    /// Where the name stands in the buffer.
    pub const fn name_range(&self) -> (u32, u32) {
        (self.name_start, self.name_end)
    }

    /// Where the value stands in the buffer.
    pub const fn value_range(&self) -> (u32, u32) {
        (self.value_start, self.value_end)
    }
}

pub(crate) fn slice(buffer: &[u8], start: u32, end: u32) -> &[u8] {
    buffer.get(start as usize..end as usize).unwrap_or_default()
}

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// Names of header fields that a proxy acts on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum FieldName {
            /// Any other name.
            Other,
            /// `x-envoy-…` of any other kind: looked at by its full name, but rarely there at all.
            Envoy,
            $($(#[$doc])* $variant,)*
        }

        impl FieldName {
            /// The name that a lower-case text is. Known at compile time for a text that is.
            #[inline]
            pub fn of(name: &[u8]) -> Self {
                match name {
                    $($text => Self::$variant,)*
                    _ if name.starts_with(b"x-envoy-") => Self::Envoy,
                    _ => Self::Other,
                }
            }
        }
    };
}

names! {
    /// `connection`: names what is for this hop only.
    Connection = b"connection",
    /// `content-length`.
    ContentLength = b"content-length",
    /// `content-type`: tells gRPC.
    ContentType = b"content-type",
    /// `cookie`.
    Cookie = b"cookie",
    /// `date`.
    Date = b"date",
    /// `expect`.
    Expect = b"expect",
    /// `grpc-status`.
    GrpcStatus = b"grpc-status",
    /// `grpc-timeout`.
    GrpcTimeout = b"grpc-timeout",
    /// `host`.
    Host = b"host",
    /// `http2-settings`, of the upgrade to HTTP/2 in clear text, which is not offered.
    Http2Settings = b"http2-settings",
    /// `keep-alive`.
    KeepAlive = b"keep-alive",
    /// `proxy-connection`.
    ProxyConnection = b"proxy-connection",
    /// `server`.
    Server = b"server",
    /// `te`.
    Te = b"te",
    /// `trailer`.
    Trailer = b"trailer",
    /// `transfer-encoding`.
    TransferEncoding = b"transfer-encoding",
    /// `upgrade`.
    Upgrade = b"upgrade",
    /// `x-envoy-attempt-count`, which each request upstream has.
    EnvoyAttemptCount = b"x-envoy-attempt-count",
    /// `x-envoy-external-address`, which each request through a gateway has.
    EnvoyExternalAddress = b"x-envoy-external-address",
    /// `x-envoy-upstream-service-time`, which each answer of an upstream has.
    EnvoyServiceTime = b"x-envoy-upstream-service-time",
    /// `x-forwarded-client-cert`.
    ForwardedClientCert = b"x-forwarded-client-cert",
    /// `x-forwarded-for`.
    ForwardedFor = b"x-forwarded-for",
    /// `x-forwarded-host`.
    ForwardedHost = b"x-forwarded-host",
    /// `x-forwarded-proto`.
    ForwardedProto = b"x-forwarded-proto",
    /// `x-request-id`.
    RequestId = b"x-request-id",
}

impl FieldName {
    /// Whether it stands for one name, so that the text need not be compared.
    pub const fn is_one_name(self) -> bool {
        !matches!(self, Self::Other | Self::Envoy)
    }

    /// Whether the field is for one connection only and never passed on (RFC 9110 §7.6.1). `te: trailers`, `upgrade` and
    /// the framing fields are written anew where they are wanted.
    pub const fn is_hop_by_hop(self) -> bool {
        FieldNames::HOP_BY_HOP.has(self)
    }
}

/// A set of names, to know at once that a field is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldNames(u32);

impl FieldNames {
    /// All that are [for one connection only](FieldName::is_hop_by_hop).
    pub const HOP_BY_HOP: Self = Self::of(&[
        FieldName::Connection,
        FieldName::Http2Settings,
        FieldName::KeepAlive,
        FieldName::ProxyConnection,
        FieldName::Te,
        FieldName::TransferEncoding,
        FieldName::Upgrade,
    ]);

    /// The set of these names.
    pub const fn of(names: &[FieldName]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < names.len() {
            set |= 1 << names[at] as u32;
            at += 1;
        }
        Self(set)
    }

    /// Adds a name.
    pub const fn insert(&mut self, name: FieldName) {
        self.0 |= 1 << name as u32;
    }

    /// Whether the name is among them.
    pub const fn has(self, name: FieldName) -> bool {
        self.0 & (1 << name as u32) != 0
    }

    /// Whether any of `others` is among them.
    pub const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_names_knows_which_are_in_it() {
        let mut set = FieldNames::default();
        set.insert(FieldName::RequestId);
        assert!(set.has(FieldName::RequestId) && !set.has(FieldName::Other));
        assert!(!set.has_any(FieldNames::HOP_BY_HOP));
        set.insert(FieldName::Te);
        assert!(set.has_any(FieldNames::HOP_BY_HOP));
    }

    #[test]
    fn names_of_envoys_are_told_apart_from_others() {
        assert_eq!(FieldName::of(b"x-envoy-max-retries"), FieldName::Envoy);
        assert_eq!(FieldName::of(b"x-envoy-attempt-count"), FieldName::EnvoyAttemptCount);
        assert_eq!(FieldName::of(b"x-envoys"), FieldName::Other);
        assert_eq!(FieldName::of(b"host"), FieldName::Host);
    }
}
