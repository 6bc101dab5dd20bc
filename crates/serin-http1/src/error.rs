//! What can be wrong with a message, and how it is answered.

/// A message that is not read. Every one of them ends the connection, since what follows on it cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request line is not `method SP target SP version`.
    #[error("the request line is malformed")]
    RequestLine,
    /// The status line is not `version SP code SP reason`.
    #[error("the status line is malformed")]
    StatusLine,
    /// The version is not HTTP/1.0 or HTTP/1.1.
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// A line ends in a line feed without a carriage return, or has a carriage return inside.
    #[error("a line does not end in CR LF")]
    LineEnd,
    /// A header's name is empty or has a character that is no token character (a space before the colon, for example).
    #[error("a header name is not a token")]
    FieldName,
    /// A header's value has a control character.
    #[error("a header value has a control character")]
    FieldValue,
    /// A header goes on in the next line (obsolete folding).
    #[error("a header value is folded over lines")]
    Folding,
    /// The head is longer than the limit.
    #[error("the head is too long")]
    HeadTooLong,
    /// There are more headers than the limit.
    #[error("there are too many headers")]
    TooManyFields,
    /// There is no `host`, more than one, or it is not a valid authority.
    #[error("the host header is missing, repeated or not valid")]
    Host,
    /// The request target is in none of the four forms, or does not fit the method.
    #[error("the request target is not valid")]
    Target,
    /// The target's scheme is `https`, and the connection is not secure.
    #[error("the scheme does not fit the connection")]
    Scheme,
    /// `content-length` is not a number, or stands more than once.
    #[error("the content length is not one number")]
    ContentLength,
    /// `content-length` and `transfer-encoding` together, or `transfer-encoding` in HTTP/1.0.
    #[error("the length of the body is ambiguous")]
    Ambiguous,
    /// A response that cannot have a body, by its status 1xx or 204, declares one (RFC 9110 §8.6, RFC 9112 §6.1).
    #[error("a response that has no body declares one")]
    UnwantedBody,
    /// A response switches to a protocol that was not asked for, or does not say to which (RFC 9110 §15.2.2).
    #[error("a response switches to a protocol that was not asked for")]
    UnwantedSwitch,
    /// A transfer coding other than `chunked`, or `chunked` not last and once.
    #[error("the transfer encoding is not supported")]
    TransferEncoding,
    /// A chunk's size is not a hexadecimal number, too large, or not ended by CR LF.
    #[error("a chunk is malformed")]
    Chunk,
    /// The trailer section is malformed or has a field that may not stand there.
    #[error("the trailers are malformed")]
    Trailer,
}

impl Error {
    /// The status that answers a request with this error (RFC 9110 §15, RFC 6585 §5).
    pub const fn status(self) -> u16 {
        match self {
            Self::HeadTooLong | Self::TooManyFields => 431,
            Self::Scheme => 403,
            Self::TransferEncoding => 501,
            Self::Version => 505,
            _ => 400,
        }
    }

    /// Envoy's response code details for it, as far as Envoy tells them apart.
    pub const fn details(self) -> &'static str {
        match self {
            Self::HeadTooLong => "http1.headers_too_large",
            Self::TooManyFields => "http1.too_many_headers",
            Self::TransferEncoding => "http1.invalid_transfer_encoding",
            Self::Ambiguous => "http1.content_length_and_chunked_not_allowed",
            Self::Host => "missing_host_header",
            Self::FieldValue => "http1.invalid_characters",
            _ => "http1.codec_error",
        }
    }
}
