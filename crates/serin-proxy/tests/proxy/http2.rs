//! HTTP/2 from clients.

use crate::support::{Setup, ask, client, echo, request, run};

#[test]
fn prior_knowledge_is_known_by_the_first_bytes() {
    let running = Setup::new(echo()).start();
    let answer = run(async {
        let client = client(running.address).await;
        ask(&client, request("GET", "/x?y"), b"", None).await
    });
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with(b"GET /x?y HTTP/1.1\r\nhost: echo.example\r\n"));
}
