//! Which state lists and watches are to show: `resourceVersion`, `resourceVersionMatch`, `sendInitialEvents`.

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
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid_kind("meta.k8s.io", "ListOptions", "", errors))
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
    fn watches_that_begin_with_what_is_there_say_how() {
        let of = |query: &str| of_watch(&Query::parse(query)).map_err(|status| status.code);
        assert_eq!(of("resourceVersion=0"), Ok(None));
        assert_eq!(of("resourceVersion=7"), Ok(Some(7)));
        assert_eq!(of("sendInitialEvents=true&resourceVersionMatch=NotOlderThan"), Ok(None));
        assert_eq!(of("sendInitialEvents=true"), Err(422));
        assert_eq!(of("resourceVersionMatch=NotOlderThan"), Err(422));
    }
}
