//! What each door answers, and what it lets in.

use model::{Event, Item, LoginId};

use super::*;

const PAGE_400: &str = "<html><title>400: Bad Request</title><body>400: Bad Request</body></html>";
const PAGE_404: &str = "<html><title>404: Not Found</title><body>404: Not Found</body></html>";
const PAGE_405: &str =
    "<html><title>405: Method Not Allowed</title><body>405: Method Not Allowed</body></html>";
const PAGE_500: &str = "<html><title>500: Internal Server Error</title>\
                        <body>500: Internal Server Error</body></html>";

const ACCEPT_JSON: &str = "Accept: application/json\r\n";

const POST_PATHS: [&str; 4] = [
    "/post_events_json",
    "/post_events_proto",
    "/post_notification_json",
    "/post_notification_proto",
];

const GET_PATHS: [&str; 5] = [
    "/get_request_queue",
    "/get_apn_sender_queue",
    "/get_notification_post_processor_queue",
    "/healthz",
    "/metrics",
];

#[tokio::test]
async fn a_good_post_is_answered_as_pushkin_did_and_stands_in_the_queue() {
    let test = TestServer::start().await;
    let response = test.answer(&post("/post_events_json", "", EVENT)).await;
    assert_eq!((response.status, &*response.body), (200, ""));
    assert_eq!(response.header("content-length"), "0");
    assert_eq!(response.header("content-type"), "text/html; charset=UTF-8");
    assert_eq!(
        response.header("server"),
        concat!("Onegin/", env!("CARGO_PKG_VERSION"))
    );
    assert!(response.header("date").ends_with(" GMT"));
    let requests = test.taken();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].lane, Lane::Urgent);
    assert_eq!(requests[0].accepted_at, UnixMs(1_795_293_388_117));
    assert_eq!(
        requests[0].items,
        [Item::Event(Event {
            login: LoginId(1),
            event_id: 2,
            timestamp: Some(UnixMs(3)),
            pairs: Vec::new(),
        })]
    );
}

#[tokio::test]
async fn each_post_url_is_its_own_door() {
    let test = TestServer::start().await;
    let bodies: [(&str, &[u8]); 4] = [
        ("/post_events_json", EVENT.as_bytes()),
        ("/post_events_proto", b"\x0a\x06\x08\x01\x10\x02\x20\x03"),
        (
            "/post_notification_json",
            br#"{"notifications": [{"login_id": 1, "title": "T", "content": "C"}]}"#,
        ),
        (
            "/post_notification_proto",
            b"\x0a\x08\x08\x01\x12\x01T\x1a\x01C",
        ),
    ];
    for (place, (path, body)) in bodies.into_iter().enumerate() {
        assert_eq!(
            test.answer(&post(path, "", body)).await.status,
            200,
            "{path}"
        );
        for (other, (wrong_path, _)) in bodies.into_iter().enumerate() {
            let json = |place: usize| place.is_multiple_of(2);
            if json(other) != json(place) {
                let response = test.answer(&post(wrong_path, "", body)).await;
                assert_eq!(response.status, 400, "{path}'s body at {wrong_path}");
            }
        }
    }
    let kinds: Vec<_> = test
        .taken()
        .iter()
        .map(|request| matches!(request.items[..], [Item::Event(_)]))
        .collect();
    assert_eq!(kinds, [true, true, false, false]);
}

#[tokio::test]
async fn content_type_and_a_false_content_encoding_are_not_looked_at() {
    let test = TestServer::start().await;
    for headers in [
        "Content-Type: multipart/form-data\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: nonsense\r\n",
    ] {
        let response = test
            .answer(&post("/post_events_json", headers, EVENT))
            .await;
        assert_eq!(response.status, 200, "{headers}");
    }
    assert_eq!(test.taken().len(), 4);
}

#[tokio::test]
async fn an_empty_or_broken_body_is_a_bad_request() {
    let test = TestServer::start().await;
    for path in POST_PATHS {
        for body in ["", "asd"] {
            let response = test.answer(&post(path, "", body)).await;
            assert_eq!(
                (response.status, &*response.body),
                (400, PAGE_400),
                "{path} {body:?}"
            );
            assert_eq!(response.header("content-type"), "text/html; charset=UTF-8");
        }
    }
    assert_eq!(test.taken(), []);
    assert_eq!(test.metric("http_responses_total{code=\"400\"}"), 8);
}

#[tokio::test]
async fn bad_items_are_skipped_and_counted_and_the_rest_is_taken() {
    let test = TestServer::start().await;
    let body = r#"{"events": [5, {"user_id": 1, "event_id": 2, "timestamp": 3}, {}]}"#;
    let response = test.answer(&post("/post_events_json", "", body)).await;
    assert_eq!((response.status, &*response.body), (200, ""));
    assert_eq!(test.taken()[0].items.len(), 1);
    let response = test
        .answer(&post("/post_events_json", "", "{\"events\": [5]}"))
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(test.taken(), [], "nothing to queue, so no request");
    assert_eq!(test.metric("items_accepted_total"), 1);
    assert_eq!(test.metric("items_rejected_total"), 3);
}

#[tokio::test]
async fn who_asks_for_json_is_told_what_was_taken_and_what_is_wrong() {
    let test = TestServer::start().await;
    let body = r#"{"events": [5, {"user_id": 1, "event_id": 2, "timestamp": 3}, {}]}"#;
    let response = test
        .answer(&post("/post_events_json", ACCEPT_JSON, body))
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), "application/json");
    assert_eq!(
        response.body,
        r#"{"accepted":1,"rejected":[{"index":0,"reason":"not an object"},{"index":2,"reason":"user_id is missing"}]}"#
    );
    let cases = [
        (
            post("/post_events_json", ACCEPT_JSON, "{\"events\": [}"),
            400,
            r#"{"error":"the body is not JSON: expected value at line 1 column 13"}"#,
        ),
        (
            post("/post_events_json", ACCEPT_JSON, ""),
            400,
            r#"{"error":"the body is empty"}"#,
        ),
        (
            get("/", ACCEPT_JSON),
            404,
            r#"{"error":"there is nothing at this path"}"#,
        ),
        (
            get("/post_events_json", ACCEPT_JSON),
            405,
            r#"{"error":"this path takes POST only"}"#,
        ),
        (
            get("/get_gcm_sender_queue", ACCEPT_JSON),
            400,
            r#"{"error":"this queue does not exist: its sender is not enabled"}"#,
        ),
    ];
    for (request, status, body) in cases {
        let response = test.answer(&request).await;
        assert_eq!((response.status, &*response.body), (status, body));
    }
}

#[tokio::test]
async fn the_whole_path_must_match_and_the_query_is_not_looked_at() {
    let test = TestServer::start().await;
    let found = test
        .answer(&post("/post_events_json?a=/b", "", EVENT))
        .await;
    assert_eq!(found.status, 200);
    for path in [
        "/",
        "/post_events_json/",
        "//post_events_json",
        "/post_events_jso",
        "/post_events_jsonx",
        "/x/post_events_json",
    ] {
        let response = test.answer(&post(path, "", EVENT)).await;
        assert_eq!(
            (response.status, &*response.body),
            (404, PAGE_404),
            "{path}"
        );
    }
    assert_eq!(test.answer(&get("/healthz/", "")).await.status, 404);
}

#[tokio::test]
async fn every_other_method_is_refused_by_name() {
    let test = TestServer::start().await;
    let request = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes()
    };
    let refused = |response: client::Response, method: &str, allow: &str| {
        assert_eq!((response.status, response.header("allow")), (405, allow));
        let body = if method == "HEAD" { "" } else { PAGE_405 };
        assert_eq!(response.body, body, "{method}");
    };
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        for path in POST_PATHS {
            refused(test.answer(&request(method, path)).await, method, "POST");
        }
    }
    for method in ["POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        for path in GET_PATHS {
            refused(test.answer(&request(method, path)).await, method, "GET");
        }
    }
}

#[tokio::test]
async fn a_full_queue_takes_nothing_of_a_batch_and_exact_counts_are_kept() {
    let test = TestServer::start_with(limits(), 5, |_| {}).await;
    let batch = |count: usize| {
        let items = vec![r#"{"user_id": 1, "event_id": 2, "timestamp": 3}"#; count];
        post(
            "/post_events_json",
            "",
            format!("{{\"events\": [{}]}}", items.join(",")),
        )
    };
    assert_eq!(test.answer(&batch(3)).await.status, 200);
    let full = test.answer(&batch(3)).await;
    assert_eq!(
        (full.status, &*full.body, full.header("retry-after")),
        (503, "", "1")
    );
    assert_eq!(full.header("content-length"), "0");
    assert_eq!(test.answer(&get("/get_request_queue", "")).await.body, "3");
    assert_eq!(test.answer(&batch(2)).await.status, 200);
    assert_eq!(test.answer(&batch(1)).await.status, 503);
    assert_eq!(test.answer(&get("/get_request_queue", "")).await.body, "5");
    assert_eq!(test.queue.depth(), 5);
    assert_eq!(test.queue.monitor().refused(), 4);
    assert_eq!(test.metric("items_accepted_total"), 5);
    let json = [ACCEPT_JSON, "Connection: close\r\n"].concat();
    let full = test.answer(&post("/post_events_json", &json, EVENT)).await;
    assert_eq!(
        (full.status, &*full.body),
        (
            503,
            r#"{"error":"there is no room for 1 items, nothing was taken: the request_queue is full"}"#
        )
    );
    assert_eq!(test.taken().len(), 2);
    assert_eq!(test.answer(&batch(5)).await.status, 200);
}

#[tokio::test]
async fn monitoring_shows_bare_digits_with_an_entity_tag() {
    let test = TestServer::start().await;
    let response = test.answer(&get("/get_request_queue", "")).await;
    assert_eq!((response.status, &*response.body), (200, "0"));
    assert_eq!(response.header("content-type"), "text/html; charset=UTF-8");
    // The golden sample: the SHA-1 of "0".
    let tag = "\"b6589fc6ab0dc82cf12099d1c2d40ab994e8410c\"";
    assert_eq!(response.header("etag"), tag);
    let senders = test.answer(&get("/get_apn_sender_queue", "")).await;
    assert_eq!(senders.body, "12345");
    let known = [
        tag.to_owned(),
        format!("W/{tag}"),
        format!("\"x\", {tag}"),
        "*".to_owned(),
    ];
    for known in known {
        let headers = format!("If-None-Match: {known}\r\n");
        let response = test.answer(&get("/get_request_queue", &headers)).await;
        assert_eq!((response.status, &*response.body), (304, ""), "{known}");
        assert_eq!(response.header("etag"), tag);
        let changed = test.answer(&get("/get_apn_sender_queue", &headers)).await;
        assert_eq!(changed.status, if known == "*" { 304 } else { 200 });
    }
}

#[tokio::test]
async fn the_queue_of_a_sender_that_is_not_enabled_is_a_bad_request() {
    let test = TestServer::start().await;
    let response = test.answer(&get("/get_gcm_sender_queue", "")).await;
    assert_eq!((response.status, &*response.body), (400, PAGE_400));
}

#[tokio::test]
async fn health_says_ok_and_readiness_says_why_not() {
    let ready = TestServer::start().await;
    let not_ready = TestServer::start_with(limits(), 1, |doors| {
        doors.readiness = Arc::new(|| Err("the database does not answer".to_owned()));
    })
    .await;
    for test in [&ready, &not_ready] {
        let response = test.answer(&get("/healthz", "")).await;
        assert_eq!((response.status, &*response.body), (200, "ok"));
    }
    let response = ready.answer(&get("/readyz", "")).await;
    assert_eq!((response.status, &*response.body), (200, "ready"));
    let response = not_ready.answer(&get("/readyz", "")).await;
    assert_eq!(
        (response.status, &*response.body),
        (503, "the database does not answer")
    );
    let response = not_ready.answer(&get("/readyz", ACCEPT_JSON)).await;
    assert_eq!(response.body, r#"{"error":"the database does not answer"}"#);
}

#[tokio::test]
async fn metrics_are_openmetrics_text() {
    let test = TestServer::start().await;
    test.answer(&post("/post_events_json", "", EVENT)).await;
    let response = test.answer(&get("/metrics", "")).await;
    assert_eq!(response.status, 200);
    assert!(
        response
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    for line in [
        "http_responses_total{code=\"200\"} 1",
        "http_responses_total{code=\"503\"} 0",
        "items_accepted_total 1",
        "# EOF",
    ] {
        assert!(response.body.contains(line), "{line} in {}", response.body);
    }
}

#[tokio::test]
async fn a_panic_costs_one_answer() {
    let test = TestServer::start_with(limits(), 10, |doors| {
        doors.metrics_text = Arc::new(|| panic!("this panic is part of the test"));
    })
    .await;
    let mut client = test.connect().await;
    let response = client.ask(&get("/metrics", "")).await;
    assert_eq!((response.status, &*response.body), (500, PAGE_500));
    assert_eq!(test.metric("http_responses_total{code=\"500\"}"), 1);
    assert_eq!(
        test.answer(&post("/post_events_json", "", EVENT))
            .await
            .status,
        200
    );
}
