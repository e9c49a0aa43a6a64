//! Clients that are slow, silent, many, or gone.

use super::{
    client::{post_head, within},
    *,
};

const SOON: Duration = Duration::from_millis(50);

fn impatient() -> Limits {
    let mut limits = limits();
    limits.header_time = SOON;
    limits
}

#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection() {
    let test = TestServer::start_limited(impatient()).await;
    for beginning in ["P", "POST /post_events_json HTTP/1.1\r\nHost: test\r\n"] {
        let mut client = test.connect().await;
        client.send(beginning.as_bytes()).await;
        assert_eq!(client.response().await.status, 408);
        client.closed().await;
    }
    // Also after a request, and although idle connections may stay; and where the head came
    // together with the request before it.
    for together in [false, true] {
        let mut client = test.connect().await;
        let request = get("/healthz", "");
        if together {
            client.send(&[&request[..], b"GET"].concat()).await;
        } else {
            client.send(&request).await;
        }
        assert_eq!(client.response().await.status, 200);
        if !together {
            client.send(b"GET").await;
        }
        assert_eq!(client.response().await.status, 408);
        client.closed().await;
    }
    // Counted when the connection is over, which the client has heard of before.
    within(async {
        while test.metric("connections_refused_total{reason=\"slow_head\"}") < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_only_dribbles_is_answered_with_408_before_its_time_is_over() {
    let mut limits = limits();
    limits.body.time = Duration::from_secs(3600);
    limits.body.progress_time = SOON;
    let test = TestServer::start_limited(limits).await;
    let mut client = test.connect().await;
    client
        .send(&post_head(
            "/post_events_json",
            "Accept: application/json\r\n",
            100_000,
        ))
        .await;
    // More than enough for the first stretch, nothing for another one.
    client.send(&[b' '; 50_000]).await;
    let response = client.response().await;
    assert_eq!(response.status, 408);
    assert!(response.body.contains("too slowly"), "{}", response.body);
    client.closed().await;
}

#[tokio::test]
async fn a_body_that_does_not_end_is_answered_with_408() {
    let mut limits = limits();
    limits.body.time = SOON;
    let test = TestServer::start_limited(limits).await;
    let mut client = test.connect().await;
    client.send(&post_head("/post_events_json", "", 100)).await;
    client.send(b"{").await;
    let response = client.response().await;
    assert_eq!(
        (response.status, response.header("connection")),
        (408, "close")
    );
    client.closed().await;
    assert_eq!(test.taken(), []);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let mut limits = limits();
    limits.idle_time = SOON;
    let test = TestServer::start_limited(limits).await;
    let silent = test.connect().await;
    let mut used = test.connect().await;
    assert_eq!(used.ask(&get("/healthz", "")).await.status, 200);
    let mut busy = test.connect().await;
    busy.send(&post_head("/post_events_json", "", EVENT.len()))
        .await;
    silent.closed().await;
    used.closed().await;
    // The idle time is over for all three, but this one was not idle.
    assert_eq!(busy.ask(EVENT.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn a_connection_too_many_is_closed_at_once_and_counted() {
    let mut limits = limits();
    limits.connections = 2;
    let test = TestServer::start_limited(limits).await;
    let mut first = test.connect().await;
    let mut second = test.connect().await;
    assert_eq!(first.ask(&get("/healthz", "")).await.status, 200);
    assert_eq!(second.ask(&get("/healthz", "")).await.status, 200);
    let mut third = test.connect().await;
    let refused = third.response().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    third.gone().await;
    assert_eq!(
        test.metric("connections_refused_total{reason=\"limit\"}"),
        1
    );
    assert_eq!(
        first
            .ask(&get("/healthz", "Connection: close\r\n"))
            .await
            .status,
        200
    );
    first.closed().await;
    // Room again, once the server has seen the end of it.
    within(async {
        while test.metric("http_connections") > 1 {
            assert_eq!(second.ask(&get("/healthz", "")).await.status, 200);
        }
    })
    .await;
    assert_eq!(test.answer(&get("/healthz", "")).await.status, 200);
}

#[tokio::test]
async fn a_huge_head_is_refused_and_the_server_goes_on() {
    let test = TestServer::start().await;
    let mut client = test.connect().await;
    let head = format!("GET /healthz HTTP/1.1\r\nX: {}", "x".repeat(200_000));
    client.send(head.as_bytes()).await;
    assert_eq!(client.response().await.status, 431);
    assert_eq!(test.answer(&get("/healthz", "")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_hangs_up_in_its_body_leaves_nothing_behind() {
    let test = TestServer::start().await;
    let mut client = test.connect().await;
    client
        .send(&post_head("/post_events_json", "", EVENT.len() + 1))
        .await;
    client.send(EVENT.as_bytes()).await;
    drop(client);
    let mut other = test.connect().await;
    within(async {
        while test.metric("http_connections") > 1 {
            assert_eq!(other.ask(&get("/healthz", "")).await.status, 200);
        }
    })
    .await;
    assert_eq!(test.taken(), []);
    assert_eq!(test.server.shared.open_requests.count(), 0);
}
