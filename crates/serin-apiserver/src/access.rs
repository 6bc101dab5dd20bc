//! Who may use the server: certificates, the administrator's token, and the file that tells users how to come in.
//!
//! Only members of `system:masters` are let in. Roles are not enforced yet, and who cannot be judged is refused.

pub(crate) mod attributes;
pub(crate) mod authn;
mod kubeconfig;
pub(crate) mod pki;
pub(crate) mod user;

pub use self::kubeconfig::{
    Access, KubeconfigError, remove as remove_kubeconfig, write as write_kubeconfig,
};
pub use self::pki::PkiError;
pub use self::user::User;
