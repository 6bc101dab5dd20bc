//! Which authorities may have issued a backend's certificate.

use serin_api::gateway_api::BackendTlsPolicyValidation;

use crate::gateway_api::certificate;
use crate::gateway_api::condition::{Condition, Refusal};
use crate::gateway_api::world::World;

/// A credential that does not exist: a connection that needs it is refused, where one without would trust anyone.
const INVALID_CREDENTIAL: &str = "invalid://";
const VALID: &str = "Configuration is valid";

/// The authorities that a policy names.
#[derive(Default)]
pub(in crate::gateway_api) struct Authority {
    /// The credential with them; empty for the system's.
    pub credential_name: String,
    accepted: Option<Refusal>,
    resolved: Option<Refusal>,
    warning: &'static str,
}

impl Authority {
    /// The conditions of a policy with these authorities, `refusal` being what else is wrong with it.
    pub(in crate::gateway_api) fn conditions(&self, refusal: Option<&Refusal>) -> Vec<Condition> {
        vec![
            Condition::holds("Accepted", "Accepted", format!("{VALID}{}", self.warning))
                .unless(refusal.or(self.accepted.as_ref())),
            Condition::holds("ResolvedRefs", "ResolvedRefs", VALID).unless(self.resolved.as_ref()),
        ]
    }

    fn invalid(resolved: &'static str, prefix: &str, error: &str) -> Self {
        Self {
            credential_name: INVALID_CREDENTIAL.to_owned(),
            accepted: Some(Refusal::new(
                "NoValidCACertificate",
                format!("Certificate reference invalid: {error}"),
            )),
            resolved: Some(Refusal::new(resolved, format!("{prefix}: {error}"))),
            warning: "",
        }
    }
}

/// Names that the certificate may have instead of the server name.
pub(in crate::gateway_api) fn subject_alt_names(
    validation: &BackendTlsPolicyValidation,
) -> Vec<String> {
    let name = |it: &serin_api::gateway_api::SubjectAltName| match it.name_type.as_str() {
        "Hostname" => it.hostname.clone(),
        "URI" => it.uri.clone(),
        _ => None,
    };
    validation.subject_alt_names.iter().filter_map(name).collect()
}

/// The authorities that `validation` of an object in `namespace` names.
pub(in crate::gateway_api) fn of(
    world: &World<'_>,
    namespace: &str,
    validation: &BackendTlsPolicyValidation,
) -> Authority {
    match validation.well_known_ca_certificates.as_deref() {
        Some("System") => return Authority::default(),
        Some(other) => {
            let message = format!("Unknown wellKnownCACertificates: {other}");
            return Authority {
                accepted: Some(Refusal::new("Invalid", message)),
                ..Authority::default()
            };
        }
        None => {}
    }
    let Some(reference) = validation.ca_certificate_refs.first() else {
        return Authority::default();
    };
    let (kind, name) = (reference.kind.as_str(), reference.name.as_str());
    let not_found = || format!("reference {namespace}/{name} (of kind {kind}) not found");
    let exists = match (reference.group.as_str(), kind) {
        ("", "ConfigMap") => {
            let Some(object) = world.config_map(namespace, name) else {
                return Authority::invalid(
                    "InvalidCACertificateRef",
                    "Certificate reference not found",
                    &not_found(),
                );
            };
            if let Err(error) = certificate::authorities(&certificate::of_config_map(&object.spec))
            {
                return Authority::invalid(
                    "InvalidCACertificateRef",
                    "Certificate invalid",
                    &error,
                );
            }
            let warning = if validation.ca_certificate_refs.len() > 1 {
                "; warning: only the first caCertificateRefs will be used"
            } else {
                ""
            };
            return Authority {
                credential_name: format!("configmap://{namespace}/{name}"),
                warning,
                ..Authority::default()
            };
        }
        ("", "Secret") => world.secret(namespace, name).is_some(),
        ("", "Service") => world.service(namespace, name).is_some(),
        _ => {
            let error = format!("unsupported kind {kind}");
            return Authority::invalid(
                "InvalidKind",
                "Certificate reference not supported",
                &error,
            );
        }
    };
    if exists {
        let error = format!("unsupported reference kind: {kind}");
        Authority::invalid("InvalidKind", "Certificate reference invalid", &error)
    } else {
        Authority::invalid(
            "InvalidCACertificateRef",
            "Certificate reference not found",
            &not_found(),
        )
    }
}
