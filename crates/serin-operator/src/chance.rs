//! Numbers that nobody can foresee.

/// A number.
pub(crate) fn number() -> u64 {
    rand::random()
}

/// A name that nothing else has.
pub(crate) fn unique() -> String {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string()
}
