//! FCM and its token endpoint by HTTP/2 and by HTTP/1.1.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use simulator::{Action, Options, Refusal, RetryAfter, Rule, Service, Simulator, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Http2, answer, connect, header, http2, now, parts, rs256, soon};

const SEND: &str = "/v1/projects/onegin-demo/messages:send";
const GRANT_TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";

/// A form with an assertion as Google documents it, changed by `change`.
fn form(simulator: &Simulator, change: impl FnOnce(&mut Value)) -> String {
    let account: Value = serde_json::from_str(&simulator.service_account_json()).unwrap();
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": account["private_key_id"] });
    let mut claims = json!({
        "iss": account["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": account["token_uri"],
        "iat": now(),
        "exp": now() + 3600,
    });
    change(&mut claims);
    let assertion = rs256(account["private_key"].as_str().unwrap(), &header, &claims);
    format!("grant_type={GRANT_TYPE}&assertion={assertion}")
}

async fn post(http2: &mut Http2, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let sent = http2
        .send("POST", path, headers, body.as_bytes())
        .await
        .unwrap();
    let (status, json) = parts(&answer(sent).await);
    (status.as_u16(), json)
}

/// A connection with an access token.
struct Fcm {
    http2: Http2,
    authorization: String,
}

impl Fcm {
    async fn connect(simulator: &Simulator) -> Self {
        let mut http2 = http2(simulator, &simulator.fcm_url(), &["h2"]).await;
        let (status, json) = post(&mut http2, "/token", &[], &form(simulator, |_| ())).await;
        assert_eq!(status, 200);
        assert_eq!(json["token_type"], "Bearer");
        let authorization = format!("Bearer {}", json["access_token"].as_str().unwrap());
        Self {
            http2,
            authorization,
        }
    }

    async fn send(&mut self, body: &Value) -> (u16, Value) {
        let headers = [("authorization", self.authorization.as_str())];
        post(&mut self.http2, SEND, &headers, &body.to_string()).await
    }
}

fn message(token: &str) -> Value {
    json!({ "message": { "token": token, "data": { "title": "Bravo" } } })
}

#[tokio::test]
async fn a_message_is_delivered_with_a_token_from_the_token_endpoint() {
    let simulator = Simulator::start(Options::default()).unwrap();
    assert!(simulator.token_uri().starts_with(&simulator.fcm_url()));
    let mut fcm = Fcm::connect(&simulator).await;
    let (status, json) = fcm.send(&message("device-1")).await;
    assert_eq!(status, 200);
    let name = json["name"].as_str().unwrap();
    assert!(
        name.starts_with("projects/onegin-demo/messages/0:"),
        "{name}"
    );

    let received = simulator.fcm().received();
    assert_eq!(received[0].token, "device-1");
    assert_eq!(received[0].id.as_deref(), Some(name));
    assert_eq!(received[0].json()["message"]["data"]["title"], "Bravo");
    assert_eq!(simulator.fcm().counters().tokens_issued, 1);

    let dry = json!({ "validate_only": true, "message": message("device-2")["message"] });
    assert_eq!(fcm.send(&dry).await.0, 200);
    assert_eq!(simulator.fcm().delivered().len(), 1);
    assert!(simulator.fcm().received()[1].validate_only);
    assert_eq!(fcm.http2.sender.current_max_send_streams(), 100);
}

#[tokio::test]
async fn bad_assertions_are_denied_in_oauths_form() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let mut http2 = http2(&simulator, &simulator.fcm_url(), &["h2"]).await;
    let tampered = form(&simulator, |_| ()).replace(".ey", ".fy");
    let cases = [
        ("grant_type=password".to_owned(), "unsupported_grant_type"),
        (format!("grant_type={GRANT_TYPE}"), "invalid_request"),
        (tampered, "invalid_grant"),
        (
            form(&simulator, |claims| {
                claims["aud"] = "https://x/token".into()
            }),
            "invalid_grant",
        ),
        (
            form(&simulator, |claims| claims["exp"] = (now() + 7200).into()),
            "invalid_grant",
        ),
        (
            form(&simulator, |claims| claims["scope"] = "email".into()),
            "invalid_scope",
        ),
    ];
    for (form, error) in cases {
        let (status, json) = post(&mut http2, "/token", &[], &form).await;
        assert_eq!((status, &json["error"]), (400, &json!(error)));
    }
    assert_eq!(simulator.fcm().counters().tokens_issued, 0);
    assert_eq!(simulator.fcm().counters().requests, 0);
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_scripted() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let down = Action::Refuse(Refusal::new(503, "temporarily_unavailable"));
    simulator
        .script()
        .add(Rule::new(down).service(Service::Oauth).times(1));
    let mut http2 = http2(&simulator, &simulator.fcm_url(), &["h2"]).await;
    let form = form(&simulator, |_| ());
    let (status, json) = post(&mut http2, "/token", &[], &form).await;
    assert_eq!(
        (status, &json["error"]),
        (503, &json!("temporarily_unavailable"))
    );
    assert_eq!(post(&mut http2, "/token", &[], &form).await.0, 200);
    assert_eq!(simulator.fcm().counters().tokens_issued, 1);
}

#[tokio::test]
async fn credentials_projects_and_paths_are_refused_without_fcm_error() {
    let life = Duration::from_secs(60);
    let options = Options {
        access_token_life: life,
        ..Options::default()
    };
    let simulator = Simulator::start(options).unwrap();
    let mut fcm = Fcm::connect(&simulator).await;
    let body = message("t").to_string();
    let good = [("authorization", fcm.authorization.as_str())];
    let other = "/v1/projects/other/messages:send";
    let (status, json) = post(&mut fcm.http2, other, &good, &body).await;
    assert_eq!(
        (status, &json["error"]["status"]),
        (403, &json!("PERMISSION_DENIED"))
    );
    assert!(json["error"]["details"].is_null());
    assert_eq!(
        post(&mut fcm.http2, "/v1/messages:send", &good, &body)
            .await
            .0,
        404
    );
    let (status, json) = post(&mut fcm.http2, SEND, &[], &body).await;
    assert_eq!(
        (status, &json["error"]["status"]),
        (401, &json!("UNAUTHENTICATED"))
    );
    simulator.set_clock_offset_sec(61);
    assert_eq!(fcm.send(&message("t")).await.0, 401);
    simulator.set_clock_offset_sec(0);
    assert_eq!(fcm.send(&message("t")).await.0, 200);
    simulator.revoke_access_tokens();
    assert_eq!(fcm.send(&message("t")).await.0, 401);
}

#[tokio::test]
async fn a_bad_message_is_refused_with_its_field() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let mut fcm = Fcm::connect(&simulator).await;
    let bad = json!({ "message": { "token": "t", "android": { "ttl": "60" } } });
    let (status, json) = fcm.send(&bad).await;
    assert_eq!(
        (status, &json["error"]["status"]),
        (400, &json!("INVALID_ARGUMENT"))
    );
    let violation = &json["error"]["details"][0]["fieldViolations"][0];
    assert_eq!(violation["field"], "message.android.ttl");
    let (_, json) = fcm.send(&message("not a token")).await;
    assert_eq!(json["error"]["details"][0]["errorCode"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn scripted_refusals_have_googles_form() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let mut fcm = Fcm::connect(&simulator).await;
    let refuse = |prefix: &str, refusal: Refusal| {
        let rule = Rule::new(Action::Refuse(refusal)).service(Service::Fcm);
        simulator.script().add(rule.token_prefix(prefix));
    };
    refuse("gone", Refusal::new(404, "UNREGISTERED"));
    refuse(
        "quota",
        Refusal::new(429, "QUOTA_EXCEEDED").retry_after(RetryAfter::Seconds(9)),
    );
    refuse("html", Refusal::new(502, "").body("<html>"));

    let (status, json) = fcm.send(&message("gone-1")).await;
    assert_eq!(
        (status, &json["error"]["status"]),
        (404, &json!("NOT_FOUND"))
    );
    let detail = &json["error"]["details"][0];
    assert_eq!(detail["errorCode"], "UNREGISTERED");
    assert_eq!(
        detail["@type"],
        "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    );

    let headers = [("authorization", fcm.authorization.as_str())];
    let body = message("quota-1").to_string();
    let sent = fcm
        .http2
        .send("POST", SEND, &headers, body.as_bytes())
        .await
        .unwrap();
    let limited = answer(sent).await.unwrap();
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(limited.headers(), "retry-after"), Some("9"));
    assert!(String::from_utf8_lossy(limited.body()).contains("google.rpc.QuotaFailure"));

    assert_eq!(fcm.send(&message("html-1")).await, (502, Value::Null));
    let verdict = Verdict::Refused {
        status: 404,
        reason: "UNREGISTERED".into(),
    };
    assert_eq!(simulator.fcm().received()[0].verdict, verdict);
}

/// One request over HTTP/1.1 on a connection of its own; status line and body.
async fn http1(simulator: &Simulator, path: &str, headers: &str, body: &str) -> (String, Value) {
    let mut stream = connect(simulator, &simulator.fcm_url(), &["http/1.1"], None).await;
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: fcm\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    soon(stream.write_all(request.as_bytes())).await.unwrap();
    let mut answer = String::new();
    if let Err(error) = soon(stream.read_to_string(&mut answer)).await {
        // How a dropped connection looks through TLS.
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or("").to_owned();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn the_whole_flow_works_over_http1() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let form = form(&simulator, |_| ());
    let (status, json) = http1(&simulator, "/token", "", &form).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    let headers = format!(
        "authorization: Bearer {}\r\n",
        json["access_token"].as_str().unwrap()
    );
    let (status, json) = http1(&simulator, SEND, &headers, &message("t").to_string()).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(json["name"].is_string());
    let received = simulator.fcm().received();
    assert_eq!((received[0].connection, received[0].stream), (2, 0));

    let dropped = Action::DropConnection {
        after_reading: true,
    };
    simulator.script().add(Rule::new(dropped).token_prefix("d"));
    let (status, _) = http1(&simulator, SEND, &headers, &message("d").to_string()).await;
    assert_eq!(status, "");
}
