//! The authority of a request: host and port.

/// Where the host of an authority ends: before the colon of its port, or at its end. Brackets of an IPv6 address
/// belong to the host.
pub(crate) fn host_end(authority: &[u8]) -> usize {
    let Some(colon) = authority.iter().rposition(|&byte| byte == b':') else {
        return authority.len();
    };
    let port = &authority[colon + 1..];
    let in_brackets = authority[colon..].contains(&b']');
    // Colons within a bare IPv6 address are no separators.
    let bare_ipv6 = authority[0] != b'[' && authority[..colon].contains(&b':');
    let is_port = !port.is_empty() && port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    if in_brackets || bare_ipv6 || !is_port { authority.len() } else { colon }
}

/// The host of an authority.
pub(crate) fn without_port(authority: &[u8]) -> &[u8] {
    &authority[..host_end(authority)]
}
