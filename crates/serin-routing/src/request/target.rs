//! The target of a request: path, query, parameters.

/// Splits a target into path and query; neither has the fragment.
pub(crate) fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    let end = target.iter().position(|&byte| byte == b'#').unwrap_or(target.len());
    let target = &target[..end];
    match target.iter().position(|&byte| byte == b'?') {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, &[]),
    }
}

/// Names and values of a query's parameters, not decoded; a parameter without `=` has an empty value.
pub(crate) fn parameters(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|&byte| byte == b'&').filter(|part| !part.is_empty()).map(|part| {
        match part.iter().position(|&byte| byte == b'=') {
            Some(equals) => (&part[..equals], &part[equals + 1..]),
            None => (part, &part[part.len()..]),
        }
    })
}

/// The value of a parameter's first occurrence.
pub(crate) fn first_parameter<'q>(query: &'q [u8], name: &str) -> Option<&'q [u8]> {
    parameters(query).find(|(candidate, _)| *candidate == name.as_bytes()).map(|(_, value)| value)
}
