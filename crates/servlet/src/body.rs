//! Reading a POST's body: an HTTP stream comes in, bytes within all limits go out.
//!
//! Every byte that is kept for a body, as sent, inflated and decoded, is counted in one budget for
//! the whole server until its items are in the queue or refused. Who would exceed it is refused at once: waiting
//! for room while holding some is how servers lock up. A quarter of it is kept for small bodies,
//! so that a few clients with large ones that do not end cannot keep all the others out.

use std::{
    cell::{Cell, RefCell},
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, header::CONTENT_ENCODING};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use tokio::time::{self, Instant};

use crate::{
    ServerConfig,
    answer::Refusal,
    pushkin::{BodyError, Room},
};

/// The first bytes of gzip (RFC 1952 section 2.3.1). No JSON and no protobuf starts so.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes inflated between two looks at the budget, and the room made for the first ones.
const INFLATE_STEP: usize = 64 << 10;

/// Bytes up to which a body may use the part of the budget that large ones may not.
const SMALL_BODY: usize = 64 << 10;

/// Bytes that a body's items may take without being counted; most need less.
const FREE_ROOM: usize = 64 << 10;

/// The items of a body may take so many times the largest body.
const ITEMS_FACTOR: usize = 8;

/// A body must bring [`PROGRESS_BYTES`] in each of these, or it is given up before its time is
/// over. Far below what the slowest link brings, far above a client that only keeps us waiting.
const PROGRESS_TIME: Duration = Duration::from_secs(10);

/// See [`PROGRESS_TIME`].
const PROGRESS_BYTES: usize = 1 << 10;

/// What bodies may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Bytes of one body, as sent and as inflated.
    pub(crate) bytes: usize,
    /// Bytes of all bodies together.
    pub(crate) inflight_bytes: usize,
    /// Bytes of all bodies together beyond which only small ones may grow.
    pub(crate) inflight_large_bytes: usize,
    /// From the head's end to the body's. Also from an answer's beginning to its end.
    pub(crate) time: Duration,
    /// The longest time for [`PROGRESS_BYTES`].
    pub(crate) progress_time: Duration,
}

impl From<&ServerConfig> for BodyLimits {
    fn from(config: &ServerConfig) -> Self {
        let bytes = config.max_body_bytes.get();
        let configured = config.max_inflight_body_mb.get().saturating_mul(1 << 20);
        // One body, its inflated form and its items must always fit, or it would be refused for
        // ever.
        let one = bytes.saturating_mul(2 + ITEMS_FACTOR);
        let large = (configured / 4 * 3).max(one.saturating_add(SMALL_BODY));
        Self {
            bytes,
            inflight_bytes: configured.max(large.saturating_add(large / 3)),
            inflight_large_bytes: large,
            time: Duration::from_secs(config.body_timeout_sec.get()),
            progress_time: PROGRESS_TIME,
        }
    }
}

/// Bytes of all bodies now; written by every [`Share`].
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limits: BodyLimits,
}

impl Budget {
    pub(crate) fn new(limits: BodyLimits) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limits,
        })
    }

    /// For the fuzz targets.
    #[cfg(fuzzing)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// One body's part of the budget; given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        // Relaxed: a count, nothing is published by it.
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        let room = if self.bytes > SMALL_BODY {
            self.budget.limits.inflight_large_bytes
        } else {
            self.budget.limits.inflight_bytes
        };
        if before.saturating_add(bytes) > room {
            Err(Refusal::NoRoomForBody)
        } else {
            Ok(())
        }
    }

    fn shrink(&mut self, bytes: usize) {
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
        self.bytes -= bytes;
    }

    /// Makes room for `more` bytes in `buffer`, which never becomes larger than `most`, unless
    /// these bytes need it. What is made is counted, also what stays empty.
    fn make_room(&mut self, buffer: &mut Vec<u8>, more: usize, most: usize) -> Result<(), Refusal> {
        let needed = buffer.len() + more;
        if needed > buffer.capacity() {
            let capacity = buffer.capacity().saturating_mul(2).min(most).max(needed);
            self.grow(capacity - buffer.capacity())?;
            buffer.reserve_exact(capacity - buffer.len());
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A request's body, and whether it has been read to its end.
#[derive(Debug)]
pub(crate) struct RequestBody {
    stream: Incoming,
    /// Written by [`Received::read`]: a chunked stream does not know its own end.
    read: bool,
}

impl RequestBody {
    pub(crate) fn new(stream: Incoming) -> Self {
        let read = stream.is_end_stream();
        Self { stream, read }
    }

    pub(crate) fn is_read(&self) -> bool {
        self.read
    }
}

/// A body that has arrived as a whole, and its part of the budget.
#[derive(Debug)]
pub(crate) struct Received {
    bytes: Bytes,
    gzip: bool,
    share: Share,
}

impl Received {
    /// Reads `body` to its end. What is refused is left unread.
    pub(crate) async fn read(
        body: &mut RequestBody,
        headers: &HeaderMap,
        budget: &Arc<Budget>,
    ) -> Result<Self, Refusal> {
        let limit = budget.limits.bytes;
        let announced = body.stream.size_hint();
        if announced.lower() > limit as u64 {
            return Err(Refusal::BodyTooLarge { limit });
        }
        let mut share = Share {
            budget: Arc::clone(budget),
            bytes: 0,
        };
        let most = announced
            .exact()
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(limit);
        let bytes = collect(&mut body.stream, most, &mut share).await?;
        body.read = true;
        Ok(Self {
            gzip: says_gzip(headers) && bytes.starts_with(&GZIP_MAGIC),
            bytes,
            share,
        })
    }

    /// Whether [`Received::decoded_by`] can take long.
    pub(crate) fn is_heavy(&self, inline_bytes: usize) -> bool {
        // A few kilobytes of gzip can be megabytes.
        self.gzip || self.bytes.len() > inline_bytes
    }

    /// What `decode` makes of the bytes, inflated if need be, and what is to be kept as long as
    /// it is.
    pub(crate) fn decoded_by<T>(
        mut self,
        decode: impl FnOnce(&[u8], &Room<'_>) -> Result<T, BodyError>,
    ) -> Result<(T, Share), Refusal> {
        let bytes = if self.gzip {
            inflate(&self.bytes, &mut self.share)?.into()
        } else {
            self.bytes
        };
        let raw = self.share.bytes;
        let limit = self.share.budget.limits.bytes;
        let most = raw.saturating_add(limit.saturating_mul(ITEMS_FACTOR));
        let share = RefCell::new(self.share);
        let refusal = Cell::new(None);
        let more = |bytes: usize| {
            let mut share = share.borrow_mut();
            let grown = if share.bytes.saturating_add(bytes) > most {
                Err(Refusal::TooManyItems { limit: most - raw })
            } else {
                share.grow(bytes)
            };
            grown.map_err(|why| refusal.set(Some(why))).is_ok()
        };
        let decoded = decode(&bytes, &Room::new(FREE_ROOM, &more));
        if let Some(refusal) = refusal.take() {
            return Err(refusal);
        }
        let mut share = share.into_inner();
        drop(bytes);
        share.shrink(raw);
        Ok((decoded?, share))
    }
}

/// What has come of a body. Most arrive in one piece, which is then used where it lies.
enum Pieces {
    One(Bytes),
    Many(Vec<u8>),
}

/// Reads a body that must not have more than `most` bytes.
async fn collect(body: &mut Incoming, most: usize, share: &mut Share) -> Result<Bytes, Refusal> {
    let mut pace = Pace::begin(&share.budget.limits);
    let mut pieces = Pieces::One(Bytes::new());
    while let Some(frame) = pace.next(body).await? {
        // A frame that is not data is trailers, which nobody here reads.
        let Ok(data) = frame.map_err(Refusal::BrokenBody)?.into_data() else {
            continue;
        };
        pace.received += data.len();
        if pace.received > most {
            return Err(Refusal::BodyTooLarge { limit: most });
        }
        pieces = match pieces {
            Pieces::One(first) if first.is_empty() => {
                share.grow(data.len())?;
                Pieces::One(data)
            }
            Pieces::One(first) => {
                share.grow(data.len())?;
                let mut all = Vec::with_capacity(first.len() + data.len());
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                Pieces::Many(all)
            }
            Pieces::Many(mut all) => {
                share.make_room(&mut all, data.len(), most)?;
                all.extend_from_slice(&data);
                Pieces::Many(all)
            }
        };
    }
    Ok(match pieces {
        Pieces::One(first) => first,
        Pieces::Many(all) => all.into(),
    })
}

/// How fast a body comes, and how fast it must.
struct Pace {
    began: Instant,
    time: Duration,
    progress_time: Duration,
    /// Bytes so far.
    received: usize,
    /// When the current stretch of `progress_time` began.
    stretch: Instant,
    /// Bytes before it.
    before: usize,
}

impl Pace {
    fn begin(limits: &BodyLimits) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            time: limits.time,
            progress_time: limits.progress_time,
            received: 0,
            stretch: now,
            before: 0,
        }
    }

    /// The body's next frame.
    async fn next(
        &mut self,
        body: &mut Incoming,
    ) -> Result<Option<hyper::Result<Frame<Bytes>>>, Refusal> {
        loop {
            let end = self.began + self.time;
            let deadline = end.min(self.stretch + self.progress_time);
            if let Ok(frame) = time::timeout_at(deadline, body.frame()).await {
                return Ok(frame);
            }
            if deadline == end {
                return Err(Refusal::BodyTimeout {
                    seconds: self.time.as_secs(),
                });
            }
            if self.received - self.before < PROGRESS_BYTES {
                return Err(Refusal::BodyStalled {
                    bytes: PROGRESS_BYTES,
                    seconds: self.progress_time.as_secs(),
                });
            }
            self.stretch = deadline;
            self.before = self.received;
        }
    }
}

fn says_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .is_some_and(|coding| {
            coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip")
        })
}

fn inflate(bytes: &[u8], share: &mut Share) -> Result<Vec<u8>, Refusal> {
    let limit = share.budget.limits.bytes;
    let step = bytes.len().saturating_mul(4).clamp(1 << 10, INFLATE_STEP);
    let mut decoder = MultiGzDecoder::new(bytes);
    let mut inflated = Vec::new();
    loop {
        // Beyond the limit only so far that going beyond it is noticed.
        share.make_room(&mut inflated, step, limit + step)?;
        let read = (&mut decoder)
            .take(step as u64)
            .read_to_end(&mut inflated)
            .map_err(BodyError::Gzip)?;
        if inflated.len() > limit {
            return Err(Refusal::BodyTooLarge { limit });
        }
        if read == 0 {
            return Ok(inflated);
        }
    }
}
