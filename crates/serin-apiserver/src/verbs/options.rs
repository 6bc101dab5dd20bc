//! What parameters may say: which state lists and watches are to show (`resourceVersion`, `resourceVersionMatch`,
//! `sendInitialEvents`), and how writes are meant (`dryRun`, `fieldManager`, `fieldValidation`, `force`).

use serin_objects::status::{Cause, Details};
use serin_objects::{FieldError, Path, Status};

use crate::http::query::Query;

/// What a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The present, which is at least as new as anything that anybody has seen.
    Present,
    /// The state at a revision.
    At(u64),
}

const MATCH: &str = "resourceVersionMatch";
const EXACT: &str = "Exact";
const NOT_OLDER: &str = "NotOlderThan";

/// The options of a list, where `present` is the last revision.
pub(super) fn of_list(query: &Query, present: u64) -> Result<Wanted, Status> {
    let (version, how) = (query.text("resourceVersion"), query.text(MATCH));
    let at = Path::new(MATCH);
    let mut errors = Vec::new();
    if query.has("sendInitialEvents") {
        let why = "sendInitialEvents is forbidden for list";
        errors.push(FieldError::forbidden(&Path::new("sendInitialEvents"), why));
    }
    if let Some(how) = how {
        if version.is_none() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(FieldError::forbidden(&at, why));
        }
        if query.text("continue").is_some() {
            errors.push(FieldError::forbidden(&at, WITH_CONTINUE));
        }
        if how != EXACT && how != NOT_OLDER {
            errors.push(FieldError::not_supported(&at, how, &[EXACT, NOT_OLDER, ""]));
        }
        if how == EXACT && version == Some("0") {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(&at, why));
        }
    }
    refuse(&errors)?;
    let Some(version) = version.map(revision).transpose()? else { return Ok(Wanted::Present) };
    if version > present {
        return Err(too_large(version, present));
    }
    // A page without a word about the match shows the revision itself.
    let paged = query.text("limit").is_some_and(|limit| limit != "0");
    let exact = how == Some(EXACT) || how.is_none() && paged && version > 0;
    Ok(if exact { Wanted::At(version) } else { Wanted::Present })
}

const WITH_CONTINUE: &str = "resourceVersionMatch is forbidden when continue is provided";

/// The revision after which a watch tells what happens; none for the present.
pub(super) fn of_watch(query: &Query) -> Result<Option<u64>, Status> {
    let (how, asked) = (query.text(MATCH), query.has("sendInitialEvents"));
    let at = Path::new(MATCH);
    let mut errors = Vec::new();
    if asked && how != Some(NOT_OLDER) {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(&at, why));
    }
    if let Some(how) = how {
        if !asked {
            let why =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(&at, why));
        }
        if how != NOT_OLDER {
            errors.push(FieldError::not_supported(&at, how, &[NOT_OLDER]));
        }
        if query.text("continue").is_some() {
            errors.push(FieldError::forbidden(&at, WITH_CONTINUE));
        }
    }
    refuse(&errors)?;
    match query.text("resourceVersion") {
        None | Some("0") => Ok(None),
        Some(text) => revision(text).map(Some),
    }
}

fn refuse(errors: &[FieldError]) -> Result<(), Status> {
    refuse_kind("ListOptions", errors)
}

fn refuse_kind(kind: &str, errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid_kind("meta.k8s.io", kind, "", errors))
}

/// How many bytes the name of a manager of fields may have.
const MANAGER: usize = 128;
/// What may happen to the dependents of an object that goes.
const PROPAGATIONS: [&str; 4] = ["Foreground", "Background", "Orphan", "nil"];

/// Whether the parameters of a write mean something; `applies` of a patch that is server-side apply.
pub(super) fn of_write(verb: &str, query: &Query, applies: bool) -> Result<(), Status> {
    let kind = match verb {
        "create" => "CreateOptions",
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        _ => {
            return of_deletion(
                query.text("propagationPolicy"),
                query.has("orphanDependents"),
                query.all("dryRun"),
            );
        }
    };
    let mut errors = Vec::new();
    let manager = query.text("fieldManager").unwrap_or_default();
    let at = Path::new("fieldManager");
    if applies && manager.is_empty() {
        errors.push(FieldError::required(&at, "is required for apply patch"));
    }
    if verb == "patch" && !applies && query.has("force") {
        let why = "may not be specified for non-apply patch";
        errors.push(FieldError::forbidden(&Path::new("force"), why));
    }
    if manager.len() > MANAGER {
        errors.push(FieldError::too_long(&at, MANAGER));
    }
    if manager.chars().any(char::is_control) {
        let why = "should only contain printable characters";
        errors.push(FieldError::invalid(&at, manager, why));
    }
    dry_run(&mut errors, query.all("dryRun"));
    let allowed = ["", "Ignore", "Strict", "Warn"];
    let validation = query.text("fieldValidation").unwrap_or_default();
    if !allowed.contains(&validation) {
        let at = Path::new("fieldValidation");
        errors.push(FieldError::not_supported(&at, validation, &allowed));
    }
    refuse_kind(kind, &errors)
}

/// The same of a deletion.
pub(super) fn of_deletion(
    propagation: Option<&str>,
    orphans: bool,
    dry: &[String],
) -> Result<(), Status> {
    let mut errors = Vec::new();
    if let Some(policy) = propagation {
        let at = Path::new("propagationPolicy");
        if orphans {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid(&at, policy, why));
        }
        if policy == "nil" || !PROPAGATIONS.contains(&policy) {
            errors.push(FieldError::not_supported(&at, policy, &PROPAGATIONS));
        }
    }
    dry_run(&mut errors, dry);
    refuse_kind("DeleteOptions", &errors)
}

fn dry_run(errors: &mut Vec<FieldError>, asked: &[String]) {
    if asked.iter().any(|it| it != "All") {
        errors.push(FieldError::not_supported(&Path::new("dryRun"), asked.to_vec(), &["All"]));
    }
}

fn revision(text: &str) -> Result<u64, Status> {
    text.parse::<u64>().map_err(|_| {
        Status::bad_request(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

/// Nothing has seen this revision yet, except perhaps in another life of the store.
fn too_large(wanted: u64, present: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {wanted}, current: {present}");
    let cause = Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        ..Cause::default()
    };
    let details = Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() };
    Status::new(504, "Timeout", message).with(details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expect: Result<Wanted, &str>) {
        let found = of_list(&Query::parse(query), 9).map_err(|status| status.message);
        assert_eq!(found, expect.map_err(str::to_owned), "{query}");
    }

    #[test]
    fn lists_show_the_present_or_a_revision() {
        check("", Ok(Wanted::Present));
        check("resourceVersion=0", Ok(Wanted::Present));
        check("resourceVersion=5", Ok(Wanted::Present));
        check("resourceVersion=5&limit=3", Ok(Wanted::At(5)));
        check("resourceVersion=0&limit=3", Ok(Wanted::Present));
        check("resourceVersion=5&resourceVersionMatch=NotOlderThan&limit=3", Ok(Wanted::Present));
        check("resourceVersion=5&resourceVersionMatch=Exact", Ok(Wanted::At(5)));
        check("resourceVersion=10", Err("Timeout: Too large resource version: 10, current: 9"));
        check(
            "resourceVersionMatch=Exact",
            Err(
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
        );
        check(
            "resourceVersion=x",
            Err(
                "resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
            ),
        );
    }

    #[test]
    fn writes_say_what_they_mean() {
        let long = format!("fieldManager={}", "x".repeat(129));
        for (verb, query, applies, expect) in [
            ("create", "dryRun=All&fieldManager=a&fieldValidation=Strict", false, ""),
            (
                "create",
                "dryRun=Some",
                false,
                "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"",
            ),
            (
                "update",
                "fieldValidation=x",
                false,
                "UpdateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"x\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
            ),
            (
                "create",
                &long,
                false,
                "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes",
            ),
            (
                "patch",
                "force=true",
                false,
                "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
            ),
            (
                "patch",
                "force=true",
                true,
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
            ),
            ("delete", "propagationPolicy=Orphan", false, ""),
            (
                "delete",
                "propagationPolicy=x",
                false,
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"x\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
            ),
            (
                "deletecollection",
                "propagationPolicy=Orphan&orphanDependents=true",
                false,
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set",
            ),
        ] {
            let found = of_write(verb, &Query::parse(query), applies);
            let found = found.map_or_else(|status| status.message, |()| String::new());
            assert_eq!(found, expect, "{verb} {query}");
        }
    }

    #[test]
    fn watches_that_begin_with_what_is_there_say_how() {
        let of = |query: &str| of_watch(&Query::parse(query)).map_err(|status| status.code);
        assert_eq!(of("resourceVersion=0"), Ok(None));
        assert_eq!(of("resourceVersion=7"), Ok(Some(7)));
        assert_eq!(of("sendInitialEvents=true&resourceVersionMatch=NotOlderThan"), Ok(None));
        assert_eq!(of("sendInitialEvents=true"), Err(422));
        assert_eq!(of("resourceVersionMatch=NotOlderThan"), Err(422));
    }
}
