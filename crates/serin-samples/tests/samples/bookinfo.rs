//! The bookshop.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::running::{Running, start};

/// Productpage with details, ratings and one version of reviews behind it.
async fn shop(version: &str, ratings: &Running) -> (Running, [Running; 2]) {
    let details = start("details", &[]).await;
    let pod = format!("reviews-{version}-abc-def");
    let reviews = [
        ("SERIN_SAMPLE_VERSION", version),
        ("HOSTNAME", &pod),
        ("RATINGS_HOSTNAME", "127.0.0.1"),
        ("RATINGS_SERVICE_PORT", &ratings.port()),
    ];
    let reviews = start("reviews", &reviews).await;
    let page = productpage(&details, &reviews, ratings).await;
    (page, [details, reviews])
}

async fn productpage(details: &Running, reviews: &Running, ratings: &Running) -> Running {
    let variables = [
        ("DETAILS_HOSTNAME", "127.0.0.1"),
        ("DETAILS_SERVICE_PORT", &details.port()),
        ("REVIEWS_HOSTNAME", "127.0.0.1"),
        ("REVIEWS_SERVICE_PORT", &reviews.port()),
        ("RATINGS_HOSTNAME", "127.0.0.1"),
        ("RATINGS_SERVICE_PORT", &ratings.port()),
    ];
    start("productpage", &variables).await
}

#[tokio::test]
async fn the_page_shows_the_book_the_stars_and_who_answered() {
    let ratings = start("ratings", &[]).await;
    for (version, badge, stars) in [
        ("v1", "reviews v1 · no stars", None),
        ("v2", "reviews v2 · black stars", Some("stars black")),
        ("v3", "reviews v3 · red stars", Some("stars red")),
    ] {
        let (page, _behind) = shop(version, &ratings).await;
        let reply = page.get("/productpage").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        for text in ["The Comedy of Errors", "PublisherA", badge, &format!("reviews-{version}-abc")]
        {
            assert!(reply.body.contains(text), "{version} without {text}");
        }
        assert_eq!(reply.body.contains("aria-label=\"5 of 5 stars\""), stars.is_some());
        assert!(stars.is_none_or(|class| reply.body.contains(class)), "{version}");
        assert!(!reply.body.contains("http://"), "nothing comes from elsewhere");
    }
}

#[tokio::test]
async fn reviews_have_no_stars_black_ones_and_red_ones() {
    let ratings = start("ratings", &[]).await;
    let rating = |stars: u8, color: &str| json!({ "stars": stars, "color": color });
    for (version, expect) in [
        ("v1", [json!(null), json!(null)]),
        ("v2", [rating(5, "black"), rating(4, "black")]),
        ("v3", [rating(5, "red"), rating(4, "red")]),
    ] {
        let (_page, [_, reviews]) = shop(version, &ratings).await;
        let reply = reviews.get("/reviews/7").await.json();
        assert_eq!(reply["id"], "7");
        assert_eq!(reply["podname"], format!("reviews-{version}-abc-def"));
        assert_eq!(reply["clustername"], "null");
        assert_eq!(reply["reviews"][0]["reviewer"], "Reviewer1");
        let got = [0, 1].map(|index| reply["reviews"][index]["rating"].clone());
        assert_eq!(got, expect, "{version}");
        assert_eq!(reviews.get("/reviews/seven").await.status, 404);
    }
}

#[tokio::test]
async fn reviews_tell_when_ratings_fail() {
    let ratings = start("ratings", &[("SERIN_SAMPLE_ERRORS", "100%")]).await;
    let (page, [_, reviews]) = shop("v2", &ratings).await;
    let reply = reviews.get("/reviews/0").await;
    assert_eq!(reply.status, 200);
    let sorry = "Ratings service is currently unavailable";
    assert_eq!(reply.json()["reviews"][1]["rating"]["error"], sorry);
    assert!(page.get("/productpage").await.body.contains(sorry));
}

#[tokio::test]
async fn without_its_services_the_page_says_what_is_missing() {
    let ratings = start("ratings", &[]).await;
    let (page, [details, reviews]) = shop("v1", &ratings).await;
    details.stop().await.unwrap();
    reviews.stop().await.unwrap();
    let reply = page.get("/productpage").await;
    assert_eq!(reply.status, 200);
    for text in ["product details are currently", "product reviews are currently"] {
        assert!(reply.body.contains(text), "{text}");
    }
    let reply = page.get("/api/v1/products/0/reviews").await;
    assert_eq!(reply.status, 500);
    assert_eq!(
        reply.json()["error"],
        "The product reviews are currently unavailable for this book."
    );
}

#[tokio::test]
async fn the_api_passes_on_what_services_say_and_their_errors() {
    let ratings = start("ratings", &[]).await;
    let (page, _behind) = shop("v1", &ratings).await;
    let products = page.get("/api/v1/products").await.json();
    assert_eq!(products[0]["id"], 0);
    assert_eq!(products[0]["title"], "The Comedy of Errors");
    assert_eq!(page.get("/api/v1/products/0").await.json()["ISBN-13"], "123-1234567890");
    let stars = page.get("/api/v1/products/0/ratings").await.json();
    assert_eq!(stars, json!({ "id": 0, "ratings": { "Reviewer1": 5, "Reviewer2": 4 } }));
    assert_eq!(page.get("/api/v1/products/0/weather").await.status, 404);
    assert_eq!(page.get("/nowhere").await.status, 404);
    assert_eq!(page.get("/login").await.status, 405);
    ratings.ask("POST", "/misbehave", &[], "errors=1&status=503").await;
    assert_eq!(page.get("/api/v1/products/0/ratings").await.status, 503);
    let metrics = page.get("/metrics").await.body;
    for (code, count) in [(200, 1), (503, 1)] {
        let line = format!(
            "request_result_total{{destination_app=\"ratings\",response_code=\"{code}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test]
async fn headers_of_traces_and_of_the_signed_in_user_are_passed_on() {
    let echo = start("echo", &[]).await;
    let page = productpage(&echo, &echo, &echo).await;
    let signed_in = page.ask("POST", "/login", &[], "username=jason&passwd=x").await;
    assert_eq!((signed_in.status, signed_in.header("location")), (302, Some("/productpage")));
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let cookie = format!("cookie: {cookie}; reviews-cookie=V2");
    let headers = [
        cookie.as_str(),
        "x-request-id: 1",
        "traceparent: 00-2-3-01",
        "x-b3-traceid: 4",
        "baggage: lane=blue",
        "authorization: Bearer 5",
        "user-agent: test",
        "end-user: mallory",
        "x-secret: 6",
    ];
    let seen = page.ask("GET", "/api/v1/products/0/reviews", &headers, "").await.json();
    assert_eq!(seen["path"], "/reviews/0");
    let seen = &seen["headers"];
    assert_eq!(seen["x-request-id"], "1");
    assert_eq!(seen["traceparent"], "00-2-3-01");
    assert_eq!(seen["x-b3-traceid"], "4");
    assert_eq!(seen["baggage"], "lane=blue");
    assert_eq!(seen["authorization"], "Bearer 5");
    assert_eq!(seen["user-agent"], "test");
    assert_eq!(seen["end-user"], "jason", "the session says who the user is");
    assert!(seen["cookie"].as_str().unwrap().contains("reviews-cookie=V2"));
    assert!(seen["x-secret"].is_null());
    let anonymous = page.ask("GET", "/api/v1/products/0", &["end-user: mallory"], "").await.json();
    assert!(anonymous["headers"]["end-user"].is_null());
}

#[tokio::test]
async fn reviews_pass_on_the_user_whom_they_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let variables = [
        ("SERIN_SAMPLE_VERSION", "v3"),
        ("RATINGS_HOSTNAME", "127.0.0.1"),
        ("RATINGS_SERVICE_PORT", &port),
    ];
    let reviews = start("reviews", &variables).await;
    let ratings = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            request.push(char::from(stream.read_u8().await.unwrap()));
        }
        let body = r#"{"id":0,"ratings":{"Reviewer1":3}}"#;
        let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(reply.as_bytes()).await.unwrap();
        request
    };
    let headers = ["end-user: jason", "x-request-id: 1", "x-secret: 2"];
    let (request, reply) = tokio::join!(ratings, reviews.ask("GET", "/reviews/0", &headers, ""));
    assert!(request.starts_with("GET /ratings/0 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("end-user: jason\r\n") && request.contains("x-request-id: 1\r\n"));
    assert!(!request.contains("x-secret"), "{request}");
    let reviews = &reply.json()["reviews"];
    assert_eq!(reviews[0]["rating"], json!({ "stars": 3, "color": "red" }));
    assert!(reviews[1]["rating"]["error"].is_string(), "the second reviewer gave no stars");
}

#[tokio::test]
async fn signing_out_forgets_the_user() {
    let ratings = start("ratings", &[]).await;
    let (page, _behind) = shop("v1", &ratings).await;
    let cookie = ["cookie: session=jason"];
    let shown = page.ask("GET", "/productpage", &cookie, "").await.body;
    assert!(shown.contains("Signed in as <strong>jason</strong>"));
    let reply = page.ask("GET", "/logout", &cookie, "").await;
    assert_eq!((reply.status, reply.header("location")), (302, Some("/productpage")));
    assert!(reply.header("set-cookie").unwrap().starts_with("session=; Path=/; Max-Age=0"));
}

#[tokio::test]
async fn ratings_are_taken_and_nonsense_is_refused() {
    let ratings = start("ratings", &[]).await;
    let posted = ratings.ask("POST", "/ratings/3", &[], r#"{"Reviewer1":1,"Reviewer2":2}"#).await;
    let expect = json!({ "id": 3, "ratings": { "Reviewer1": 1, "Reviewer2": 2 } });
    assert_eq!((posted.status, posted.json()), (200, expect.clone()));
    assert_eq!(ratings.get("/ratings/3").await.json(), expect);
    assert_eq!(ratings.get("/ratings/0").await.json()["ratings"]["Reviewer1"], 5);
    let bad = ratings.ask("POST", "/ratings/3", &[], "five").await;
    assert_eq!(
        (bad.status, bad.body),
        (400, r#"{"error":"please provide valid ratings JSON"}"#.into())
    );
    let bad = ratings.get("/ratings/x").await;
    assert_eq!(
        (bad.status, bad.body),
        (400, r#"{"error":"please provide numeric product ID"}"#.into())
    );
    assert_eq!(ratings.ask("DELETE", "/ratings/3", &[], "").await.status, 405);
    let details = start("details", &[]).await;
    assert_eq!(details.get("/details/x").await.status, 400);
    assert_eq!(details.get("/details/0").await.json()["author"], "William Shakespeare");
}

#[tokio::test]
async fn faulty_ratings_fail_half_of_the_time() {
    let ratings = start("ratings", &[("SERVICE_VERSION", "v-faulty")]).await;
    let mut failed = 0;
    for _ in 0..200 {
        let reply = ratings.get("/ratings/0").await;
        failed += usize::from(reply.status == 503);
    }
    // More than seven standard deviations on either side.
    assert!((50..=150).contains(&failed), "{failed} of 200");
}
