//! The control API as a script on the outside uses it.

use serde_json::{Value, json};
use simulator::{Options, Simulator};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::client::{answer, http2, parts, provider_token, soon};

async fn control(simulator: &Simulator, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let address = simulator.control_url().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = body.to_string();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: c\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn rules_state_and_log_are_within_reach_of_another_process() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let rule = json!({
        "when": { "service": "apns", "token_prefix": "de" },
        "then": { "refuse": { "status": 410, "reason": "Unregistered", "timestamp_ms": 5 } },
    });
    assert_eq!(
        control(&simulator, "POST", "/rules", &json!([rule]))
            .await
            .0,
        200
    );

    let mut client = http2(&simulator, &simulator.apns_url(), &["h2"]).await;
    let token = provider_token(&simulator, 0);
    let headers = [
        ("authorization", token.as_str()),
        ("apns-topic", "com.example.onegin"),
    ];
    for device in ["00", "de"] {
        let path = format!("/3/device/{device}");
        let sent = client
            .send("POST", &path, &headers, br#"{"aps":{}}"#)
            .await
            .unwrap();
        let status = if device == "de" { 410 } else { 200 };
        assert_eq!(parts(&answer(sent).await).0.as_u16(), status);
    }

    let (_, state) = control(&simulator, "GET", "/state", &Value::Null).await;
    assert_eq!(state["apns"]["requests"], 2);
    assert_eq!(state["apns"]["connections_open"], 1);
    assert_eq!(state["addresses"]["apns"], simulator.apns_url());
    let path = "/received?service=apns&from=1";
    let (_, received) = control(&simulator, "GET", path, &Value::Null).await;
    assert_eq!(received[0]["token"], "de");
    assert_eq!(received[0]["status"], 410);
    assert!(received[0]["headers"]["authorization"].is_null());
    assert_eq!(received.as_array().unwrap().len(), 1);

    let drain = json!({ "service": "apns", "how": { "graceful": {} } });
    assert_eq!(control(&simulator, "POST", "/goaway", &drain).await.0, 200);
    let _ended = soon(client.driver).await.unwrap();
    assert_eq!(
        control(&simulator, "DELETE", "/received", &Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(
        control(&simulator, "DELETE", "/rules", &Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(simulator.apns().counters().requests, 0);
    let (status, error) = control(&simulator, "POST", "/rules", &json!({ "whem": 1 })).await;
    assert!(status == 400 && error["error"].is_string());
    assert_eq!(
        control(&simulator, "GET", "/nothing", &Value::Null).await.0,
        400
    );
}
