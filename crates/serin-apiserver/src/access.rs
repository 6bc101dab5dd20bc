//! Who may use the server: certificates, tokens, roles, and the file that tells users how to come in.
//!
//! Roles decide what someone may do; who is unknown is refused, but for what everyone may see.

pub(crate) mod attributes;
pub(crate) mod audit;
pub(crate) mod authn;
pub(crate) mod impersonation;
pub(crate) mod issue;
pub(crate) mod jwt;
mod kubeconfig;
pub(crate) mod pki;
pub(crate) mod rbac;
pub(crate) mod user;

pub use self::jwt::TokenKeyError;
pub use self::kubeconfig::{
    Access, KubeconfigError, remove as remove_kubeconfig, write as write_kubeconfig,
};
pub use self::pki::PkiError;
pub use self::user::User;
