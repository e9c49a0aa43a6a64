//! Stopping hurts nobody who has begun, and lets nobody begin.

use super::{
    client::{post_head, within},
    *,
};

const LONG: Duration = Duration::from_secs(30);

/// Starts the drain and waits until it is felt.
async fn stop(server: Server, witness: &mut Client, limit: Duration) -> JoinHandle<Drained> {
    let mut phase = server.phase.subscribe();
    let drained = tokio::spawn(server.drain(limit));
    within(phase.wait_for(|phase| *phase != Phase::Serving))
        .await
        .expect("the server is still there");
    let response = witness.ask(&get("/readyz", "")).await;
    assert_eq!(
        (response.status, &*response.body),
        (503, "the server is shutting down")
    );
    drained
}

#[tokio::test]
async fn an_open_request_is_answered_and_a_new_one_is_refused() {
    let test = TestServer::start().await;
    let address = test.server.address();
    let mut open = test.connect().await;
    open.send(&post_head("/post_events_json", "", EVENT.len()))
        .await;
    let mut waiting = test.connect().await;
    let mut witness = test.connect().await;
    for client in [&mut waiting, &mut witness] {
        assert_eq!(client.ask(&get("/healthz", "")).await.status, 200);
    }
    within(async {
        while test.server.shared.open_requests.count() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let drained = stop(test.server, &mut witness, LONG).await;
    let refused = waiting.ask(&post("/post_events_json", "", EVENT)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.header("connection"), "close");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    assert!(!drained.is_finished(), "a request is still open");

    let answered = open.ask(EVENT.as_bytes()).await;
    assert_eq!(
        (answered.status, answered.header("connection")),
        (200, "close")
    );
    let drained = within(drained).await.expect("draining does not panic");
    assert_eq!(drained, Drained { unanswered: 0 });
    let mut batch = Vec::new();
    test.requests.take_available(&mut batch, usize::MAX);
    assert_eq!(
        batch.len(),
        1,
        "the open request was taken, the refused one was not"
    );
}

#[tokio::test]
async fn idle_connections_do_not_hold_a_stop_up() {
    let test = TestServer::start().await;
    let mut used = test.connect().await;
    assert_eq!(used.ask(&get("/healthz", "")).await.status, 200);
    let silent = test.connect().await;
    assert_eq!(
        within(test.server.drain(LONG)).await,
        Drained { unanswered: 0 }
    );
    used.closed().await;
    silent.gone().await;
}

#[tokio::test]
async fn what_is_open_when_the_time_is_over_is_cut_off_and_counted() {
    let test = TestServer::start().await;
    let mut open = test.connect().await;
    open.send(&post_head("/post_events_json", "", EVENT.len()))
        .await;
    within(async {
        while test.server.shared.open_requests.count() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let drained = within(test.server.drain(Duration::from_millis(50))).await;
    assert_eq!(drained, Drained { unanswered: 1 });
    open.gone().await;
}

#[tokio::test]
async fn the_request_queue_has_no_producer_left_after_a_stop() {
    let test = TestServer::start().await;
    assert_eq!(
        test.answer(&post("/post_events_json", "", EVENT))
            .await
            .status,
        200
    );
    within(test.server.drain(LONG)).await;
    drop(test.queue);
    let mut batch = Vec::new();
    assert!(
        !test.requests.take_available(&mut batch, usize::MAX),
        "the queue has ended"
    );
    assert_eq!(batch.len(), 1);
}
