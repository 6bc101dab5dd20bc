//! In which ways a port may be spoken to (Istio's `getFilterChainMatchOptions`).

use serin_routing::model::TransportProtocol;

use crate::mesh::chains::PLAIN_HTTP;
use crate::mesh::peer_authentication::Mode;
use crate::registry::Protocol;

/// ALPN by which another sidecar says that it carries HTTP over mutual TLS.
const MESH_HTTP: &[&str] = &["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// ALPN by which it says that it carries bytes.
const MESH_BYTES: &[&str] = &["istio-peer-exchange", "istio"];
/// ALPN by which it says that this is the mesh's TLS, and not the application's own.
const MESH: &[&str] =
    &["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// One way to speak to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) transport: TransportProtocol,
    pub(super) alpn: &'static [&'static str],
    /// The proxy reads requests; otherwise it passes bytes on.
    pub(super) is_http: bool,
    /// The proxy terminates the TLS, which is the mesh's.
    pub(super) terminates: bool,
}

const fn plain(alpn: &'static [&'static str], is_http: bool) -> Way {
    Way { transport: TransportProtocol::Plain, alpn, is_http, terminates: false }
}

const fn mesh(alpn: &'static [&'static str], is_http: bool) -> Way {
    Way { transport: TransportProtocol::Tls, alpn, is_http, terminates: true }
}

/// TLS that is the application's own, taken for what the port speaks.
const fn foreign(is_http: bool) -> Way {
    Way { transport: TransportProtocol::Tls, alpn: &[], is_http, terminates: false }
}

/// The ways for a port that speaks `protocol`, if the workload takes mutual TLS by `mode`.
///
/// Where there is no mutual TLS, Istio does not look whether a connection is TLS, and takes it for plain text; here that is
/// said by a way of its own.
pub(super) fn ways(mode: Mode, protocol: Protocol) -> Vec<Way> {
    let (is_http, is_auto) = (protocol.is_http(), protocol.is_sniffed());
    match mode {
        Mode::Strict if is_http => vec![mesh(&[], true)],
        Mode::Strict if is_auto => vec![mesh(MESH_HTTP, true), mesh(&[], false)],
        Mode::Strict => vec![mesh(&[], false)],
        // A port declared as HTTP has no use for the application's own TLS.
        Mode::Permissive if is_http => vec![mesh(MESH, true), plain(&[], true)],
        Mode::Permissive if is_auto => vec![
            mesh(MESH_HTTP, true),
            plain(&PLAIN_HTTP, true),
            mesh(MESH_BYTES, false),
            plain(&[], false),
            foreign(false),
        ],
        Mode::Permissive => vec![mesh(MESH, false), plain(&[], false), foreign(false)],
        Mode::Disable if is_http => vec![plain(&[], true), foreign(true)],
        Mode::Disable if is_auto => {
            vec![plain(&PLAIN_HTTP, true), plain(&[], false), foreign(false)]
        }
        Mode::Disable => vec![plain(&[], false), foreign(false)],
    }
}
