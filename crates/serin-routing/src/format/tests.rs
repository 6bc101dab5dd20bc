use super::*;

struct Request;

impl Facts for Request {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        match name {
            "x-user" => Some(b"jason"),
            ":path" => Some(b"/a?b&pq=2&q=1?"),
            _ => None,
        }
    }

    fn response_trailer(&self, name: &str) -> Option<&[u8]> {
        (name == "x-end").then_some(b"done")
    }

    fn start_time(&self) -> Option<Duration> {
        // 2024-02-29 12:34:56.789 UTC, a Thursday.
        Some(Duration::from_millis(1_709_210_096_789))
    }

    fn address(&self, address: Address) -> Option<SocketAddr> {
        (address == Address::DownstreamRemote).then(|| "10.0.0.1:4711".parse().unwrap())
    }

    fn append(&self, property: Property, out: &mut Vec<u8>) -> bool {
        if property != Property::Protocol {
            return false;
        }
        out.extend_from_slice(b"HTTP/1.1");
        true
    }
}

#[track_caller]
fn check(format: &str, expected: &str) {
    let mut out = Vec::new();
    Format::parse(format).render(&Request, "-", &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
}

#[test]
fn operators_are_filled_in() {
    check("plain", "plain");
    check("", "");
    check("user=%REQ(X-User)%;", "user=jason;");
    check("%REQ(x-none)%", "-");
    check("%REQ(x-none?x-user)%", "jason");
    check("%REQ(x-user):3%", "jas");
    check("%REQ(:PATH)%", "/a?b&pq=2&q=1?");
    check("%RESP(x-user)%", "-");
    check("%PROTOCOL%", "HTTP/1.1");
    check("%UPSTREAM_CLUSTER%", "-");
    check("%DOWNSTREAM_REMOTE_ADDRESS%", "10.0.0.1:4711");
    check("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.1");
    check("%DOWNSTREAM_REMOTE_PORT%", "4711");
    check("%DOWNSTREAM_LOCAL_ADDRESS%", "-");
    check("%QUERY_PARAM(q)% %QUERY_PARAM(p)%", "1? -");
    check("%TRAILER(x-sum?X-End)% %TRAILER(x-none)%", "done -");
    check("%DYNAMIC_METADATA(a:b)% %FILTER_STATE(c):5% %VIRTUAL_CLUSTER_NAME%", "- - -");
    check("%GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(ROMAN)%", "- %GRPC_STATUS(ROMAN)%");
}

#[test]
fn statuses_of_grpc_have_names() {
    let written = |status| {
        [GrpcStatusForm::Camel, GrpcStatusForm::Snake, GrpcStatusForm::Number]
            .map(|form| form.text(status).into_owned())
    };
    assert_eq!(written(5), ["NotFound", "NOT_FOUND", "5"]);
    assert_eq!(written(16), ["Unauthenticated", "UNAUTHENTICATED", "16"]);
    assert_eq!(written(17), ["17", "17", "17"]);
}

#[test]
fn a_doubled_percent_sign_is_one() {
    check("100%%", "100%");
    check("%%REQ(x-user)%%", "%REQ(x-user)%");
}

#[test]
fn unknown_operators_are_kept_and_listed() {
    let check_unknown = |format: &str, unknown: &[&str]| {
        check(format, format);
        assert!(Format::parse(format).unknown().eq(unknown.iter().copied()), "{format}");
    };
    check_unknown("%NONSENSE%", &["%NONSENSE%"]);
    check_unknown("a %NONSENSE(x):3% b", &["%NONSENSE(x):3%"]);
    check_unknown("%REQ%", &["%REQ%"]);
    check_unknown("%REQ()%", &["%REQ()%"]);
    check_unknown("%PROTOCOL(x)%", &["%PROTOCOL(x)%"]);
    check_unknown("50%", &["%"]);
    check_unknown("50% off", &["%"]);
    check_unknown("%REQ(x-user", &["%"]);
    check_unknown("%REQ(x-user):x%", &["%", "%"]);
    assert_eq!(Format::parse("%REQ(x-user)%%%").unknown().count(), 0);
}

#[test]
fn times_are_written_as_asked() {
    check("%START_TIME%", "2024-02-29T12:34:56.789Z");
    check("%START_TIME(%s.%3f)%", "1709210096.789");
    check("%START_TIME(%Y/%m/%d %H:%M:%S.%6f)%", "2024/02/29 12:34:56.789000");
    check("%START_TIME(%F %T %E1S %f)%", "2024-02-29 12:34:56 56.7 789000000");
    check("%START_TIME(%a %A %b %B %j %e %y %I%p)%", "Thu Thursday Feb February 060 29 24 12PM");
    check("%START_TIME(%q %E %)%", "%q %E %");
}

#[test]
fn dates_are_those_of_the_gregorian_calendar() {
    let check = |seconds: u64, expected: &str| {
        let mut out = Vec::new();
        time::append(Duration::from_secs(seconds), "%F %j %a", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    };
    check(0, "1970-01-01 001 Thu");
    check(951_782_400, "2000-02-29 060 Tue");
    check(951_868_800, "2000-03-01 061 Wed");
    check(978_220_800, "2000-12-31 366 Sun");
    check(1_735_603_200, "2024-12-31 366 Tue");
    check(1_740_787_200, "2025-03-01 060 Sat");
    check(4_107_542_400, "2100-03-01 060 Mon");
}
