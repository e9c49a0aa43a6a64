//! Reading a POST's body: an HTTP stream comes in, bytes within all limits go out.
//!
//! Every byte that is kept, as sent and as inflated, is counted in one budget for the whole
//! server from its arrival until it has been decoded. Who would exceed it is refused at once:
//! waiting for room while holding some is how servers lock up.

use std::{
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
use hyper::body::{Body, Incoming};

use crate::{ServerConfig, answer::Refusal, pushkin::BodyError};

/// The first bytes of gzip (RFC 1952 section 2.3.1). No JSON and no protobuf starts so.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes inflated between two looks at the budget.
const INFLATE_STEP: usize = 64 << 10;

/// The largest buffer made on the word of a `Content-Length` alone.
const TRUSTED_LENGTH: usize = 64 << 10;

/// What bodies may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Bytes of one body, as sent and as inflated.
    pub(crate) bytes: usize,
    /// Bytes of all bodies together.
    pub(crate) inflight_bytes: usize,
    /// From the head's end to the body's.
    pub(crate) time: Duration,
}

impl From<&ServerConfig> for BodyLimits {
    fn from(config: &ServerConfig) -> Self {
        let bytes = config.max_body_bytes.get();
        Self {
            bytes,
            // One body and its inflated form must always fit, or it would be refused for ever.
            inflight_bytes: config
                .max_inflight_body_mb
                .get()
                .saturating_mul(1 << 20)
                .max(bytes.saturating_mul(2)),
            time: Duration::from_secs(config.body_timeout_sec.get()),
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
}

/// One body's part of the budget; given back on drop.
#[derive(Debug)]
struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        // Relaxed: a count, nothing is published by it.
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) > self.budget.limits.inflight_bytes {
            Err(Refusal::NoRoomForBody)
        } else {
            Ok(())
        }
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
        let limits = budget.limits;
        let announced = body.stream.size_hint().lower();
        if announced > limits.bytes as u64 {
            return Err(Refusal::BodyTooLarge {
                limit: limits.bytes,
            });
        }
        let mut share = Share {
            budget: Arc::clone(budget),
            bytes: 0,
        };
        let announced = usize::try_from(announced).unwrap_or(0);
        let collected = collect(&mut body.stream, announced, &mut share);
        let bytes = tokio::time::timeout(limits.time, collected)
            .await
            .map_err(|_| Refusal::BodyTimeout {
                seconds: limits.time.as_secs(),
            })??;
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

    /// What `decode` makes of the bytes, inflated if need be. The budget is freed afterwards.
    pub(crate) fn decoded_by<T>(
        mut self,
        decode: impl FnOnce(&[u8]) -> Result<T, BodyError>,
    ) -> Result<T, Refusal> {
        if self.gzip {
            let inflated = inflate(&self.bytes, &mut self.share)?;
            Ok(decode(&inflated)?)
        } else {
            Ok(decode(&self.bytes)?)
        }
    }
}

async fn collect(
    body: &mut Incoming,
    announced: usize,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let limit = share.budget.limits.bytes;
    let mut first = Bytes::new();
    let mut more = Vec::new();
    while let Some(frame) = body.frame().await {
        // A frame that is not data is trailers, which nobody here reads.
        let Ok(data) = frame.map_err(Refusal::BrokenBody)?.into_data() else {
            continue;
        };
        if share.bytes + data.len() > limit {
            return Err(Refusal::BodyTooLarge { limit });
        }
        share.grow(data.len())?;
        // Most bodies arrive in one piece, which is then used where it lies.
        if first.is_empty() {
            first = data;
        } else {
            if more.is_empty() {
                more.reserve(announced.min(TRUSTED_LENGTH).max(2 * first.len()));
                more.extend_from_slice(&first);
            }
            more.extend_from_slice(&data);
        }
    }
    Ok(if more.is_empty() { first } else { more.into() })
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
    let mut decoder = MultiGzDecoder::new(bytes);
    let mut inflated = Vec::new();
    loop {
        let before = inflated.len();
        let read = (&mut decoder)
            .take(INFLATE_STEP as u64)
            .read_to_end(&mut inflated)
            .map_err(BodyError::Gzip)?;
        if inflated.len() > limit {
            return Err(Refusal::BodyTooLarge { limit });
        }
        share.grow(inflated.len() - before)?;
        if read == 0 {
            return Ok(inflated);
        }
    }
}
