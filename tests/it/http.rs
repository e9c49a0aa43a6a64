//! A small HTTP/1.1 client of the tests' own: it shows exactly what is on the wire, and several
//! threads can use one each without a runtime.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What bytes go over: TCP, or TLS over it.
pub(crate) trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// One keep-alive connection.
pub(crate) struct Client {
    stream: BufReader<Box<dyn Wire>>,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order of the wire.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// The POST was taken; Pushkin's clients expect exactly this.
    #[track_caller]
    pub(crate) fn accepted(&self) {
        assert_eq!((self.status, self.body.as_str()), (200, ""), "{self:?}");
    }
}

/// A connection that fails its test instead of waiting for ever.
pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    try_tcp(address).expect("the daemon listens")
}

fn try_tcp(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.set_nodelay(true).unwrap();
    Some(stream)
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(tcp(address))
    }

    /// Connects to a daemon that may be killed meanwhile.
    pub(crate) fn try_connect(address: SocketAddr) -> Option<Self> {
        try_tcp(address).map(Self::over)
    }

    /// On a connection that is there already.
    pub(crate) fn over(wire: impl Wire + 'static) -> Self {
        Self {
            stream: BufReader::new(Box::new(wire)),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"), b"")
    }

    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.send(&head, body)
    }

    /// Posts to a daemon that may be killed meanwhile; the status, if an answer comes.
    pub(crate) fn try_post(&mut self, path: &str, body: &[u8]) -> Option<u16> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = String::new();
        // The two that can come, 200 and 503, end with their heads.
        while !answer.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut answer).ok()? == 0 {
                return None;
            }
        }
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// Any method, without a body.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str) -> Answer {
        self.write(format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"
        ));
        let head = self.read_head();
        // The answer to HEAD has the length of what GET would answer, and nothing of it.
        if method == "HEAD" {
            return head;
        }
        self.read_body(head)
    }

    /// Writes what the test has made itself, such as a head or a chunk.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    fn send(&mut self, head: &str, body: &[u8]) -> Answer {
        self.write(head);
        self.write(body);
        self.read_answer()
    }

    /// The next answer, to whatever has been written.
    pub(crate) fn read_answer(&mut self) -> Answer {
        let head = self.read_head();
        self.read_body(head)
    }

    fn read_head(&mut self) -> Answer {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        Answer {
            status,
            headers,
            body: String::new(),
        }
    }

    fn read_body(&mut self, mut answer: Answer) -> Answer {
        let length: usize = answer
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        answer.body = String::from_utf8(body).unwrap();
        answer
    }
}
