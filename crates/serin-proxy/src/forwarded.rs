//! Who the client is, and what the upstream is told about it: `x-forwarded-*`, `x-request-id` and Envoy's own headers.
//!
//! At the edge nothing that a client says about itself is believed (Envoy's `use_remote_address`).

mod certificate;

use std::net::{IpAddr, SocketAddr};

use rand_core::Rng;
use serin_http1::{FieldName, FieldNames, write_ipv4};
use serin_routing::model::HttpConnection;

use crate::request::Request;

use certificate::forward_certificate;

/// Headers by which a trusted client steers Envoy's router; from strangers they are removed.
const STEERING: [&[u8]; 18] = [
    b"x-envoy-decorator-operation",
    b"x-envoy-downstream-service-cluster",
    b"x-envoy-downstream-service-node",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-force-trace",
    b"x-envoy-hedge-on-per-try-timeout",
    b"x-envoy-ip-tags",
    b"x-envoy-max-retries",
    b"x-envoy-original-path",
    b"x-envoy-original-url",
    b"x-envoy-retriable-header-names",
    b"x-envoy-retriable-status-codes",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-retry-on",
    b"x-envoy-upstream-alt-stat-name",
    b"x-envoy-upstream-rq-per-try-timeout-ms",
    b"x-envoy-upstream-rq-timeout-alt-response",
    b"x-envoy-upstream-rq-timeout-ms",
];

/// Completes a request's headers, and finds the client's address.
pub(crate) fn identify(
    request: &mut Request,
    http: &HttpConnection,
    peer: Option<SocketAddr>,
    is_tls: bool,
    random: &mut impl Rng,
) {
    request.secure = is_tls;
    request.downstream.direct_remote = peer;
    request.downstream.remote = peer;
    // No address is internal unless Envoy is told which are, and Istio tells it none.
    let is_external = http.use_remote_address;
    // Several lines are one list (RFC 9110 §5.3).
    request.headers.join(FieldName::ForwardedFor, b",");
    if http.use_remote_address {
        trust_peer(request, http, peer);
    } else {
        trust_client(request, peer);
    }
    forward_certificate(request, http);
    let has_id = request.headers.known(FieldName::RequestId).is_some_and(|id| !id.is_empty());
    if !has_id || is_external {
        let id = request_id(random);
        request.headers.set(b"x-request-id", &id);
    }
    if is_external {
        let envoys = FieldNames::of(&[FieldName::Envoy]);
        request.headers.remove_any(envoys, |name| STEERING.contains(&name));
    }
}

/// At the edge: the peer is the client, or the proxy that speaks for it if so many are trusted.
fn trust_peer(request: &mut Request, http: &HttpConnection, peer: Option<SocketAddr>) {
    let Some(peer) = peer else { return };
    let reported = request.headers.span(FieldName::ForwardedFor).filter(|it| !it.is_empty());
    if http.trusted_hops > 0 {
        let hops = usize::try_from(http.trusted_hops).unwrap_or(usize::MAX);
        let addresses = reported.map(|it| request.headers.text(it)).unwrap_or_default();
        let mut addresses = addresses.rsplit(|&byte| byte == b',');
        let client = addresses.nth(hops - 1).map(<[u8]>::trim_ascii).and_then(address);
        request.downstream.remote = client.map(|ip| SocketAddr::new(ip, 0)).or(Some(peer));
    } else {
        request.headers.set(b"x-forwarded-proto", if request.secure { b"https" } else { b"http" });
    }
    if request.headers.known(FieldName::ForwardedProto).is_none() {
        request
            .headers
            .append(b"x-forwarded-proto", if request.secure { b"https" } else { b"http" });
    }
    request.headers.set_with(b"x-forwarded-for", |arena| {
        if let Some(reported) = reported {
            arena.extend_from_within(reported.range());
            arena.push(b',');
        }
        write_address(arena, peer.ip());
    });
    let client = request.downstream.remote.map_or(peer.ip(), |remote| remote.ip());
    request.headers.remove(b"x-envoy-internal");
    request.headers.set_with(b"x-envoy-external-address", |arena| write_address(arena, client));
}

/// Writes an address. That of version 4 without the formatter's detours, for each request has two.
fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => write_ipv4(out, address.octets()),
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

/// Inside the mesh: what the client's proxy says is believed.
fn trust_client(request: &mut Request, peer: Option<SocketAddr>) {
    match request.headers.known(FieldName::ForwardedProto) {
        Some(scheme) => request.secure = scheme == b"https",
        None => request
            .headers
            .append(b"x-forwarded-proto", if request.secure { b"https" } else { b"http" }),
    }
    let reported = request.headers.known(FieldName::ForwardedFor).unwrap_or_default();
    let last = reported.rsplit(|&byte| byte == b',').next().unwrap_or_default();
    request.downstream.remote =
        address(last.trim_ascii()).map(|ip| SocketAddr::new(ip, 0)).or(peer);
}

fn address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A random UUID (RFC 9562 version 4).
fn request_id(random: &mut impl Rng) -> [u8; 36] {
    let high = random.next_u64() & !(0xf << 12) | (4 << 12);
    let low = random.next_u64() & !(0x3 << 62) | (2 << 62);
    let [a, b, c, d] =
        [(high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32].map(hexadecimal);
    let mut id = [b'-'; 36];
    id[..8].copy_from_slice(&a);
    id[9..13].copy_from_slice(&b[..4]);
    id[14..18].copy_from_slice(&b[4..]);
    id[19..23].copy_from_slice(&c[..4]);
    id[24..28].copy_from_slice(&c[4..]);
    id[28..].copy_from_slice(&d);
    id
}

/// The eight digits of a number, all at once: each of them in a byte of its own.
const fn hexadecimal(number: u32) -> [u8; 8] {
    let halves = number as u64 | (number as u64) << 16;
    let bytes = halves & 0x0000_ffff_0000_ffff;
    let bytes = (bytes | bytes << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One where the digit is a letter: those stand further on in ASCII.
    let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    let text = digits + 0x3030_3030_3030_3030 + letters * (b'a' - b'0' - 10) as u64;
    text.to_be_bytes()
}
