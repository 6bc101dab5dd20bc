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
            $($(#[$doc])* $variant,)*
        }

        impl FieldName {
            /// The name that a lower-case text is.
            pub fn of(name: &[u8]) -> Self {
                match name {
                    $($text => Self::$variant,)*
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
    /// `cookie`.
    Cookie = b"cookie",
    /// `date`.
    Date = b"date",
    /// `expect`.
    Expect = b"expect",
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
    /// `x-envoy-…` of any kind is looked at by its full name; this is the attempt count.
    AttemptCount = b"x-envoy-attempt-count",
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
    /// Whether the field is for one connection only and never passed on (RFC 9110 §7.6.1). `te: trailers`, `upgrade` and
    /// the framing fields are written anew where they are wanted.
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::Http2Settings
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}
