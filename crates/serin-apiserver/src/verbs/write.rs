//! Creating and changing objects: every write of an object that stays goes through here.

use http::{Response, StatusCode};
use serde_json::{Value, json};
use serin_objects::prepare::{self, Identity, Ownership};
use serin_objects::status::{Cause, Details};
use serin_objects::{FieldError, Path, Prepared, Status, admission, convert, decode, names, scale};

use super::answer::{self, shown};
use super::{
    addresses, certificates, claims, collect, definitions, input, namespaces, priorities, remove,
    runtimes, security, services, shares, tokens,
};
use crate::access::audit;
use crate::access::rbac::escalation;
use crate::admission::{Operation, Review};
use crate::http::Body;
use crate::server::request::{Call, key_of};
use crate::server::{ApiServer, furniture};
use crate::store::{Draft, Expect, Object, WriteError};

/// How often a change is made again because the object changed meanwhile.
const ATTEMPTS: usize = 32;
/// How often another name is tried.
const NAMES: usize = 8;

pub(super) async fn create(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let decoded = decode::object(&call.resource, input::body(call)?, input::validation(call)?)?;
    audit::note(&decoded.object);
    create_object(server, call, decoded, Ownership::Update).await
}

/// Creates an object that was read.
pub(super) async fn create_object(
    server: &ApiServer,
    call: &Call,
    decoded: Prepared,
    ownership: Ownership,
) -> Result<Response<Body>, Status> {
    let Prepared { object, mut warnings } = decoded;
    let resource = &call.resource;
    if resource.namespaced {
        open_namespace(server, call, &object)?;
    }
    if resource.is_custom() && definitions::ending(server, resource).is_some() {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(Status::new(405, "MethodNotAllowed", why));
    }
    let dry_run = input::is_dry_run(call);
    for _ in 0..NAMES {
        let mut object = object.clone();
        let generated = prepare::generated_name(&object, &mut random);
        let is_generated = generated.is_some();
        if let Some(name) = generated {
            object["metadata"]["name"] = name.into();
        }
        admit(server, call, &mut object)?;
        if resource.namespaced && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = call.namespace.as_str().into();
        }
        let review = review(call, Operation::Create, &Value::Null, &Value::Null, dry_run);
        warnings.extend(server.mutate(&review, &mut object).await?);
        let uid = crate::random::uuid().to_string();
        let identity = Identity { namespace: &call.namespace, uid: &uid };
        let prepared =
            prepare::create(resource, object, &identity, &input::context(call, ownership))?;
        let mut object = prepared.object;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        settle(server, call, &mut object, None)?;
        escalation::check(&server.inner.rbac, &call.user, resource, &object, &Value::Null)?;
        warnings.extend(prepared.warnings);
        warnings.extend(security::admit(server, call, &object, None)?);
        let review = Review { object: &object, name: &name, ..review };
        warnings.extend(server.validate(&review).await?);
        let place = (resource.as_ref(), call.namespace.as_str());
        shares::within_ranges(&server.inner.store, place, &object)?;
        let _share = shares::take(server, place, &object, None).await?;
        let key = key_of(if resource.namespaced { &call.namespace } else { "" }, &name);
        let store = &server.inner.store;
        let created = if store.object(&call.storage(), &key).is_some() {
            Err(WriteError::Conflict(None))
        } else if dry_run {
            return Ok(answer::with_warnings(
                answer::one(call, StatusCode::CREATED, &object),
                &warnings,
            ));
        } else {
            let draft = Draft::new(&convert::to_storage(resource, object));
            store.put(&call.storage(), &key, Expect::Absent, draft).await
        };
        match created {
            Ok(created) => {
                let object = shown(resource, &created);
                definitions::changed(server, call, &object);
                shares::changed(server, resource, &call.namespace);
                if services::are(resource) {
                    addresses::changed(server, &Value::Null, &object);
                }
                if resource.group.is_empty() && resource.kind == "Namespace" {
                    namespaces::furnish(server.clone(), name).await;
                }
                let response = answer::one(call, StatusCode::CREATED, &object);
                return Ok(answer::with_warnings(response, &warnings));
            }
            Err(WriteError::Conflict(_)) if is_generated => {}
            Err(WriteError::Conflict(_)) => return Err(Status::already_exists(resource, &name)),
            Err(WriteError::Store(error)) => return Err(Status::internal(error)),
        }
    }
    let name = object["metadata"]["generateName"].as_str().unwrap_or_default();
    Err(Status::already_exists(resource, name))
}

pub(super) async fn update(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let body = input::body(call)?;
    if call.subresource.as_deref() == Some("scale") {
        return change(server, call, Ownership::Update, |old| {
            let object = scale::put(&call.resource, old, &body.value)?;
            Ok(Prepared { object, warnings: Vec::new() })
        })
        .await;
    }
    let decoded = decode::object(&call.resource, body, input::validation(call)?)?;
    audit::note(&decoded.object);
    let name = decoded.object["metadata"]["name"].as_str().unwrap_or_default();
    if name != call.object_name() {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.object_name()
        )));
    }
    if call.subresource.is_none() {
        knows_revision(call, &decoded.object)?;
    }
    change(server, call, Ownership::Update, |_| Ok(decoded.clone())).await
}

/// Kinds of Kubernetes' own that are replaced only by who says which state they replace; custom resources all are.
const KNOWN: &[(&str, &str)] = &[
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("coordination.k8s.io", "Lease"),
    ("policy", "PodDisruptionBudget"),
];

fn knows_revision(call: &Call, object: &Value) -> Result<(), Status> {
    let resource = &call.resource;
    let given = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let listed = KNOWN.contains(&(resource.group.as_str(), resource.kind.as_str()));
    if !(given.is_empty() || given == "0") || !(listed || resource.is_custom()) {
        return Ok(());
    }
    let (field, why) =
        ("metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update");
    let what = resource.group_resource();
    let message = format!("{what} {:?} is invalid: {field}: {why}", call.object_name());
    let cause =
        Cause { reason: "FieldValueInvalid".into(), message: why.into(), field: field.into() };
    let details = Details {
        name: call.object_name().to_owned(),
        group: resource.group.clone(),
        kind: resource.plural.clone(),
        causes: vec![cause],
        ..Details::default()
    };
    Err(Status::new(422, "Invalid", message).with(details))
}

/// Changes an object: `make` says what it becomes, and is asked again when it changed meanwhile.
pub(super) async fn change(
    server: &ApiServer,
    call: &Call,
    ownership: Ownership,
    make: impl Fn(&Value) -> Result<Prepared, Status>,
) -> Result<Response<Body>, Status> {
    let resource = &call.resource;
    let (storage, key) = (call.storage(), call.key());
    let dry_run = input::is_dry_run(call);
    for _ in 0..ATTEMPTS {
        let stored = server.inner.store.object(&storage, &key);
        let stored = stored.ok_or_else(|| Status::not_found(resource, call.object_name()))?;
        let old = shown(resource, &stored);
        let made = make(&old)?;
        let expected = made.object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !expected.is_empty() && expected != stored.revision().to_string() {
            return Err(Status::modified(resource, call.object_name()));
        }
        let Prepared { object: mut made, mut warnings } = made;
        let review = review(call, Operation::Update, &Value::Null, &old, dry_run);
        if call.subresource.as_deref() != Some("scale") {
            warnings.extend(server.mutate(&review, &mut made).await?);
        }
        let prepared = prepare::update(resource, &old, made, &input::context(call, ownership))?;
        warnings.extend(prepared.warnings);
        let mut object = prepared.object;
        object["metadata"]["resourceVersion"] = stored.revision().to_string().into();
        settle(server, call, &mut object, Some(&old))?;
        escalation::check(&server.inner.rbac, &call.user, resource, &object, &old)?;
        warnings.extend(security::admit(server, call, &object, Some(&old))?);
        warnings.extend(validate(server, &review, &object).await?);
        let _share = take_more(server, call, &object, &old).await?;
        let answered = |object: &Value| {
            let response = if call.subresource.as_deref() == Some("scale") {
                answer::one(call, StatusCode::OK, &scale::get(resource, object)?)
            } else {
                answer::one(call, StatusCode::OK, object)
            };
            Ok(answer::with_warnings(response, &warnings))
        };
        if object == old || dry_run {
            return answered(&object);
        }
        match keep(server, call, &stored, &object).await {
            Ok(written) => {
                let object = shown(resource, &written);
                definitions::changed(server, call, &object);
                shares::changed(server, resource, &call.namespace);
                if services::are(resource) {
                    addresses::changed(server, &old, &object);
                }
                collect::changed(server, resource, &old, &object);
                return answered(&object);
            }
            Err(WriteError::Conflict(_)) => {}
            Err(WriteError::Store(error)) => return Err(Status::internal(error)),
        }
    }
    Err(Status::modified(resource, call.object_name()))
}

/// Lets an object use more than before, where that is left; statuses and the like use nothing.
async fn take_more<'s>(
    server: &'s ApiServer,
    call: &Call,
    object: &Value,
    old: &Value,
) -> Result<Option<tokio::sync::MutexGuard<'s, ()>>, Status> {
    let uses = match call.resource.kind.as_str() {
        "Service" | "PersistentVolumeClaim" => call.subresource.is_none(),
        "Pod" => call.subresource.as_deref() == Some("resize"),
        _ => false,
    };
    if !uses || !call.resource.group.is_empty() {
        return Ok(None);
    }
    let place = (call.resource.as_ref(), call.namespace.as_str());
    shares::within_ranges(&server.inner.store, place, object)?;
    shares::take(server, place, object, Some(old)).await
}

/// What admission is told about a write.
fn review<'r>(
    call: &'r Call,
    operation: Operation,
    object: &'r Value,
    old: &'r Value,
    dry_run: bool,
) -> Review<'r> {
    Review {
        operation,
        resource: &call.resource,
        subresource: call.subresource.as_deref().unwrap_or_default(),
        namespace: &call.namespace,
        name: call.object_name(),
        object,
        old,
        user: &call.user,
        dry_run,
    }
}

/// Lets admission judge a changed object; of a scale, it sees the scale.
async fn validate(
    server: &ApiServer,
    review: &Review<'_>,
    object: &Value,
) -> Result<Vec<String>, Status> {
    if review.subresource != "scale" {
        return server.validate(&Review { object, ..*review }).await;
    }
    let before = scale::get(review.resource, review.old)?;
    let after = scale::get(review.resource, object)?;
    server.validate(&Review { object: &after, old: &before, ..*review }).await
}

/// Stores what an object became; one that only waited for its last finalizer goes.
async fn keep(
    server: &ApiServer,
    call: &Call,
    old: &Object,
    object: &Value,
) -> Result<Object, WriteError> {
    let (storage, key) = (call.storage(), call.key());
    let store = &server.inner.store;
    if object["metadata"]["deletionTimestamp"].is_string() && !remove::is_held(object) {
        let gone = store.delete(&storage, &key, old.revision()).await?;
        collect::gone(server, &call.resource, gone.value());
        return Ok(gone);
    }
    let draft = Draft::new(&convert::to_storage(&call.resource, object.clone()));
    store.put(&storage, &key, Expect::Revision(old.revision()), draft).await
}

/// Refuses objects in namespaces that are not there or go away.
fn open_namespace(server: &ApiServer, call: &Call, object: &Value) -> Result<(), Status> {
    let catalog = server.inner.catalog.load();
    let Some(namespaces) = catalog.find("", "v1", "namespaces") else { return Ok(()) };
    let Some(namespace) = server.inner.store.object("/namespaces", &call.namespace) else {
        return Err(Status::not_found(namespaces, &call.namespace));
    };
    if namespace.value()["metadata"]["deletionTimestamp"].is_string() {
        let why = format!(
            "unable to create new content in namespace {} because it is being terminated",
            call.namespace
        );
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(Status::forbidden(&call.resource, name, &why));
    }
    Ok(())
}

/// What Kubernetes' own admission fills in.
fn admit(server: &ApiServer, call: &Call, object: &mut Value) -> Result<(), Status> {
    let store = &server.inner.store;
    match (call.resource.group.as_str(), call.resource.kind.as_str()) {
        ("", "Pod") => {
            let name = object["spec"]["serviceAccountName"].as_str().filter(|it| !it.is_empty());
            let name = name.unwrap_or("default").to_owned();
            let account = store.object("/serviceaccounts", &key_of(&call.namespace, &name));
            let Some(account) = account else {
                let pod = object["metadata"]["name"].as_str().unwrap_or_default();
                let namespace = &call.namespace;
                let why = format!(
                    "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
                );
                return Err(Status::forbidden(&call.resource, pod, &why));
            };
            admission::service_account(object, &account.value(), &names::letters(5, &mut random));
            admission::default_tolerations(object);
            priorities::give(server, call, object)?;
            runtimes::give(server, call, object)?;
            shares::fill(store, &call.namespace, object);
        }
        ("scheduling.k8s.io", "PriorityClass") => priorities::check(server, call, object)?,
        ("certificates.k8s.io", _) => certificates::ask(call, object)?,
        ("networking.k8s.io", "Ingress") => {
            let (classes, _) = store.list("networking.k8s.io/ingressclasses", "", None);
            let classes: Vec<Value> = classes.iter().map(|(_, it)| it.value()).collect();
            admission::default_ingress_class(object, &classes);
        }
        ("", "PersistentVolumeClaim") => {
            let (classes, _) = store.list("storage.k8s.io/storageclasses", "", None);
            let classes: Vec<Value> = classes.iter().map(|(_, it)| it.value()).collect();
            admission::default_storage_class(object, &classes);
            claims::hold(&call.resource, object);
        }
        ("", "PersistentVolume") => claims::hold(&call.resource, object),
        _ => {}
    }
    Ok(())
}

const POLICY: (&str, &str) = ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy");

/// What the server itself sets in a few kinds.
fn settle(
    server: &ApiServer,
    call: &Call,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let resource = &call.resource;
    if services::are(resource) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        services::allocate(server, object, old)
            .map_err(|errors: Vec<FieldError>| Status::invalid(resource, &name, &errors))?;
    }
    if let (true, Some(old)) = (certificates::are(resource), old) {
        certificates::settle(server, call, object, old)?;
    }
    if (resource.group.as_str(), resource.kind.as_str()) == POLICY && call.subresource.is_none() {
        let catalog = server.inner.catalog.load();
        object["status"] = serin_objects::expressions::policy_status(&catalog, object);
    }
    tokens::fill(server, resource, object)?;
    if definitions::are(resource) {
        definitions::settle(server, object);
    }
    if old.is_none() && call.user.is_the_server() {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if let Some(status) = furniture::status(&resource.kind, &now) {
            object["status"] = status;
        }
    }
    if resource.kind == "Namespace" && resource.group.is_empty() && object["status"].is_null() {
        object["status"] = json!({"phase": "Active"});
    }
    if object["metadata"]["namespace"].is_null() && resource.namespaced {
        let error = FieldError::required(&Path::new("metadata.namespace"), "");
        return Err(Status::invalid(resource, "", &[error]));
    }
    Ok(())
}

/// A random number below `n`.
fn random(n: usize) -> usize {
    let bytes = crate::random::uuid().as_u128();
    usize::try_from((bytes >> 64) % n.max(1) as u128).unwrap_or(0)
}
