//! What is sent: ordinary, odd and malformed requests, each with a name.

use super::backend;

/// A name and the bytes that follow the beginning of a connection.
pub(crate) type Case = (String, Vec<u8>);

/// Every case, in order.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let families = [
        routes(),
        targets(),
        hosts(),
        methods(),
        headers(),
        bodies(),
        answers(),
        cors(),
        heads(),
        framing(),
        connections(),
        upgrades(),
        forwarded(),
        limits(),
    ];
    for (family, list) in families {
        cases.extend(list.into_iter().map(|(name, bytes)| (format!("{family}: {name}"), bytes)));
    }
    cases
}

type Family = (&'static str, Vec<Case>);

/// A request with a host and these further lines.
fn request(line: &str, lines: &[&str]) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\nhost: shop.test\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn with_body(line: &str, lines: &[&str], body: &str) -> Vec<u8> {
    let mut bytes = request(line, lines);
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

fn each(family: &'static str, lines: &[&str]) -> Family {
    (family, lines.iter().map(|line| ((*line).to_owned(), request(line, &[]))).collect())
}

fn raw(family: &'static str, list: &[(&str, &str)]) -> Family {
    (
        family,
        list.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect(),
    )
}

fn headed(family: &'static str, line: &str, list: &[&[&str]]) -> Family {
    (family, list.iter().map(|lines| (lines.join(" | "), request(line, lines))).collect())
}

fn routes() -> Family {
    let (family, mut list) = each(
        "routes",
        &[
            "GET /exact",
            "GET /exact/",
            "GET /exact?q=1",
            "GET /Exact",
            "GET /old/a/b?c=d",
            "GET /old",
            "GET /authority/x",
            "GET /item/42",
            "GET /item/42/x",
            "GET /item/x",
            "GET /item/42?x=y",
            "GET /redirect",
            "GET /redirect/more?q=1",
            "GET /moved/a?b=c",
            "GET /secure/x",
            "GET /tea",
            "HEAD /tea",
            "GET /nothing",
            "GET /abort",
            "GET /refused",
            "GET /slow?hang",
            "GET /slow",
            "GET /retry?503",
            "GET /retry",
            "GET /headers",
            "GET /headers?odd",
            "GET /headers?404",
            "GET /only",
            "PUT /only",
            "GET /query?q=a%20b",
            "GET /query?q=a+b",
            "GET /query?q=a b",
            "GET /query?r=12",
            "GET /query?r=12a",
            "GET /query?x=1&r=7&r=z",
            "GET /query",
            "GET /query?q",
            "GET /without",
            "GET /case",
            "GET /CaSe/x",
            "GET /none",
            "GET /",
            "GET /echo?until-close",
            "GET /echo?http10",
        ],
    );
    list.push((
        "only with both".to_owned(),
        request("PUT /only", &["x-version: v2", "content-length: 0"]),
    ));
    list.push((
        "only with another version".to_owned(),
        request("PUT /only", &["x-version: v1", "content-length: 0"]),
    ));
    list.push(("without what it has".to_owned(), request("GET /without", &["x-skip: 1"])));
    list.push(("without what it has, empty".to_owned(), request("GET /without", &["x-skip:"])));
    list.push((
        "headers changed".to_owned(),
        request("GET /headers", &["x-set: old", "x-added: old", "x-removed: 1", "x-kept: 1"]),
    ));
    list.push((
        "headers twice".to_owned(),
        request("GET /headers", &["x-set: a", "x-set: b", "x-removed: 1", "x-removed: 2"]),
    ));
    (family, list)
}

fn targets() -> Family {
    each(
        "targets",
        &[
            "GET //echo",
            "GET /echo//x",
            "GET /echo/./x",
            "GET /echo/../echo/y",
            "GET /../echo",
            "GET /echo/..",
            "GET /echo/%2e%2e/exact",
            "GET /echo/%2E/x",
            "GET /echo/%2f",
            "GET /echo/%2F/x",
            "GET /echo/%5c",
            "GET /echo\\x",
            "GET /echo/%00",
            "GET /echo/%zz",
            "GET /echo/%4",
            "GET /%65cho",
            "GET /echo/%7Euser",
            "GET /echo/%c3%a9",
            "GET /echo/\u{e9}",
            "GET /echo?%2e%2e/",
            "GET /echo?a=../b",
            "GET /echo#fragment",
            "GET /echo?x#y",
            "GET /echo;a=b",
            "GET /echo/a;b/../c",
            "GET /echo?",
            "GET /echo??",
            "GET /echo/\"quoted\"",
            "GET /echo/<>",
            "GET /echo/{}|^`",
            "GET /echo/'",
            "GET http://shop.test/echo",
            "GET http://other.test/echo",
            "GET http://shop.test",
            "GET http://shop.test?q",
            "GET https://shop.test/echo",
            "GET http://user@shop.test/echo",
            "GET http://shop.test:80/echo",
            "GET ftp://shop.test/echo",
            "GET *",
            "OPTIONS *",
            "OPTIONS /echo",
            "GET echo",
            "GET ?x",
            "GET",
            "GET ",
            "CONNECT shop.test:443",
            "CONNECT /echo",
            "GET /echo/a/b/../../../exact",
            "GET /./exact",
            "GET /exact/.",
            "GET /exact/..",
            "GET /.../x",
            "GET /echo/..%2f",
            "GET /echo/.%2e/exact",
            "GET \\exact",
            "GET /echo\tx",
        ],
    )
}

fn hosts() -> Family {
    let host = |name: &str| format!("GET /echo HTTP/1.1\r\nhost:{name}\r\n\r\n");
    let names = [
        " shop.test",
        " SHOP.test",
        " shop.test:80",
        " shop.test:8080",
        " shop.test:x",
        " shop.test.",
        " a.shop.test",
        " a.b.shop.test",
        " .shop.test",
        " xshop.test",
        " other.test",
        "",
        " ",
        " shop.test, other.test",
        " shop test",
        " shop.test/",
        " shop.test?x",
        " user@shop.test",
        " [::1]",
        " [::1]:80",
        " 127.0.0.1",
        " shop.test:0",
        " shop.test:99999",
        " sho%70.test",
        " shop_x.shop.test",
        "\tshop.test\t",
        " *.shop.test",
        " -.shop.test",
    ];
    let mut list: Vec<Case> =
        names.iter().map(|name| (format!("{name:?}"), host(name).into_bytes())).collect();
    let more = [
        ("none", "GET /echo HTTP/1.1\r\n\r\n"),
        ("none in 1.0", "GET /echo HTTP/1.0\r\n\r\n"),
        ("two", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nhost: other.test\r\n\r\n"),
        ("two alike", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nhost: shop.test\r\n\r\n"),
        ("target against header", "GET http://shop.test/echo HTTP/1.1\r\nhost: other.test\r\n\r\n"),
        ("only in the target", "GET http://shop.test/echo HTTP/1.1\r\n\r\n"),
    ];
    list.extend(more.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
    ("hosts", list)
}

fn methods() -> Family {
    each(
        "methods",
        &[
            "HEAD /echo",
            "HEAD /exact?chunked",
            "POST /echo",
            "PUT /echo",
            "DELETE /echo",
            "PATCH /echo",
            "OPTIONS /echo",
            "TRACE /echo",
            "PROPFIND /echo",
            "get /echo",
            "GeT /echo",
            "X-CUSTOM /echo",
            "G@T /echo",
            "M!#$%&'*+-.^_`|~ /echo",
            "PRI /echo",
            "PURGE /echo",
        ],
    )
}

fn headers() -> Family {
    let long = format!("x-long: {}", "v".repeat(8000));
    headed(
        "headers",
        "GET /echo",
        &[
            &["X-Mixed-Case: Value"],
            &["x-empty:"],
            &["x-spaces:    a  b   "],
            &["x-tab:\ta\t"],
            &["x-colon: a:b:c"],
            &["x-twice: a", "x-twice: b"],
            &["x_underscore: 1"],
            &["x.dot: 1"],
            &["x-utf8: \u{e9}"],
            &["x-quote: \"a, b\""],
            &["cookie: a=1; b=2"],
            &["cookie: a=1", "cookie: b=2"],
            &["connection: x-hop", "x-hop: 1"],
            &["connection: keep-alive, x-hop", "x-hop: 1", "keep-alive: 5"],
            &["connection: close"],
            &["connection: host"],
            &["connection: keep-alive"],
            &["connection: Close"],
            &["connection: upgrade"],
            &["te: trailers"],
            &["te: gzip"],
            &["te: trailers, gzip"],
            &["trailer: x"],
            &["upgrade: h2c"],
            &[
                "connection: upgrade, http2-settings",
                "upgrade: h2c",
                "http2-settings: AAMAAABkAAQAAP__",
            ],
            &["proxy-connection: keep-alive"],
            &["proxy-authorization: x"],
            &["expect: 100-continue"],
            &["expect: something"],
            &["transfer-encoding:"],
            &["via: 1.1 x"],
            &["user-agent: me"],
            &["accept-encoding: gzip"],
            &["x-envoy-upstream-rq-timeout-ms: 100"],
            &["x-envoy-max-retries: 5"],
            &["x-envoy-retry-on: 5xx"],
            &["x-envoy-original-path: /x"],
            &["x-envoy-internal: true"],
            &["x-envoy-decorator-operation: x"],
            &["x-envoy-expected-rq-timeout-ms: 7"],
            &["x-envoy-attempt-count: 9"],
            &["x-envoy-peer-metadata: x", "x-envoy-peer-metadata-id: y"],
            &["x-envoy-other: 1"],
            &["x-request-id: mine"],
            &["x-request-id:"],
            &["date: x"],
            &["server: x"],
            &["range: bytes=0-1"],
            &["grpc-timeout: 100m"],
            &["content-type: application/grpc"],
            &[":path: /x"],
            &[":authority: x"],
            &[&long],
            &["authorization: Bearer x"],
            &["x-b3-traceid: 463ac35c9f6413ad48485a3953bb6124"],
            &["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        ],
    )
}

fn bodies() -> Family {
    let post = |lines: &[&str], body: &str| with_body("POST /echo", lines, body);
    let chunked = &["transfer-encoding: chunked"][..];
    let big = "b".repeat(100_000);
    let list: Vec<(&str, Vec<u8>)> = vec![
        ("length", post(&["content-length: 5"], "hello")),
        ("length zero", post(&["content-length: 0"], "")),
        ("length with get", with_body("GET /echo", &["content-length: 5"], "hello")),
        ("length with delete", with_body("DELETE /echo", &["content-length: 5"], "hello")),
        ("length with head", with_body("HEAD /echo", &["content-length: 5"], "hello")),
        ("big", post(&["content-length: 100000"], &big)),
        ("chunked", post(chunked, "5\r\nhello\r\n0\r\n\r\n")),
        ("chunked with get", with_body("GET /echo", chunked, "5\r\nhello\r\n0\r\n\r\n")),
        ("chunked, several", post(chunked, "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")),
        ("chunked, none", post(chunked, "0\r\n\r\n")),
        ("chunked, trailers", post(chunked, "1\r\na\r\n0\r\nx-trailer: 1\r\n\r\n")),
        ("chunked, extension", post(chunked, "1;a=b\r\na\r\n0;c\r\n\r\n")),
        ("chunked, upper case", post(chunked, "A\r\n0123456789\r\n0\r\n\r\n")),
        ("chunked, leading zeros", post(chunked, "0001\r\na\r\n000\r\n\r\n")),
        ("expected", post(&["content-length: 5", "expect: 100-continue"], "hello")),
        ("to a direct answer", with_body("POST /tea", &["content-length: 5"], "hello")),
        ("to a redirect", with_body("POST /redirect", chunked, "5\r\nhello\r\n0\r\n\r\n")),
        ("to nowhere", with_body("POST /none", &["content-length: 5"], "hello")),
        ("to a refusal", with_body("POST /refused", &["content-length: 5"], "hello")),
        ("to an abort", with_body("POST /abort", &["content-length: 5"], "hello")),
        ("retried", with_body("POST /retry?503", &["content-length: 5"], "hello")),
        (
            "of a form",
            post(&["content-type: application/x-www-form-urlencoded", "content-length: 3"], "a=b"),
        ),
    ];
    ("bodies", list.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect())
}

fn answers() -> Family {
    let (family, mut list) = each(
        "answers",
        &[
            "GET /exact?503",
            "GET /exact?404",
            "HEAD /exact",
            "GET /exact?hints",
            "GET /exact?continue",
            "GET /exact?chunked",
            "GET /exact?odd",
            "GET /exact?gone",
            "GET /exact?big-head",
            "HEAD /exact?404",
            "HEAD /exact?304",
            "GET /exact?envoys",
            "GET /exact?hop",
            "GET /exact?two-servers",
            "GET /exact?many-fields",
            "GET /exact?many-hints",
            "GET /exact?extra",
            "GET /exact?two-answers",
            "HEAD /exact?head-with-body",
        ],
    );
    let odd = backend::ODD.iter().map(|(name, _)| {
        let line = format!("GET /exact?{name}");
        (line.clone(), request(&line, &[]))
    });
    list.extend(odd);
    list.push(("after a retry".to_owned(), request("GET /retry?gone", &[])));
    (family, list)
}

fn cors() -> Family {
    let mut list = Vec::new();
    let origins = ["https://app.test", "https://dev.x", "https://evil.test", "null", ""];
    for origin in origins {
        let origin = format!("origin: {origin}");
        list.push((format!("simple, {origin}"), request("GET /cors", &[&origin])));
        let preflight = [origin.as_str(), "access-control-request-method: PUT"];
        list.push((format!("preflight, {origin}"), request("OPTIONS /cors", &preflight)));
        list.push((
            format!("options without method, {origin}"),
            request("OPTIONS /cors", &[&origin]),
        ));
    }
    list.push(("without origin".to_owned(), request("GET /cors", &[])));
    list.push((
        "preflight without origin".to_owned(),
        request("OPTIONS /cors", &["access-control-request-method: PUT"]),
    ));
    ("cors", list)
}

fn heads() -> Family {
    raw(
        "heads",
        &[
            ("bare LF", "GET /echo HTTP/1.1\nhost: shop.test\n\n"),
            ("bare LF in a header", "GET /echo HTTP/1.1\r\nhost: shop.test\nx: y\r\n\r\n"),
            ("bare CR in a value", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nx: a\rb\r\n\r\n"),
            ("NUL in a value", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nx: a\0b\r\n\r\n"),
            ("control in a value", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nx: a\x01b\r\n\r\n"),
            ("delete in a value", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nx: a\x7fb\r\n\r\n"),
            ("folded", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nx: a\r\n b\r\n\r\n"),
            ("folded first", "GET /echo HTTP/1.1\r\n x: a\r\nhost: shop.test\r\n\r\n"),
            ("space before colon", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nx : a\r\n\r\n"),
            ("no colon", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nnonsense\r\n\r\n"),
            ("no name", "GET /echo HTTP/1.1\r\nhost: shop.test\r\n: a\r\n\r\n"),
            ("odd name", "GET /echo HTTP/1.1\r\nhost: shop.test\r\nx(y): a\r\n\r\n"),
            ("empty lines first", "\r\n\r\nGET /echo HTTP/1.1\r\nhost: shop.test\r\n\r\n"),
            ("bare LF first", "\nGET /echo HTTP/1.1\r\nhost: shop.test\r\n\r\n"),
            ("space first", " GET /echo HTTP/1.1\r\nhost: shop.test\r\n\r\n"),
            ("two spaces", "GET  /echo HTTP/1.1\r\nhost: shop.test\r\n\r\n"),
            ("space at the end", "GET /echo HTTP/1.1 \r\nhost: shop.test\r\n\r\n"),
            ("tab", "GET\t/echo\tHTTP/1.1\r\nhost: shop.test\r\n\r\n"),
            ("HTTP/0.9", "GET /echo\r\n\r\n"),
            ("HTTP/1.0", "GET /echo HTTP/1.0\r\nhost: shop.test\r\n\r\n"),
            ("HTTP/1.2", "GET /echo HTTP/1.2\r\nhost: shop.test\r\n\r\n"),
            ("HTTP/2.0", "GET /echo HTTP/2.0\r\nhost: shop.test\r\n\r\n"),
            ("http/1.1", "GET /echo http/1.1\r\nhost: shop.test\r\n\r\n"),
            ("HTTP/1.10", "GET /echo HTTP/1.10\r\nhost: shop.test\r\n\r\n"),
            ("HTTP/11", "GET /echo HTTP/11\r\nhost: shop.test\r\n\r\n"),
            ("no version", "GET /echo \r\nhost: shop.test\r\n\r\n"),
            ("nonsense", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"),
            ("words", "hello there general\r\n\r\n"),
            ("lower-case host header", "GET /echo HTTP/1.1\r\nHOST: shop.test\r\n\r\n"),
        ],
    )
}

fn framing() -> Family {
    let head = "POST /echo HTTP/1.1\r\nhost: shop.test\r\n";
    let list = [
        ("both", "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("both, other order", "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
        ("two lengths", "content-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
        ("two lengths alike", "content-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
        ("list of lengths", "content-length: 5, 5\r\n\r\nhello"),
        ("negative length", "content-length: -5\r\n\r\nhello"),
        ("plus", "content-length: +5\r\n\r\nhello"),
        ("hexadecimal", "content-length: 0x5\r\n\r\nhello"),
        ("empty length", "content-length:\r\n\r\n"),
        ("letters", "content-length: five\r\n\r\nhello"),
        ("too long a length", "content-length: 99999999999999999999\r\n\r\nhello"),
        ("length with spaces", "content-length:  5 \r\n\r\nhello"),
        ("leading zeros", "content-length: 0005\r\n\r\nhello"),
        ("gzip, chunked", "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked, gzip", "transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        (
            "chunked twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("chunked, chunked", "transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("Chunked", "transfer-encoding: Chunked\r\n\r\n0\r\n\r\n"),
        ("xchunked", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("identity", "transfer-encoding: identity\r\n\r\n"),
        ("identity with length", "transfer-encoding: identity\r\ncontent-length: 5\r\n\r\nhello"),
        ("tab chunked", "transfer-encoding:\tchunked\r\n\r\n0\r\n\r\n"),
        ("vertical tab chunked", "transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
        ("space before colon", "transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        ("underscore", "transfer_encoding: chunked\r\n\r\n"),
        ("chunk size is no number", "transfer-encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n"),
        ("chunk size negative", "transfer-encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n"),
        ("chunk size with plus", "transfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"),
        ("chunk size with 0x", "transfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
        (
            "chunk size too large",
            "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        ),
        ("chunk size with spaces", "transfer-encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"),
        ("chunk ends with LF", "transfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
        (
            "chunk is longer than its size",
            "transfer-encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
        ),
        ("extension with LF", "transfer-encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("trailer folded", "transfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n z\r\n\r\n"),
        ("trailer without colon", "transfer-encoding: chunked\r\n\r\n0\r\nnonsense\r\n\r\n"),
        ("trailer is a length", "transfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 5\r\n\r\n"),
    ];
    let mut list: Vec<Case> = list
        .iter()
        .map(|(name, rest)| ((*name).to_owned(), format!("{head}{rest}").into_bytes()))
        .collect();
    let old =
        "POST /echo HTTP/1.0\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    list.push(("chunked in 1.0".to_owned(), old.as_bytes().to_vec()));
    ("framing", list)
}

fn upgrades() -> Family {
    let usual = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", KEY];
    let paths = ["switched", "switched-bare", "switched-other", "switched-length", "404", "503"];
    let mut list: Vec<Case> = paths
        .into_iter()
        .map(|path| (path.to_owned(), request(&format!("GET /exact?{path}"), &usual)))
        .collect();
    let requests: [(&str, &str, &[&str]); 15] = [
        ("nobody upgrades", "GET /exact", &usual),
        ("upper case", "GET /exact?switched", &["Connection: Upgrade", "Upgrade: WebSocket", KEY]),
        (
            "among others",
            "GET /exact?switched",
            &["connection: keep-alive, Upgrade", usual[1], KEY],
        ),
        ("and close", "GET /exact?switched", &["connection: close, upgrade", usual[1], KEY]),
        ("two protocols", "GET /exact?switched", &[usual[0], "upgrade: websocket, foo", KEY]),
        ("two lines", "GET /exact?switched", &[usual[0], usual[1], "upgrade: foo", KEY]),
        ("another protocol", "GET /exact?switched", &[usual[0], "upgrade: foo"]),
        ("no protocol", "GET /exact?switched", &[usual[0], "upgrade:"]),
        ("not named", "GET /exact?switched", &[usual[1], KEY]),
        ("no key", "GET /exact?switched", &[usual[0], usual[1]]),
        ("POST", "POST /exact?switched", &[usual[0], usual[1], "content-length: 0", KEY]),
        ("with a length", "GET /exact?switched", &[usual[0], usual[1], "content-length: 0", KEY]),
        ("to a redirect", "GET /redirect", &usual),
        ("to a direct answer", "GET /tea", &usual),
        ("to nowhere", "GET /refused", &usual),
    ];
    list.extend(requests.map(|(name, line, lines)| (name.to_owned(), request(line, lines))));
    ("upgrades", list)
}

const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";

fn connections() -> Family {
    let get = "GET /exact HTTP/1.1\r\nhost: shop.test\r\n\r\n";
    let post = "POST /exact HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 2\r\n\r\nok";
    raw(
        "connections",
        &[
            ("two", &get.repeat(2)),
            ("twenty", &get.repeat(20)),
            ("post and get", &format!("{post}{get}")),
            ("post, empty line, get", &format!("{post}\r\n{get}")),
            ("get and nonsense", &format!("{get}nonsense\r\n\r\n")),
            (
                "close and more",
                &format!(
                    "GET /exact HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n{get}"
                ),
            ),
            (
                "1.0 with keep-alive",
                "GET /exact HTTP/1.0\r\nhost: shop.test\r\nconnection: keep-alive\r\n\r\n",
            ),
            ("direct and forwarded", &format!("GET /tea HTTP/1.1\r\nhost: shop.test\r\n\r\n{get}")),
            (
                "not found and forwarded",
                &format!("GET /none HTTP/1.1\r\nhost: shop.test\r\n\r\n{get}"),
            ),
            ("preface of HTTP/2 in the middle", &format!("{get}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        ],
    )
}

fn forwarded() -> Family {
    headed(
        "forwarded",
        "GET /echo",
        &[
            &["x-forwarded-for: 203.0.113.9"],
            &["x-forwarded-for: 203.0.113.9, 10.0.0.1"],
            &["x-forwarded-for: nonsense"],
            &["x-forwarded-for: 203.0.113.9", "x-forwarded-for: 198.51.100.7"],
            &["x-forwarded-proto: https"],
            &["x-forwarded-proto: ftp"],
            &["x-forwarded-host: other.test"],
            &["x-forwarded-port: 1"],
            &["x-forwarded-client-cert: Hash=1"],
            &["x-real-ip: 203.0.113.9"],
            &["forwarded: for=203.0.113.9"],
            &["x-envoy-external-address: 203.0.113.9"],
            &["x-forwarded-scheme: https"],
            &["x-forwarded-path: /x"],
        ],
    )
}

fn limits() -> Family {
    let many: String = (0..101).map(|index| format!("x-{index}: 1\r\n")).collect();
    let enough: String = (0..90).map(|index| format!("x-{index}: 1\r\n")).collect();
    raw(
        "limits",
        &[
            ("90 headers", &format!("GET /exact HTTP/1.1\r\nhost: shop.test\r\n{enough}\r\n")),
            ("102 headers", &format!("GET /exact HTTP/1.1\r\nhost: shop.test\r\n{many}\r\n")),
            (
                "a header of 50 KiB",
                &format!(
                    "GET /exact HTTP/1.1\r\nhost: shop.test\r\nx: {}\r\n\r\n",
                    "v".repeat(50 << 10)
                ),
            ),
            (
                "a header of 70 KiB",
                &format!(
                    "GET /exact HTTP/1.1\r\nhost: shop.test\r\nx: {}\r\n\r\n",
                    "v".repeat(70 << 10)
                ),
            ),
            (
                "a target of 30 KiB",
                &format!("GET /exact?{} HTTP/1.1\r\nhost: shop.test\r\n\r\n", "v".repeat(30 << 10)),
            ),
            (
                "a target of 70 KiB",
                &format!("GET /exact?{} HTTP/1.1\r\nhost: shop.test\r\n\r\n", "v".repeat(70 << 10)),
            ),
            (
                "a name of 1 KiB",
                &format!(
                    "GET /exact HTTP/1.1\r\nhost: shop.test\r\n{}: 1\r\n\r\n",
                    "n".repeat(1 << 10)
                ),
            ),
            (
                "a method of 1 KiB",
                &format!("{} /exact HTTP/1.1\r\nhost: shop.test\r\n\r\n", "M".repeat(1 << 10)),
            ),
            (
                "a trailer of 70 KiB",
                &format!(
                    "POST /echo HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: {}\r\n\r\n",
                    "v".repeat(70 << 10)
                ),
            ),
            (
                "an extension of 70 KiB",
                &format!(
                    "POST /echo HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n0;{}\r\n\r\n",
                    "v".repeat(70 << 10)
                ),
            ),
        ],
    )
}
