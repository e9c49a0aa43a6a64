//! One client's connection, from its acceptance to its end: hyper speaks HTTP/1.1 on it, this
//! file bounds its time and counts what it does.

use std::{
    convert::Infallible,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{self, Instant, Sleep},
};
use tracing::{debug, error};

use super::{Limits, Phase, Shared, progress::Progress, socket::Socket};
use crate::{
    Metrics,
    answer::{self, Answer, Form, Refusal},
    metrics::CutOff,
    router::Handled,
};

/// The largest head, beyond it 431, and the most that is read of a body at once. Clients' heads
/// have a few hundred bytes; hyper's own bound would allow each connection 400 KiB of memory.
const BUFFER_BYTES: usize = 16 << 10;

/// The most fields of a head; beyond it 431.
const HEAD_FIELDS: usize = 100;

/// What a connection's handler needs.
pub(super) struct Connection {
    shared: Arc<Shared>,
    progress: Arc<Progress>,
    phase: watch::Receiver<Phase>,
}

/// Why a connection is over.
enum End {
    Closed(Result<(), hyper::Error>),
    TimedOut,
}

impl End {
    /// What hyper has turned the client away for.
    fn refused_by_hyper(&self) -> Option<CutOff> {
        match self {
            Self::Closed(Err(error)) if error.is_parse_too_large() => Some(CutOff::LargeHead),
            Self::Closed(Err(error)) if error.is_parse() => Some(CutOff::BadHead),
            Self::Closed(_) | Self::TimedOut => None,
        }
    }
}

impl Connection {
    /// Serves the stream until either side closes it, or its time is over.
    pub(super) async fn serve(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        shared: Arc<Shared>,
        mut phase: watch::Receiver<Phase>,
    ) {
        let limits = shared.limits;
        let metrics = shared.router.metrics().clone();
        let progress = Arc::new(Progress::new());
        let socket = TokioIo::new(Socket::new(stream, Arc::clone(&progress)));
        let connection = Self {
            shared,
            progress: Arc::clone(&progress),
            phase: phase.clone(),
        };
        let service = service_fn(|request| connection.answer(request));
        let mut http = pin!(
            http1::Builder::new()
                .max_buf_size(BUFFER_BYTES)
                .max_headers(HEAD_FIELDS)
                // A client may close its side when it has sent everything (RFC 9112 section 9.6):
                // it still wants the answer, above all that to a POST that has been taken.
                .half_close(true)
                .serve_connection(socket, service)
        );
        let mut timer = pin!(time::sleep(limits.idle_time));
        let mut closing = false;
        let end = loop {
            tokio::select! {
                biased;
                closed = http.as_mut() => break End::Closed(closed),
                () = expiry(&progress, &limits, timer.as_mut()) => {
                    if progress.expire() {
                        break End::TimedOut;
                    }
                }
                changed = phase.changed(), if !closing => {
                    if changed.is_err() || *phase.borrow_and_update() == Phase::Closing {
                        closing = true;
                        http.as_mut().graceful_shutdown();
                    }
                }
            }
        };
        if let Some(cut_off) = progress.cut_off().or_else(|| end.refused_by_hyper()) {
            metrics.count_cut_off(cut_off);
        }
        match end {
            End::Closed(Ok(())) => {}
            End::Closed(Err(error)) => debug!(%error, "a connection broke"),
            End::TimedOut => debug!("a client was too slow, its connection is closed"),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let _open = self.shared.open_requests.open();
        self.progress.request_began();
        let stopping = *self.phase.borrow() != Phase::Serving;
        let form = Form::of(request.headers());
        let handled = unless_panic(self.shared.router.handle(request, stopping)).await;
        let Handled {
            mut answer,
            body_unread,
        } = handled.unwrap_or_else(|Panicked| {
            error!("handling a request panicked");
            Handled {
                answer: Refusal::Panic.answer(form),
                // Nobody knows how far it got.
                body_unread: true,
            }
        });
        if body_unread || *self.phase.borrow() != Phase::Serving {
            answer::close_after(&mut answer);
        }
        self.shared.router.metrics().count_answer(answer.status());
        self.progress.request_ended(body_unread);
        Ok(answer)
    }
}

/// Ends when the connection has stayed too long where it is.
///
/// Polled after every poll of the connection, so an earlier deadline is seen at once; a later one
/// only when the timer fires. That is what spares the usual request every timer.
async fn expiry(progress: &Progress, limits: &Limits, mut timer: Pin<&mut Sleep>) {
    poll_fn(|context| {
        if let Some(deadline) = progress.deadline(limits)
            && deadline < timer.deadline()
        {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            match progress.deadline(limits) {
                Some(deadline) if deadline <= now => return Poll::Ready(()),
                Some(deadline) => timer.as_mut().reset(deadline),
                None => timer.as_mut().reset(now + limits.idle_time),
            }
        }
        Poll::Pending
    })
    .await;
}

struct Panicked;

/// The future's output, unless it panics; a bad request costs its answer and no more.
async fn unless_panic<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| {
        // Unwind safety: after a panic the future is not polled again, and what it shares with
        // others are counters and queues that are never left half changed.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

/// Keeps the gauge of open connections.
pub(super) struct OpenConnection(Metrics);

impl OpenConnection {
    pub(super) fn count(metrics: &Metrics) -> Self {
        metrics.connections.inc();
        Self(metrics.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}
