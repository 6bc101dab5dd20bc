//! `x-forwarded-client-cert`: what the upstream is told about the client's certificate (Envoy's rules).

use serin_routing::model::{ClientCertificates, HttpConnection};

use crate::request::Request;
use crate::tls::{PeerCertificate, TlsFacts};

const HEADER: &[u8] = b"x-forwarded-client-cert";

/// Removes, keeps, sets or lengthens the header.
pub(super) fn forward_certificate(request: &mut Request, http: &HttpConnection) {
    if http.client_certificates == ClientCertificates::AlwaysForwardOnly {
        return;
    }
    let tls = request.tls.clone();
    let shown = tls.as_ref().and_then(|tls| Some((tls, tls.peer.as_ref()?)));
    let Some((tls, peer)) =
        shown.filter(|_| http.client_certificates != ClientCertificates::Sanitize)
    else {
        return request.headers.remove(HEADER);
    };
    let own = || element(tls, peer, http.use_remote_address);
    match http.client_certificates {
        ClientCertificates::AppendForward => {
            let mut list = request.headers.find(HEADER).unwrap_or_default().to_vec();
            if !list.is_empty() {
                list.push(b',');
            }
            list.extend_from_slice(own().as_bytes());
            request.headers.set(HEADER, &list);
        }
        ClientCertificates::SanitizeSet => request.headers.set(HEADER, own().as_bytes()),
        ClientCertificates::Sanitize
        | ClientCertificates::ForwardOnly
        | ClientCertificates::AlwaysForwardOnly => {}
    }
}

/// What is said about a certificate: at the edge all of it (Istio's gateways), inside whose it is.
fn element(tls: &TlsFacts, peer: &PeerCertificate, is_edge: bool) -> String {
    let mut parts: Vec<String> = tls.local_uris.iter().map(|uri| format!("By={uri}")).collect();
    parts.push(format!("Hash={}", peer.fingerprint));
    if is_edge {
        parts.push(format!("Cert=\"{}\"", peer.pem));
    }
    parts.push(format!("Subject=\"{}\"", peer.subject.replace('"', "\\\"")));
    match &*peer.uris {
        [] => parts.push("URI=".to_owned()),
        uris => parts.extend(uris.iter().map(|uri| format!("URI={uri}"))),
    }
    if is_edge {
        parts.extend(peer.dns_names.iter().map(|name| format!("DNS={name}")));
    }
    parts.join(";")
}
