//! APNs by a plain HTTP/2 client.

use std::time::Duration;

use h2::Reason;
use http::StatusCode;
use serde_json::{Value, json};
use simulator::{Action, GoAway, Options, Refusal, RetryAfter, Rule, Service, Simulator, Verdict};

use crate::client::{
    Answer, Http2, LIMIT, answer, es256, header, http2, now, parts, provider_token, soon,
};

const PAYLOAD: &[u8] = br#"{"aps":{"alert":"Bravo"}}"#;
const TOPIC: &str = "com.example.onegin";

/// A client that pushes with a good token.
struct Apns {
    http2: Http2,
    authorization: String,
}

impl Apns {
    async fn connect(simulator: &Simulator) -> Self {
        Self {
            http2: http2(simulator, &simulator.apns_url(), &["h2"]).await,
            authorization: provider_token(simulator, 0),
        }
    }

    /// One answered push, after which Apple allows many streams.
    async fn opened(simulator: &Simulator) -> Self {
        let mut apns = Self::connect(simulator).await;
        assert_eq!(parts(&apns.push("00").await).0, StatusCode::OK);
        apns
    }

    async fn begin(&mut self, token: &str) -> Result<h2::client::ResponseFuture, h2::Error> {
        let authorization = self.authorization.clone();
        let headers = [
            ("authorization", authorization.as_str()),
            ("apns-topic", TOPIC),
        ];
        self.http2
            .send("POST", &format!("/3/device/{token}"), &headers, PAYLOAD)
            .await
    }

    async fn push(&mut self, token: &str) -> Answer {
        answer(self.begin(token).await?).await
    }
}

fn start(options: Options) -> Simulator {
    Simulator::start(options).unwrap()
}

fn reset_reason(answer: &Answer) -> Option<Reason> {
    answer.as_ref().err().and_then(h2::Error::reason)
}

#[tokio::test]
async fn a_valid_push_is_answered_200_with_its_own_id_and_logged() {
    let simulator = start(Options::default());
    let mut apns = Apns::connect(&simulator).await;
    let id = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    let headers = [
        ("authorization", apns.authorization.as_str()),
        ("apns-topic", TOPIC),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-expiration", "0"),
        ("apns-collapse-id", "raid"),
        ("apns-id", id),
    ];
    let sent = apns
        .http2
        .send("POST", "/3/device/00aaFF", &headers, PAYLOAD)
        .await
        .unwrap();
    let answered = answer(sent).await.unwrap();
    assert_eq!(answered.status(), StatusCode::OK);
    assert_eq!(header(answered.headers(), "apns-id"), Some(id));
    assert!(answered.body().is_empty());

    let received = simulator.apns().received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].token, "00aaFF");
    assert_eq!(received[0].id.as_deref(), Some(id));
    assert_eq!(received[0].header("apns-topic"), Some(TOPIC));
    assert_eq!(received[0].header("authorization"), None);
    assert_eq!(received[0].json()["aps"]["alert"], "Bravo");
    assert_eq!((received[0].connection, received[0].stream), (1, 1));
    assert!(received[0].is_delivered());

    let made_up = apns.push("00").await.unwrap();
    assert_eq!(header(made_up.headers(), "apns-id").unwrap().len(), 36);
}

#[tokio::test]
async fn a_client_without_alpn_is_served_http2() {
    let simulator = start(Options::default());
    let mut http2 = http2(&simulator, &simulator.apns_url(), &[]).await;
    let token = provider_token(&simulator, 0);
    let headers = [("authorization", token.as_str()), ("apns-topic", TOPIC)];
    let sent = http2
        .send("POST", "/3/device/00", &headers, PAYLOAD)
        .await
        .unwrap();
    assert_eq!(parts(&answer(sent).await).0, StatusCode::OK);
}

/// Status and reason of one request with these headers.
async fn refusal(http2: &mut Http2, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let sent = http2.send("POST", path, headers, PAYLOAD).await.unwrap();
    let (status, json) = parts(&answer(sent).await);
    (status.as_u16(), json["reason"].clone())
}

#[tokio::test]
async fn every_bad_credential_is_refused_with_apples_reason() {
    let simulator = start(Options::default());
    let key = simulator.apns_key().clone();
    let header = json!({ "alg": "ES256", "kid": key.key_id });
    let claims = json!({ "iss": key.team_id, "iat": now() });
    let bearer = |pem: &str, header: &Value, claims: &Value| {
        format!("bearer {}", es256(pem, header, claims))
    };
    let other = start(Options::default());
    let wrong_kid = json!({ "alg": "ES256", "kid": "OTHERKEY01" });
    let wrong_team = json!({ "iss": "OTHERTEAM1", "iat": now() });
    let future = json!({ "iss": key.team_id, "iat": now() + 600 });
    let padded = format!("{}=", provider_token(&simulator, 0));
    let cases = [
        (None, "MissingProviderToken"),
        (Some("bearer x.y.z".to_owned()), "InvalidProviderToken"),
        (
            Some(bearer(&other.apns_key().p8_pem, &header, &claims)),
            "InvalidProviderToken",
        ),
        (
            Some(bearer(&key.p8_pem, &wrong_kid, &claims)),
            "InvalidProviderToken",
        ),
        (
            Some(bearer(&key.p8_pem, &header, &wrong_team)),
            "InvalidProviderToken",
        ),
        (
            Some(bearer(&key.p8_pem, &header, &future)),
            "InvalidProviderToken",
        ),
        (Some(padded), "InvalidProviderToken"),
        (
            Some(provider_token(&simulator, 3700)),
            "ExpiredProviderToken",
        ),
    ];
    let mut http2 = http2(&simulator, &simulator.apns_url(), &["h2"]).await;
    for (authorization, reason) in cases {
        let mut headers = vec![("apns-topic", TOPIC)];
        headers.extend(
            authorization
                .as_deref()
                .map(|value| ("authorization", value)),
        );
        let refused = refusal(&mut http2, "/3/device/00", &headers).await;
        assert_eq!(refused, (403, reason.into()));
    }
    assert_eq!(simulator.apns().counters().delivered, 0);
}

#[tokio::test]
async fn a_token_grows_old_with_the_simulators_clock() {
    let simulator = start(Options::default());
    let mut apns = Apns::opened(&simulator).await;
    simulator.set_clock_offset_sec(3700);
    let (status, json) = parts(&apns.push("00").await);
    assert_eq!(
        (status.as_u16(), &json["reason"]),
        (403, &json!("ExpiredProviderToken"))
    );
}

#[tokio::test]
async fn a_second_new_token_within_the_interval_is_too_many() {
    let simulator = start(Options {
        min_token_update_interval: Some(Duration::from_secs(1200)),
        ..Options::default()
    });
    let mut apns = Apns::opened(&simulator).await;
    let first = std::mem::replace(&mut apns.authorization, provider_token(&simulator, 10));
    let (status, json) = parts(&apns.push("00").await);
    assert_eq!(
        (status.as_u16(), &json["reason"]),
        (429, &json!("TooManyProviderTokenUpdates"))
    );
    apns.authorization = first;
    assert_eq!(parts(&apns.push("00").await).0, StatusCode::OK);
}

#[tokio::test]
async fn bad_requests_are_refused_with_apples_reason() {
    let simulator = start(Options::default());
    let mut apns = Apns::opened(&simulator).await;
    let token = apns.authorization.clone();
    let good = [("authorization", token.as_str()), ("apns-topic", TOPIC)];
    let with = |more: &[(&'static str, &'static str)]| [&good, more].concat();
    let cases = [
        ("/3/device/xyz", with(&[]), 400, "BadDeviceToken"),
        ("/3/device/abc", with(&[]), 400, "BadDeviceToken"),
        ("/3/device/", with(&[]), 400, "MissingDeviceToken"),
        ("/4/device/00", with(&[]), 404, "BadPath"),
        ("/3/device/00", good[..1].to_vec(), 400, "MissingTopic"),
        (
            "/3/device/00",
            with(&[("apns-topic", TOPIC)]),
            400,
            "DuplicateHeaders",
        ),
        (
            "/3/device/00",
            with(&[("apns-push-type", "sms")]),
            400,
            "InvalidPushType",
        ),
        (
            "/3/device/00",
            with(&[("apns-priority", "2")]),
            400,
            "BadPriority",
        ),
        (
            "/3/device/00",
            with(&[("apns-id", "1")]),
            400,
            "BadMessageId",
        ),
    ];
    for (path, headers, status, reason) in cases {
        let refused = refusal(&mut apns.http2, path, &headers).await;
        assert_eq!(refused, (status, reason.into()), "{path}");
    }
    let sent = apns
        .http2
        .send("GET", "/3/device/00", &good, b"")
        .await
        .unwrap();
    let (status, json) = parts(&answer(sent).await);
    assert_eq!(
        (status.as_u16(), &json["reason"]),
        (405, &json!("MethodNotAllowed"))
    );
    let sent = apns
        .http2
        .send("POST", "/3/device/00", &good, b"")
        .await
        .unwrap();
    let (status, json) = parts(&answer(sent).await);
    assert_eq!(
        (status.as_u16(), &json["reason"]),
        (400, &json!("PayloadEmpty"))
    );
    // Longer than a stream's window, so that it must be refused before its end.
    let sent = apns
        .http2
        .send("POST", "/3/device/00", &good, &[b' '; 200_000])
        .await
        .unwrap();
    let (status, json) = parts(&answer(sent).await);
    assert_eq!(
        (status.as_u16(), &json["reason"]),
        (413, &json!("PayloadTooLarge"))
    );

    assert_eq!(parts(&apns.push("00").await).0, StatusCode::OK);
    assert_eq!(simulator.apns().counters().delivered, 2);
}

#[tokio::test]
async fn a_second_stream_before_the_first_answer_is_refused_and_counted() {
    let simulator = start(Options::default());
    let mut apns = Apns::connect(&simulator).await;
    // Both are written before the client's connection task runs again.
    let first = apns.begin("00").await.unwrap();
    let second = apns.begin("01").await.unwrap();
    assert_eq!(parts(&answer(first).await).0, StatusCode::OK);
    assert_eq!(
        reset_reason(&answer(second).await),
        Some(Reason::REFUSED_STREAM)
    );
    assert_eq!(simulator.apns().counters().violations, 1);

    let (third, fourth) = (
        apns.begin("02").await.unwrap(),
        apns.begin("03").await.unwrap(),
    );
    assert_eq!(parts(&answer(third).await).0, StatusCode::OK);
    assert_eq!(parts(&answer(fourth).await).0, StatusCode::OK);
    let counters = simulator.apns().counters();
    assert_eq!(
        (
            counters.violations,
            counters.delivered,
            counters.peak_streams
        ),
        (1, 3, 2)
    );
}

#[tokio::test]
async fn a_refused_credential_does_not_open_the_gate() {
    let simulator = start(Options::default());
    let mut apns = Apns::connect(&simulator).await;
    let good = std::mem::replace(&mut apns.authorization, "bearer x".into());
    assert_eq!(parts(&apns.push("00").await).0, StatusCode::FORBIDDEN);
    apns.authorization = good;
    let (first, second) = (
        apns.begin("00").await.unwrap(),
        apns.begin("01").await.unwrap(),
    );
    assert_eq!(parts(&answer(first).await).0, StatusCode::OK);
    assert_eq!(
        reset_reason(&answer(second).await),
        Some(Reason::REFUSED_STREAM)
    );
}

#[tokio::test]
async fn max_concurrent_streams_is_advertised_and_changes_on_a_live_connection() {
    let simulator = start(Options {
        apns_max_streams: 7,
        ..Options::default()
    });
    let mut apns = Apns::opened(&simulator).await;
    assert_eq!(apns.http2.sender.current_max_send_streams(), 7);

    for limit in [1, 500] {
        simulator.apns().set_max_streams(limit);
        // The answer after the SETTINGS frame proves that it has been read.
        soon(async {
            while apns.http2.sender.current_max_send_streams() != limit as usize {
                assert_eq!(parts(&apns.push("00").await).0, StatusCode::OK);
            }
        })
        .await;
    }
    let mut sent = Vec::new();
    for _ in 0..50 {
        sent.push(apns.begin("00").await.unwrap());
    }
    for response in sent {
        assert_eq!(parts(&answer(response).await).0, StatusCode::OK);
    }
    assert_eq!(simulator.apns().counters().violations, 0);
    assert!(simulator.apns().counters().peak_streams > 7);
}

#[tokio::test]
async fn streams_within_the_limit_wait_for_the_latency_side_by_side() {
    let simulator = start(Options::default());
    let mut apns = Apns::opened(&simulator).await;
    simulator.apns().set_latency(Duration::from_millis(20));
    let slow = Rule::new(Action::Answer)
        .token_prefix("aa")
        .after(Duration::from_millis(200));
    simulator.script().add(slow);
    let slow = apns.begin("AA").await.unwrap();
    let fast = apns.begin("bb").await.unwrap();
    let mut slow = std::pin::pin!(answer(slow));
    tokio::select! {
        biased;
        _ = slow.as_mut() => panic!("the slower answer came first"),
        fast = answer(fast) => assert_eq!(parts(&fast).0, StatusCode::OK),
    }
    assert_eq!(parts(&slow.await).0, StatusCode::OK);
    assert_eq!(simulator.apns().counters().peak_streams, 2);
}

#[tokio::test]
async fn scripted_refusals_carry_timestamp_and_retry_after() {
    let simulator = start(Options::default());
    let mut apns = Apns::opened(&simulator).await;
    let gone = Refusal::new(410, "Unregistered").timestamp_ms(1_700_000_000_000);
    simulator
        .script()
        .add(Rule::new(Action::Refuse(gone)).token_prefix("dead"));
    let busy = Refusal::new(503, "ServiceUnavailable").retry_after(RetryAfter::Seconds(3));
    let rule = Rule::new(Action::Refuse(busy))
        .service(Service::Apns)
        .token_prefix("b0");
    simulator.script().add(rule.times(1));
    let date = Refusal::new(503, "").retry_after(RetryAfter::Date(60));
    simulator
        .script()
        .add(Rule::new(Action::Refuse(date)).token_prefix("b0").times(1));

    let (status, json) = parts(&apns.push("DEAD01").await);
    assert_eq!(status, StatusCode::GONE);
    assert_eq!(
        json,
        json!({ "reason": "Unregistered", "timestamp": 1_700_000_000_000_u64 })
    );
    let busy = apns.push("b0").await.unwrap();
    assert_eq!(header(busy.headers(), "retry-after"), Some("3"));
    let dated = apns.push("b0").await.unwrap();
    assert!(
        header(dated.headers(), "retry-after")
            .unwrap()
            .ends_with(" GMT")
    );
    assert_eq!(parts(&apns.push("b0").await).0, StatusCode::OK);

    let refused = &simulator.apns().received()[1];
    let verdict = Verdict::Refused {
        status: 410,
        reason: "Unregistered".into(),
    };
    assert_eq!(
        (refused.token.as_str(), &refused.verdict),
        ("DEAD01", &verdict)
    );
}

#[tokio::test]
async fn a_graceful_goaway_answers_everything_in_flight() {
    let simulator = start(Options {
        latency: Duration::from_millis(30),
        ..Options::default()
    });
    let mut apns = Apns::opened(&simulator).await;
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.push(apns.begin("00").await.unwrap());
    }
    simulator.apns().until_received(21, LIMIT).await.unwrap();
    simulator.apns().go_away(&GoAway::Graceful {
        reason: Some("Shutdown".into()),
    });
    for response in sent {
        assert_eq!(parts(&answer(response).await).0, StatusCode::OK);
    }
    // The connection ends by itself, and takes no more requests.
    let ended = soon(apns.http2.driver).await.unwrap();
    if let Err(error) = ended {
        assert_eq!(error.reason(), Some(Reason::NO_ERROR), "{error}");
        assert!(format!("{error:?}").contains("Shutdown"), "{error:?}");
    }
    assert_eq!(simulator.apns().counters().delivered, 21);
}

#[tokio::test]
async fn a_scripted_graceful_goaway_answers_its_own_request_too() {
    let simulator = start(Options::default());
    let drain = Action::GoAway(GoAway::Graceful { reason: None });
    simulator.script().add(Rule::new(drain).skip(5).times(1));
    let mut delivered = 0;
    let mut connections = 0;
    while delivered < 20 {
        let mut apns = Apns::connect(&simulator).await;
        connections += 1;
        while delivered < 20 {
            match apns.push("00").await {
                Ok(response) => {
                    assert_eq!(response.status(), StatusCode::OK);
                    delivered += 1;
                }
                Err(error) => {
                    assert!(error.is_go_away() || error.is_io(), "{error:?}");
                    break;
                }
            }
        }
    }
    assert_eq!(connections, 2);
    assert_eq!(simulator.apns().counters().delivered, 20);
}

#[tokio::test]
async fn a_hard_goaway_leaves_the_newest_streams_unprocessed() {
    let simulator = start(Options::default());
    let mut apns = Apns::opened(&simulator).await;
    simulator.apns().set_latency(Duration::from_millis(100));
    let mut sent = Vec::new();
    for number in 0..10 {
        sent.push(apns.begin(&format!("0{number}")).await.unwrap());
    }
    simulator.apns().until_received(11, LIMIT).await.unwrap();
    simulator.apns().go_away(&GoAway::Hard {
        unprocessed: 4,
        reason: Some("Shutdown".into()),
    });
    for (number, response) in sent.into_iter().enumerate() {
        match answer(response).await {
            Ok(response) => assert!(number < 6 && response.status() == StatusCode::OK),
            Err(error) => {
                assert!(number >= 6 && error.is_go_away(), "{number}: {error:?}");
                assert!(format!("{error:?}").contains("Shutdown"));
            }
        }
    }
    let received = simulator.apns().received();
    let unprocessed = received
        .iter()
        .filter(|entry| entry.verdict == Verdict::Unprocessed);
    let tokens: Vec<&str> = unprocessed.map(|entry| entry.token.as_str()).collect();
    assert_eq!(tokens, ["06", "07", "08", "09"]);
    assert_eq!(simulator.apns().counters().delivered, 7);
}

#[tokio::test]
async fn a_scripted_hard_goaway_leaves_its_own_request_unprocessed() {
    let simulator = start(Options::default());
    let mut apns = Apns::opened(&simulator).await;
    let hard = Action::GoAway(GoAway::Hard {
        unprocessed: 1,
        reason: None,
    });
    simulator
        .script()
        .add(Rule::new(hard).token_prefix("99").times(1));
    let before = apns.begin("00").await.unwrap();
    let caused = apns.begin("99").await.unwrap();
    let later = apns.begin("01").await.unwrap();
    assert_eq!(parts(&answer(before).await).0, StatusCode::OK);
    assert!(answer(caused).await.unwrap_err().is_go_away());
    assert!(answer(later).await.unwrap_err().is_go_away());
    let delivered = simulator.apns().delivered();
    assert_eq!(delivered.last().unwrap().token, "00");
    assert_eq!(delivered.len(), 2);
}

#[tokio::test]
async fn a_scripted_reset_hits_one_stream_only() {
    let simulator = start(Options::default());
    let mut apns = Apns::opened(&simulator).await;
    for (prefix, reason) in [
        ("e1", Reason::INTERNAL_ERROR),
        ("e2", Reason::REFUSED_STREAM),
    ] {
        let code = u32::from(reason);
        simulator
            .script()
            .add(Rule::new(Action::Reset { code }).token_prefix(prefix));
        assert_eq!(reset_reason(&apns.push(prefix).await), Some(reason));
    }
    assert_eq!(parts(&apns.push("00").await).0, StatusCode::OK);
    assert_eq!(
        simulator.apns().received()[2].verdict,
        Verdict::Reset { code: 7 }
    );
}

#[tokio::test]
async fn a_dropped_connection_is_logged_only_after_reading() {
    let simulator = start(Options::default());
    for after_reading in [false, true] {
        let action = Action::DropConnection { after_reading };
        simulator
            .script()
            .add(Rule::new(action).token_prefix("0d").times(1));
        let mut apns = Apns::opened(&simulator).await;
        let error = apns.push("0d").await.unwrap_err();
        assert!(error.is_io() || error.is_go_away(), "{error:?}");
    }
    let verdicts: Vec<_> = simulator
        .apns()
        .received()
        .into_iter()
        .map(|r| r.verdict)
        .collect();
    assert_eq!(
        verdicts,
        [Verdict::Delivered, Verdict::Delivered, Verdict::Dropped]
    );
}

#[tokio::test]
async fn a_silent_stream_stays_open_while_others_are_answered() {
    let simulator = start(Options::default());
    let mut apns = Apns::opened(&simulator).await;
    simulator
        .script()
        .add(Rule::new(Action::Silence).token_prefix("51"));
    let silent = apns.begin("51").await.unwrap();
    assert_eq!(parts(&apns.push("00").await).0, StatusCode::OK);
    let mut silent = std::pin::pin!(silent);
    let polled = futures_poll_once(silent.as_mut()).await;
    assert!(polled.is_pending());
    assert_eq!(simulator.apns().received()[1].verdict, Verdict::Unanswered);
}

async fn futures_poll_once<F: Future>(
    mut future: std::pin::Pin<&mut F>,
) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test]
async fn an_offline_service_refuses_connections_until_it_is_back() {
    let simulator = start(Options::default());
    let apns = Apns::opened(&simulator).await;
    simulator.apns().set_online(false);
    let _broken = soon(apns.http2.driver).await.unwrap();
    let address = simulator.apns_url().replace("https://", "");
    // A connection may still slip into the backlog before the listener is gone.
    soon(async { while tokio::net::TcpStream::connect(&address).await.is_ok() {} }).await;
    simulator.apns().set_online(true);
    soon(async { while tokio::net::TcpStream::connect(&address).await.is_err() {} }).await;
    let mut apns = Apns::opened(&simulator).await;
    assert_eq!(parts(&apns.push("00").await).0, StatusCode::OK);
}

#[tokio::test]
async fn a_full_log_forgets_the_oldest_and_goes_on_counting() {
    let simulator = start(Options {
        log_limit: 3,
        ..Options::default()
    });
    let mut apns = Apns::opened(&simulator).await;
    for number in 1..=4 {
        assert_eq!(
            parts(&apns.push(&format!("0{number}")).await).0,
            StatusCode::OK
        );
    }
    let received = simulator.apns().received();
    let tokens: Vec<&str> = received.iter().map(|entry| entry.token.as_str()).collect();
    assert_eq!(tokens, ["02", "03", "04"]);
    assert_eq!(received[0].number, 2);
    let counters = simulator.apns().counters();
    assert_eq!((counters.requests, counters.forgotten), (5, 2));
    simulator.apns().wait_for(5, Duration::ZERO).unwrap();
    let late = simulator
        .apns()
        .wait_for_delivered(6, Duration::from_millis(1));
    assert!(late.unwrap_err().to_string().contains("waiting for 6"));
}

#[test]
fn a_taken_port_is_named() {
    let simulator = start(Options::default());
    let port = simulator
        .apns_url()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let error = Simulator::start(Options {
        apns_port: port,
        ..Options::default()
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("failed to listen on 127.0.0.1:{port}")
    );
}

#[test]
fn credentials_are_written_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let simulator = start(Options::default());
    let dir = tempfile::tempdir().unwrap();
    let files = simulator.write_files(dir.path()).unwrap();
    assert_eq!(files.apns_key.file_name().unwrap(), "AuthKey_SIMKEY0001.p8");
    for file in [&files.ca, &files.apns_key, &files.service_account] {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
