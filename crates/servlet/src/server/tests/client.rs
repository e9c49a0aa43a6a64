//! A client that says exactly what it is told to, and fails loudly instead of waiting for ever.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n").into_bytes()
}

pub(super) fn post(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request = post_head(path, headers, body.len());
    request.extend_from_slice(body);
    request
}

/// A POST's head; the body is the caller's business.
pub(super) fn post_head(path: &str, headers: &str, length: usize) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{headers}\r\n")
        .into_bytes()
}

pub(super) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            received: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// Says that nothing more will be sent.
    pub(super) async fn close_sending_side(&mut self) {
        within(self.stream.shutdown()).await.unwrap();
    }

    pub(super) async fn ask(&mut self, request: &[u8]) -> Response {
        self.send(request).await;
        if request.starts_with(b"HEAD") {
            self.head().await
        } else {
            self.response().await
        }
    }

    /// The next answer.
    pub(super) async fn response(&mut self) -> Response {
        let mut response = self.head().await;
        let length: usize = response.header("content-length").parse().unwrap_or(0);
        while self.received.len() < length {
            assert!(self.receive().await > 0, "closed in the middle of a body");
        }
        let body = self.received.drain(..length).collect();
        response.body = String::from_utf8(body).unwrap();
        response
    }

    /// The next answer's head, its body being empty or left in the stream.
    async fn head(&mut self) -> Response {
        let end = loop {
            if let Some(end) = self
                .received
                .windows(4)
                .position(|part| part == b"\r\n\r\n")
            {
                break end;
            }
            assert!(self.receive().await > 0, "closed in the middle of a head");
        };
        let head: Vec<u8> = self.received.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        Response {
            status: status.parse().unwrap(),
            headers: lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: String::new(),
        }
    }

    /// Waits until the server has closed the connection, having said nothing more.
    pub(super) async fn closed(mut self) {
        let received = self.receive().await;
        assert_eq!(
            (received, self.received.len()),
            (0, 0),
            "something more was said"
        );
    }

    /// Waits until the server has closed the connection, be it by a reset.
    pub(super) async fn gone(mut self) {
        let mut rest = Vec::new();
        // A reset is an end too.
        if within(self.stream.read_to_end(&mut rest)).await.is_ok() {
            assert_eq!(rest, b"", "something more was said");
        }
    }

    async fn receive(&mut self) -> usize {
        within(self.stream.read_buf(&mut self.received))
            .await
            .unwrap()
    }
}

/// What must happen, or the test fails.
pub(super) async fn within<F: Future>(future: F) -> F::Output {
    time::timeout(PATIENCE, future)
        .await
        .expect("it should have happened by now")
}
