//! How a listener terminates TLS: from `tls` of the listener and of its Gateway to the settings of an Istio server.

use serin_api::gateway_api::{
    FrontendTlsValidation, FrontendValidationMode, Listener, ListenerTlsConfig, ObjectReference,
    SecretObjectReference, TlsMode,
};
use serin_api::networking::{ServerTlsMode, ServerTlsSettings};

use super::certificate;
use super::condition::Refusal;
use super::parent::Owner;
use super::world::World;

const TERMINATE_MODE: &str = "gateway.istio.io/tls-terminate-mode";
const CIPHER_SUITES: &str = "gateway.istio.io/tls-cipher-suites";
const LISTENER_MODE: &str = "gateway.istio.io/listener-protocol";
const AUTO_PASSTHROUGH: &str = "auto-passthrough";
const NETWORK: &str = "topology.istio.io/network";
const GATEWAY_PORT: &str = "networking.istio.io/gatewayPort";
const DEFAULT_GATEWAY_PORT: &str = "15443";
const MESH_CERTIFICATE: &str = "builtin://";
const SECRET: (&str, &str) = ("", "Secret");
const CONFIG_MAP: (&str, &str) = ("", "ConfigMap");
const NOT_PERMITTED: &str = "RefNotPermitted";
const INVALID_AUTHORITY: &str = "InvalidCACertificateRef";
const INVALID_AUTHORITY_KIND: &str = "InvalidCACertificateKind";

/// The TLS settings of the server for `listener`; none if it does not speak TLS.
///
/// # Errors
/// That no certificate can be used, or the authorities for client certificates cannot.
pub(super) fn settings(
    world: &World<'_>,
    owner: &Owner<'_>,
    listener: &Listener,
    validation: Option<&FrontendTlsValidation>,
) -> Result<Option<ServerTlsSettings>, Refusal> {
    let Some(tls) = &listener.tls else { return Ok(None) };
    if tls.mode == Some(TlsMode::Passthrough) {
        let auto = passes_by_server_name(owner, listener, tls);
        let mode = if auto { ServerTlsMode::AutoPassthrough } else { ServerTlsMode::Passthrough };
        return Ok(Some(ServerTlsSettings { mode, ..ServerTlsSettings::default() }));
    }
    let mut settings =
        ServerTlsSettings { mode: ServerTlsMode::Simple, ..ServerTlsSettings::default() };
    if let Some(suites) = tls.options.get(CIPHER_SUITES) {
        settings.cipher_suites = suites.split(',').map(|it| it.trim().to_owned()).collect();
    }
    match tls.options.get(TERMINATE_MODE).map(String::as_str) {
        Some("MUTUAL") => settings.mode = ServerTlsMode::Mutual,
        Some("OPTIONAL_MUTUAL") => settings.mode = ServerTlsMode::OptionalMutual,
        Some("ISTIO_SIMPLE") => {
            settings.credential_name = MESH_CERTIFICATE.to_owned();
            return Ok(Some(settings));
        }
        Some("ISTIO_MUTUAL") => {
            settings.mode = ServerTlsMode::IstioMutual;
            return Ok(Some(settings));
        }
        _ => {}
    }
    let mut names = server_certificates(world, owner, tls)?;
    match names.len() {
        0 | 1 => settings.credential_name = names.pop().unwrap_or_default(),
        _ => settings.credential_names = names,
    }
    if let Some(validation) = validation {
        validate_clients(world, owner, validation, &mut settings)?;
    }
    Ok(Some(settings))
}

/// Whether connections are routed to the service that the server name itself names: the way into a network of the mesh.
fn passes_by_server_name(owner: &Owner<'_>, listener: &Listener, tls: &ListenerTlsConfig) -> bool {
    let labels = &owner.meta.labels;
    let port = labels.get(GATEWAY_PORT).map_or(DEFAULT_GATEWAY_PORT, String::as_str);
    tls.options.get(LISTENER_MODE).is_some_and(|mode| mode == AUTO_PASSTHROUGH)
        || (labels.contains_key(NETWORK) && listener.port.to_string() == port)
}

/// The credentials that can be used. As long as there is one, those that cannot are passed over.
fn server_certificates(
    world: &World<'_>,
    owner: &Owner<'_>,
    tls: &ListenerTlsConfig,
) -> Result<Vec<String>, Refusal> {
    if tls.certificate_refs.len() > 2 {
        let message = "TLS mode can only support up to 2 server certificates";
        return Err(Refusal::new("InvalidCertificateRef", message));
    }
    let (mut names, mut refusal) = (Vec::new(), None);
    for reference in &tls.certificate_refs {
        match server_certificate(world, owner, reference) {
            Ok(name) => names.push(name),
            Err(error) => refusal = Refusal::joined(refusal, Some(error)),
        }
    }
    match refusal {
        Some(refusal) if names.is_empty() => Err(refusal),
        _ => Ok(names),
    }
}

fn server_certificate(
    world: &World<'_>,
    owner: &Owner<'_>,
    reference: &SecretObjectReference,
) -> Result<String, Refusal> {
    let (namespace, name) = key_pair(world, owner, reference).map_err(|error| {
        Refusal::new("InvalidCertificateRef", format!("invalid certificate reference {error}"))
    })?;
    if !world.grants.allow(owner.referrer(), (SECRET, namespace), name) {
        return Err(not_accessible("certificateRef", name, namespace, owner));
    }
    Ok(format!("kubernetes-gateway://{namespace}/{name}"))
}

/// The certificate with which proxies of a Gateway show themselves to backends, if there is a usable one.
///
/// # Errors
/// Why the reference cannot be used.
pub(super) fn check_client_certificate(
    world: &World<'_>,
    owner: &Owner<'_>,
    reference: &SecretObjectReference,
) -> Result<(), Refusal> {
    let (namespace, name) = key_pair(world, owner, reference).map_err(|error| {
        Refusal::new("InvalidClientCertificateRef", format!("invalid clientCertificateRef {error}"))
    })?;
    if !world.grants.allow(owner.referrer(), (SECRET, namespace), name) {
        return Err(not_accessible("clientCertificateRef", name, namespace, owner));
    }
    Ok(())
}

fn not_accessible(what: &str, name: &str, namespace: &str, owner: &Owner<'_>) -> Refusal {
    let own = &owner.meta.namespace;
    let message = format!(
        "{what} {name}/{namespace} not accessible to a Gateway in namespace {own:?} (missing a ReferenceGrant?)"
    );
    Refusal::new(NOT_PERMITTED, message)
}

/// The namespace and name of the Secret that `reference` means, once it is known to hold a key pair.
fn key_pair<'a>(
    world: &World<'_>,
    owner: &'a Owner<'_>,
    reference: &'a SecretObjectReference,
) -> Result<(&'a str, &'a str), String> {
    let (group, kind) = (reference.group.as_deref(), reference.kind.as_deref());
    let namespace = reference.namespace.as_deref();
    let shown = written(group, kind, &reference.name, namespace);
    if (group.unwrap_or(SECRET.0), kind.unwrap_or(SECRET.1)) != SECRET {
        return Err(format!("{shown}, only secret is allowed"));
    }
    let (namespace, name) = (namespace.unwrap_or(&owner.meta.namespace), reference.name.as_str());
    let Some(secret) = world.secret(namespace, name) else {
        return Err(format!("{shown}, secret {namespace}/{name} not found"));
    };
    certificate::check_key_pair(&certificate::of_secret(&secret.spec))
        .map_err(|error| format!("{shown}, {error}"))?;
    Ok((namespace, name))
}

fn written(group: Option<&str>, kind: Option<&str>, name: &str, namespace: Option<&str>) -> String {
    let or_empty = Option::unwrap_or_default;
    format!("{}/{}/{name}.{}", or_empty(group), or_empty(kind), or_empty(namespace))
}

/// Demands certificates of clients as `validation` says.
fn validate_clients(
    world: &World<'_>,
    owner: &Owner<'_>,
    validation: &FrontendTlsValidation,
    settings: &mut ServerTlsSettings,
) -> Result<(), Refusal> {
    let [reference] = validation.ca_certificate_refs.as_slice() else {
        let message = "only one caCertificateRef is supported for the validation of clients";
        return Err(Refusal::new(INVALID_AUTHORITY, message));
    };
    let insecure = validation.mode == FrontendValidationMode::AllowInsecureFallback;
    settings.ca_cert_credential_name = client_authority(world, owner, reference)?;
    settings.mode = if insecure { ServerTlsMode::OptionalMutual } else { ServerTlsMode::Mutual };
    settings.insecure_skip_verify = Some(insecure);
    Ok(())
}

fn client_authority(
    world: &World<'_>,
    owner: &Owner<'_>,
    reference: &ObjectReference,
) -> Result<String, Refusal> {
    let namespace = reference.namespace.as_deref().unwrap_or(&owner.meta.namespace);
    let name = reference.name.as_str();
    let group_kind = (reference.group.as_str(), reference.kind.as_str());
    let missing = |kind: &str| {
        let message =
            format!("invalid CA certificate reference, {kind} {namespace}/{name} not found");
        Refusal::new(INVALID_AUTHORITY, message)
    };
    let shown =
        || written(Some(group_kind.0), Some(group_kind.1), name, reference.namespace.as_deref());
    let (entries, scheme) = match group_kind {
        CONFIG_MAP => {
            let object = world.config_map(namespace, name).ok_or_else(|| missing("configmap"))?;
            (certificate::of_config_map(&object.spec), "configmap")
        }
        SECRET => {
            let object = world.secret(namespace, name).ok_or_else(|| missing("secret"))?;
            (certificate::of_secret(&object.spec), "kubernetes-gateway")
        }
        _ => {
            let message = format!(
                "invalid CA certificate reference {}, only secret and configmap are allowed",
                shown()
            );
            return Err(Refusal::new(INVALID_AUTHORITY_KIND, message));
        }
    };
    let invalid = |error: &str| {
        Refusal::new(
            INVALID_AUTHORITY,
            format!("invalid CA certificate reference {}, {error}", shown()),
        )
    };
    let pem = certificate::authorities(&entries).map_err(|error| invalid(&error))?;
    if !certificate::has_certificate(pem) {
        return Err(invalid("the bundle is malformed"));
    }
    if !world.grants.allow(owner.referrer(), (group_kind, namespace), name) {
        return Err(not_accessible("caCertificateRef", name, namespace, owner));
    }
    Ok(format!("{scheme}://{namespace}/{name}-cacert"))
}

/// Whether a listener refused for this reason is not even accepted: clients or certificates that it must not trust.
pub(super) fn bars_acceptance(refusal: &Refusal) -> bool {
    [NOT_PERMITTED, INVALID_AUTHORITY, INVALID_AUTHORITY_KIND].contains(&refusal.reason)
}
