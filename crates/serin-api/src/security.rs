//! Istio's security kinds (`security.istio.io`): mutual TLS, authorization, and authentication of requests.

mod authorization_policy;
mod peer_authentication;
mod request_authentication;

pub use authorization_policy::*;
pub use peer_authentication::*;
pub use request_authentication::*;
