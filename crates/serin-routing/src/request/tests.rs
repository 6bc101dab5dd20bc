use super::*;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_port_of_an_authority_is_what_follows_the_last_colon_outside_brackets() {
    let check = |authority: &str, host: &str| {
        assert_eq!(text(without_port(authority.as_bytes())), host, "{authority}")
    };
    check("reviews:9080", "reviews");
    check("reviews", "reviews");
    check("", "");
    check("[::1]:80", "[::1]");
    check("[::1]", "[::1]");
    check("::1", "::1");
    check("2001:db8::1:80", "2001:db8::1:80");
    check("reviews:", "reviews:");
    check("reviews:http", "reviews:http");
    check(":80", "");
}

#[test]
fn a_target_is_path_query_and_fragment() {
    let check = |target: &str, path: &str, query: &str| {
        let (found_path, found_query) = split_target(target.as_bytes());
        assert_eq!((text(found_path), text(found_query)), (path, query), "{target}");
    };
    check("/", "/", "");
    check("/a?b=c", "/a", "b=c");
    check("/a?b?c#d", "/a", "b?c");
    check("/a#b?c", "/a", "");
    check("", "", "");
    check("*", "*", "");
}

#[test]
fn the_first_occurrence_of_a_parameter_counts_and_is_not_decoded() {
    let check = |query: &str, name: &str, expected: Option<&str>| {
        assert_eq!(first_parameter(query.as_bytes(), name).map(text), expected, "{query} {name}");
    };
    check("a=1&a=2", "a", Some("1"));
    check("a=%20+x", "a", Some("%20+x"));
    check("a&b", "a", Some(""));
    check("a=x=y", "a", Some("x=y"));
    check("&&b=1", "b", Some("1"));
    check("aa=1", "a", None);
    check("", "", None);
    check("=1", "", Some("1"));
}

#[test]
fn cookies_are_found_among_several_in_several_headers() {
    let request = RequestParts::get("a", "/")
        .with_header("Cookie", "one=1; two=\"2\" ;malformed; three=a=b")
        .with_header("cookie", "two=3; four=");
    let check = |name: &str, expected: Option<&str>| {
        assert_eq!(cookie(&request, name).map(text), expected, "{name}")
    };
    check("one", Some("1"));
    check("two", Some("\"2\" "));
    check("three", Some("a=b"));
    check("four", Some(""));
    check("malformed", None);
    check("wo", None);
}

#[test]
fn repeated_headers_are_joined_and_pseudo_headers_are_found() {
    let request =
        RequestParts::get("Reviews:9080", "/x?y").with_header("x-a", "1").with_header("X-A", "2");
    let view = View::new(&request);
    let mut buffer = Vec::new();
    let mut check = |name: &str, expected: Option<&str>| {
        assert_eq!(view.header(name, &mut buffer).map(text), expected, "{name}");
    };
    check("x-a", Some("1,2"));
    check("x-b", None);
    check(":method", Some("GET"));
    check(":authority", Some("Reviews:9080"));
    check("host", Some("Reviews:9080"));
    check(":path", Some("/x?y"));
    check(":scheme", Some("http"));
    check(":protocol", None);
}

#[test]
fn grpc_is_known_by_its_content_type() {
    let check = |content_type: &str, expected: bool| {
        let request = RequestParts::get("a", "/").with_header("content-type", content_type);
        assert_eq!(is_grpc(&request), expected, "{content_type}");
    };
    check("application/grpc", true);
    check("application/grpc+proto", true);
    check("application/grpc; charset=utf-8", true);
    check("application/grpc-web", false);
    check("application/json", false);
}
