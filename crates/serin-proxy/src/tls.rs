//! TLS: certificates and their rotation, terminating it for clients, originating it towards endpoints.
//!
//! Made once for a version of the model and shared by the cores; a version that changes neither settings nor certificates takes
//! over what there was, so that tickets of sessions stay good. rustls does the protocol; what is here is what the model asks of it.

mod certificates;
mod cipher;
mod client;
mod peer;
mod server;
mod verify;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

pub use certificates::{Certificates, Pem};
pub(crate) use client::ClientTls;
pub(crate) use peer::{PeerCertificate, TlsFacts};
pub(crate) use server::{AcceptError, ServerTls};

/// The one source of cryptography.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    &PROVIDER
}

/// Why a certificate, a set of authorities or what is to be made of them cannot be used. What was in force stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TlsError {
    /// Nothing is known under the name.
    #[error("{0} does not exist")]
    Missing(String),
    /// A file cannot be read.
    #[error("{file} cannot be read: {error}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        error: String,
    },
    /// The content is not what it should be.
    #[error("{origin}: {reason}")]
    Invalid {
        /// Where it comes from.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The settings ask for what there is not.
    #[error("{0}")]
    Settings(String),
}
