use super::*;

fn found(bytes: &[u8]) -> (usize, Option<(String, String)>) {
    match parse(bytes) {
        Look::Found(header) => {
            (header.length, header.ends.map(|(from, to)| (from.to_string(), to.to_string())))
        }
        other => panic!("{other:?} for {bytes:?}"),
    }
}

#[track_caller]
fn check(bytes: &[u8], source: &str, destination: &str) {
    let mut followed = bytes.to_vec();
    followed.extend_from_slice(b"GET / HTTP/1.1\r\n");
    let ends = Some((source.to_owned(), destination.to_owned()));
    assert_eq!(found(&followed), (bytes.len(), ends));
    for end in 0..bytes.len() {
        assert_eq!(parse(&bytes[..end]), Look::More, "{end} of {bytes:?}");
    }
}

#[test]
fn both_versions_tell_both_ends() {
    check(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "192.0.2.1:56324", "192.0.2.2:443");
    check(b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", "[2001:db8::1]:1", "[::1]:65535");
    for (source, destination) in
        [("192.0.2.1:56324", "192.0.2.2:443"), ("[2001:db8::1]:1", "[::1]:65535")]
    {
        for version in [1, 2] {
            let header = write(version, source.parse().unwrap(), destination.parse().unwrap());
            check(&header, source, destination);
        }
    }
}

#[test]
fn mixed_families_are_written_as_one() {
    let mixed = ("[::ffff:192.0.2.1]:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
    assert_eq!(write(1, mixed.0, mixed.1), b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    let wide = ("[2001:db8::1]:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
    assert_eq!(write(1, wide.0, wide.1), b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 1 2\r\n");
}

#[test]
fn a_header_may_speak_for_itself_only() {
    assert_eq!(found(b"PROXY UNKNOWN\r\n"), (15, None));
    assert_eq!(found(b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n"), (33, None));
    let mut local = SIGNATURE.to_vec();
    local.extend_from_slice(&[0x20, 0, 0, 0]);
    assert_eq!(found(&local), (16, None));
}

#[test]
fn extensions_are_passed_over() {
    let mut header = write(2, "192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
    header[15] += 5;
    header.extend_from_slice(&[3, 0, 2, 1, 1]);
    check(&header, "192.0.2.1:1", "192.0.2.2:2");
}

#[test]
fn malformed_headers_are_refused() {
    for line in [
        "GET / HTTP/1.1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Look::Not, "{line:?}");
    }
}

#[test]
fn oversized_headers_are_refused_without_waiting_for_their_end() {
    let long = format!("PROXY UNKNOWN {}", "x".repeat(100));
    assert_eq!(parse(long.as_bytes()), Look::Not);
    let mut large = SIGNATURE.to_vec();
    large.extend_from_slice(&[0x21, 0x11, 0xff, 0xff]);
    assert_eq!(parse(&large), Look::Not);
}

#[test]
fn headers_of_version_2_for_other_protocols_are_refused() {
    for kind in [[0x21, 0x12], [0x21, 0x31], [0x22, 0x11], [0x11, 0x11]] {
        let mut header = SIGNATURE.to_vec();
        header.extend_from_slice(&kind);
        header.extend_from_slice(&[0, 12]);
        header.extend_from_slice(&[0; 12]);
        assert_eq!(parse(&header), Look::Not, "{kind:?}");
    }
    let mut short = SIGNATURE.to_vec();
    short.extend_from_slice(&[0x21, 0x11, 0, 4, 1, 2, 3, 4]);
    assert_eq!(parse(&short), Look::Not);
}
