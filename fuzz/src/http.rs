//! The doors: what a client sends on its connection. Input: a byte that says in which pieces it
//! arrives, then what is sent.
//!
//! * Every answer is whole and has a status that the doors know; never 500.
//! * However the bytes are cut, the answers are the same.
//! * What an answer calls accepted is in the request queue, and at the end nothing is open and
//!   no byte of a body still counts.

use std::{
    io,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll},
};

use model::{Clock, Lane, QueueName, Request, UnixMs};
use servlet::{Depths, Doors, Intake, Metrics, PathsConfig, ServerConfig, fuzzing};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Items that the request queue has room for.
const QUEUE_LIMIT: usize = 100;

/// Statuses of the doors and of hyper.
const STATUSES: [u16; 11] = [100, 200, 304, 400, 404, 405, 408, 413, 414, 431, 503];

static METRICS: LazyLock<Metrics> =
    LazyLock::new(|| Metrics::register(&mut prometheus_client::registry::Registry::default()));

/// Checks one input.
pub fn check(input: &[u8]) {
    let Some((&cut, sent)) = input.split_first() else {
        return;
    };
    let piece = if cut == 0 {
        usize::MAX
    } else {
        usize::from(cut)
    };
    let (answers, items) = served(sent, piece);
    let accepted: usize = answers.iter().map(Answer::accepted).sum();
    assert!(accepted <= items, "{accepted} of {items}: {answers:?}");
    let (whole, items_whole) = served(sent, usize::MAX);
    assert_eq!(
        without_farewell(answers),
        without_farewell(whole),
        "items: {items}"
    );
    assert_eq!(items, items_whole);
}

/// Leaves out hyper's own last word: a head that is broken and ends in the middle is refused if it
/// came in one piece, and otherwise waited for until the client hangs up.
fn without_farewell(mut answers: Vec<Answer>) -> Vec<Answer> {
    let is_ours = |line: &String| line.starts_with("server: Onegin/");
    answers.pop_if(|last| last.status >= 400 && !last.head.iter().any(is_ours));
    answers
}

/// The answers, and how many items are in the queue then.
fn served(sent: &[u8], piece: usize) -> (Vec<Answer>, usize) {
    let (queue, requests) =
        queue::bounded::<Request>(QueueName::Request, queue::Limits::items(QUEUE_LIMIT));
    let monitor = queue.monitor();
    let doors = Doors {
        intake: Intake {
            queue,
            journal: Arc::new(journal::NoJournal),
            admission: Arc::new(|| Ok(())),
            clock: Clock::new(|| UnixMs(1_795_293_388_117)),
        },
        depths: Depths {
            request: Arc::new(move || monitor.depth()),
            apn_sender: Some(Arc::new(|| 12_345)),
            gcm_sender: None,
            post_processor: Some(Arc::new(|| 0)),
        },
        readiness: Arc::new(|| Err("the database does not answer".to_owned())),
        metrics_text: Arc::new(|| "# EOF\n".to_owned()),
        metrics: METRICS.clone(),
        access: None,
        tls: None,
    };
    let config = ServerConfig {
        max_body_bytes: std::num::NonZeroUsize::new(64 << 10).expect("not zero"),
        ..ServerConfig::default()
    };
    let received = Arc::new(Mutex::new(Vec::new()));
    let client = Client {
        rest: sent.to_vec(),
        at: 0,
        piece,
        received: Arc::clone(&received),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without sockets");
    let connected = runtime
        .block_on(fuzzing::serve(
            client,
            doors,
            &config,
            &PathsConfig::default(),
        ))
        .expect("the usual paths");
    // Waits for what is being inflated still.
    drop(runtime);
    assert_eq!((connected.open_requests(), connected.body_bytes()), (0, 0));
    let mut taken = Vec::new();
    requests.take_available(&mut taken, usize::MAX);
    let items = taken.iter().map(|request| {
        assert_eq!(request.value.lane, Lane::Urgent);
        request.value.items.len()
    });
    let items = items.sum();
    let received = received.lock().expect("nobody panics with it");
    (Answer::all(&received), items)
}

/// The client's side of a connection, as the server sees it: it sends, and then closes its side.
struct Client {
    rest: Vec<u8>,
    at: usize,
    /// Bytes of a read at most.
    piece: usize,
    received: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.rest[this.at..];
        let taken = rest.len().min(this.piece).min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        this.at += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut received = self.received.lock().expect("nobody panics with it");
        received.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One answer: status, body, and its head without the date.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    head: Vec<String>,
    body: String,
}

impl Answer {
    /// The answers in what the server has written.
    fn all(received: &[u8]) -> Vec<Self> {
        let mut rest = std::str::from_utf8(received).expect("answers are texts");
        let mut answers = Vec::new();
        while !rest.is_empty() {
            let (head, after) = rest.split_once("\r\n\r\n").expect("a whole head");
            let mut head: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
            head.retain(|line| !line.starts_with("date: "));
            let status = head[0]
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok());
            let status = status.expect("a status");
            assert!(STATUSES.contains(&status), "{head:?}");
            let length = head
                .iter()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().expect("a length"));
            // The answer to HEAD names a length and has no body.
            let has_body = !after.is_empty() && !after.starts_with("HTTP/1.");
            let length = if has_body { length } else { 0 };
            let (body, after) = after.split_at_checked(length).expect("a whole body");
            let body = body.to_owned();
            answers.push(Self { status, head, body });
            rest = after;
        }
        answers
    }

    /// How many items it says that it took.
    fn accepted(&self) -> usize {
        let number = self.body.strip_prefix("{\"accepted\":");
        let number = number.and_then(|rest| rest.split(',').next());
        number.map_or(0, |number| {
            number.trim_end_matches('}').parse().expect("a number")
        })
    }
}
