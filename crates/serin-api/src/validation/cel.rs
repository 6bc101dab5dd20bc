//! CEL expressions: whether they can be read. What their attributes are is the proxy's to know.

/// Whether `expression` is CEL.
pub(super) fn check(expression: &str) -> Result<(), String> {
    crate::schema::compile_cel(expression)
        .map(drop)
        .map_err(|reason| format!("{expression:?} is not a valid CEL expression: {reason}"))
}
