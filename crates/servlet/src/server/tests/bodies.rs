//! How bodies arrive: in pieces, compressed, too large, too many.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{
    client::{post_head, within},
    *,
};

const PAGE_413: &str = "<html><title>413: Payload Too Large</title>\
                        <body>413: Payload Too Large</body></html>";

const GZIP: &str = "Content-Encoding: gzip\r\n";

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut request = b"POST /post_events_json HTTP/1.1\r\nHost: test\r\n\
                        Transfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    for piece in pieces {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

fn small_bodies() -> Limits {
    let mut limits = limits();
    limits.body.bytes = 200;
    limits
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let test = TestServer::start().await;
    let mut client = test.connect().await;
    for _ in 0..3 {
        let response = client.ask(&post("/post_events_json", "", EVENT)).await;
        assert_eq!((response.status, response.header("connection")), (200, ""));
        assert_eq!(client.ask(&get("/healthz", "")).await.body, "ok");
        assert_eq!(client.ask(&get("/nothing", "")).await.status, 404);
    }
    assert_eq!(test.taken().len(), 3);
    assert_eq!(test.metric("http_connections"), 1);
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let test = TestServer::start().await;
    let mut client = test.connect().await;
    let requests = [
        post("/post_events_json", "", EVENT),
        post("/post_events_json", "", "asd"),
        get("/healthz", ""),
    ];
    client.send(&requests.concat()).await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.response().await.status, 400);
    assert_eq!(client.response().await.body, "ok");
}

#[tokio::test]
async fn chunked_bodies_are_taken_on_a_connection_that_stays() {
    let test = TestServer::start().await;
    let (first, second) = EVENT.as_bytes().split_at(20);
    let mut client = test.connect().await;
    for _ in 0..2 {
        let response = client.ask(&chunked(&[first, second])).await;
        assert_eq!(response.status, 200);
    }
    assert_eq!(test.taken().len(), 2);
}

#[tokio::test]
async fn a_body_of_many_pieces_is_taken_whole() {
    let test = TestServer::start().await;
    let items = vec![r#"{"user_id": 1, "event_id": 2, "timestamp": 3}"#; 900];
    let body = format!("{{\"events\": [{}]}}", items.join(","));
    let mut client = test.connect().await;
    client
        .send(&post_head("/post_events_json", "", body.len()))
        .await;
    for piece in body.as_bytes().chunks(777) {
        client.send(piece).await;
    }
    assert_eq!(client.response().await.status, 200);
    assert_eq!(test.taken()[0].items.len(), 900);
}

#[tokio::test]
async fn a_large_body_is_decoded_off_the_runtime_with_the_same_result() {
    let test = TestServer::start_with(limits(), 100_000, |_| {}).await;
    let items = vec![r#"{"user_id": 1, "event_id": 2, "timestamp": 3}"#; 40_000];
    let body = format!("{{\"events\": [{}]}}", items.join(","));
    assert!(body.len() > 1 << 20);
    let response = test.answer(&post("/post_events_json", "", &body)).await;
    assert_eq!(response.status, 200);
    let requests = test.taken();
    assert_eq!(
        (requests[0].items.len(), requests[0].lane),
        (40_000, Lane::Bulk)
    );
    let broken = body.replace("]}", "]");
    let response = test.answer(&post("/post_events_json", "", broken)).await;
    assert_eq!(response.status, 400);
}

#[tokio::test]
async fn a_gzip_body_is_inflated_where_the_header_says_so() {
    let test = TestServer::start().await;
    let body = gzip(EVENT.as_bytes());
    for headers in [GZIP, "Content-Encoding: X-GZIP\r\n"] {
        let response = test
            .answer(&post("/post_events_json", headers, &body))
            .await;
        assert_eq!(response.status, 200, "{headers}");
    }
    assert_eq!(test.taken().len(), 2);
    let unannounced = test.answer(&post("/post_events_json", "", &body)).await;
    assert_eq!(unannounced.status, 400);
    let (first, second) = EVENT.as_bytes().split_at(20);
    let two_members = [gzip(first), gzip(second)].concat();
    let response = test
        .answer(&post("/post_events_json", GZIP, two_members))
        .await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn a_client_that_closes_its_side_after_its_request_is_still_answered() {
    let test = TestServer::start().await;
    // Inflated beside the connection: the client's end is seen before the answer is there.
    let taken = post("/post_events_json", GZIP, gzip(EVENT.as_bytes()));
    let not_found = post("/nothing", "", EVENT);
    for (request, status) in [(taken, 200), (not_found, 404), (get("/healthz", ""), 200)] {
        let mut client = test.connect().await;
        client.send(&request).await;
        client.close_sending_side().await;
        assert_eq!(client.response().await.status, status);
        client.closed().await;
    }
    assert_eq!(test.taken().len(), 1);
}

#[tokio::test]
async fn broken_gzip_is_a_bad_request() {
    let test = TestServer::start().await;
    let body = gzip(EVENT.as_bytes());
    for broken in [&body[..2], &body[..body.len() - 1], b"\x1f\x8bnonsense"] {
        let response = test.answer(&post("/post_events_json", GZIP, broken)).await;
        assert_eq!(response.status, 400);
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_too_large() {
    let test = TestServer::start().await;
    let bomb = gzip(&vec![b' '; (16 << 20) + 1]);
    assert!(bomb.len() < 20_000);
    let response = test.answer(&post("/post_events_json", GZIP, bomb)).await;
    assert_eq!((response.status, &*response.body), (413, PAGE_413));
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_it_is_sent() {
    let test = TestServer::start_limited(small_bodies()).await;
    let mut client = test.connect().await;
    client.send(&post_head("/post_events_json", "", 201)).await;
    let response = client.response().await;
    assert_eq!((response.status, &*response.body), (413, PAGE_413));
    assert_eq!(response.header("connection"), "close");
}

#[tokio::test]
async fn a_client_that_sends_a_refused_body_to_its_end_still_reads_the_answer() {
    let test = TestServer::start_limited(small_bodies()).await;
    // More than the sockets' buffers hold.
    let body = vec![b' '; 16 << 20];
    let mut client = test.connect().await;
    let response = client.ask(&post("/post_events_json", "", &body)).await;
    assert_eq!((response.status, &*response.body), (413, PAGE_413));
    client.closed().await;
}

#[tokio::test]
async fn a_chunked_body_is_cut_off_at_the_limit() {
    let test = TestServer::start_limited(small_bodies()).await;
    let response = test.answer(&chunked(&[&[b' '; 200], b" "])).await;
    assert_eq!((response.status, &*response.body), (413, PAGE_413));
    let exactly = format!("{EVENT:200}");
    let response = test.answer(&chunked(&[exactly.as_bytes()])).await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn a_client_that_waits_for_the_go_ahead_gets_it_only_for_a_body_that_is_wanted() {
    let test = TestServer::start_limited(small_bodies()).await;
    let expecting = "Expect: 100-continue\r\n";
    let mut client = test.connect().await;
    client
        .send(&post_head("/post_events_json", expecting, EVENT.len()))
        .await;
    assert_eq!(client.response().await.status, 100);
    assert_eq!(client.ask(EVENT.as_bytes()).await.status, 200);
    let mut client = test.connect().await;
    client
        .send(&post_head("/post_events_json", expecting, 201))
        .await;
    assert_eq!(client.response().await.status, 413);
}

#[tokio::test]
async fn all_bodies_together_have_a_budget_and_give_it_back() {
    let mut limits = limits();
    limits.body.inflight_bytes = 2 * EVENT.len() - 2;
    let test = TestServer::start_limited(limits).await;
    let (most, last) = EVENT.as_bytes().split_at(EVENT.len() - 1);
    let mut slow = test.connect().await;
    slow.send(&post("/post_events_json", "", most)[..]).await;
    assert_eq!(
        slow.response().await.status,
        400,
        "a body of its own, and all given back"
    );
    slow.send(&post_head("/post_events_json", "", EVENT.len()))
        .await;
    slow.send(most).await;
    // The slow body counts from the moment the server has read it.
    let refused = within(async {
        loop {
            let response = test.answer(&post("/post_events_json", "", EVENT)).await;
            if response.status != 200 {
                return response;
            }
        }
    })
    .await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(slow.ask(last).await.status, 200);
    assert_eq!(
        test.answer(&post("/post_events_json", "", EVENT))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn an_unsound_head_is_answered_with_400_also_when_it_comes_in_pieces() {
    let test = TestServer::start().await;
    let beginning = "POST /post_events_json HTTP/1.1\r\nContent-Length: 4\r\n";
    for end in [
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 4\r\n\r\n0123",
        "X: y\n\r\n0123",
    ] {
        let mut client = test.connect().await;
        client.send(beginning.as_bytes()).await;
        // Once this is answered, on the same thread, the beginning has been read.
        assert_eq!(test.answer(&get("/healthz", "")).await.status, 200);
        client.send(end.as_bytes()).await;
        assert_eq!(client.response().await.status, 400, "{end:?}");
        client.closed().await;
    }
    assert_eq!(test.taken(), []);
}
