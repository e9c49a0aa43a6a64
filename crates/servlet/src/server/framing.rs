//! Where each request on a connection begins and ends, seen in the raw bytes before hyper reads
//! them.
//!
//! Hyper takes what RFC 9112 allows a lenient server to take: lines that end without a carriage
//! return, `Content-Length` beside `Transfer-Encoding`, a length said twice, codings before
//! `chunked`. A proxy in front may see other requests in such bytes than we do, which is how
//! requests are smuggled. Here they are unsound, and the connection ends with 400. What hyper
//! refuses by itself (folded lines, blanks before a colon, control characters) is left to it:
//! nothing is taken here that hyper would refuse, so both see the same requests.

/// Bytes of a line that are looked at; the two fields that matter fit twice.
const LINE_BYTES: usize = 80;

/// The largest `Content-Length` that is taken for one: beyond it somebody's arithmetic ends.
const LENGTH_LIMIT: u64 = i64::MAX as u64;

/// The request line of the connection preface of HTTP/2 (RFC 9113 section 3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0";

/// What is to be done with bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Sound,
    /// The line that ends at this place must not be taken, and nothing after it.
    Unsound(usize),
    /// The client speaks HTTP/2.
    Http2,
}

/// Where in a request the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The request line, or an empty line before it.
    RequestLine,
    Fields,
    /// This many bytes of a body.
    Body(u64),
    ChunkSize,
    /// This many bytes of a chunk, its line end included.
    Chunk(u64),
    Trailers,
}

/// A connection's position. Its socket is the only one that moves it.
#[derive(Debug)]
pub(super) struct Framing {
    part: Part,
    line: Line,
    /// What the head's `Content-Length` says.
    length: Option<u64>,
    /// The head has `Transfer-Encoding: chunked`.
    chunked: bool,
    /// Request lines so far.
    requests: u64,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            part: Part::RequestLine,
            line: Line::default(),
            length: None,
            chunked: false,
            requests: 0,
        }
    }

    /// Requests of which at least the first line has come.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether a head has begun and not ended.
    pub(super) fn is_inside_head(&self) -> bool {
        match self.part {
            Part::RequestLine => self.line.length > 0,
            Part::Fields => true,
            Part::Body(_) | Part::ChunkSize | Part::Chunk(_) | Part::Trailers => false,
        }
    }

    /// Moves on over `bytes`, which came after all that were seen before.
    pub(super) fn observe(&mut self, bytes: &[u8]) -> Verdict {
        let mut rest = bytes;
        while !rest.is_empty() {
            let seen = match &mut self.part {
                Part::Body(left) | Part::Chunk(left) => {
                    let seen = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= seen as u64;
                    if *left == 0 {
                        self.part = match self.part {
                            Part::Chunk(_) => Part::ChunkSize,
                            _ => Part::RequestLine,
                        };
                    }
                    seen
                }
                Part::RequestLine | Part::Fields | Part::ChunkSize | Part::Trailers => {
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    self.line.push(&rest[..end.unwrap_or(rest.len())]);
                    if let Some(end) = end {
                        let place = bytes.len() - rest.len() + end;
                        match self.end_line(place) {
                            Verdict::Sound => self.line = Line::default(),
                            verdict => return verdict,
                        }
                    }
                    end.map_or(rest.len(), |end| end + 1)
                }
            };
            rest = &rest[seen..];
        }
        Verdict::Sound
    }

    /// A line is complete, but for its line feed at `place`.
    fn end_line(&mut self, place: usize) -> Verdict {
        if self.line.last != b'\r' {
            return Verdict::Unsound(place);
        }
        let is_empty = self.line.length == 1;
        let next = match self.part {
            Part::RequestLine if is_empty => Some(Part::RequestLine),
            Part::RequestLine => {
                if self.requests == 0 && self.line.text() == Some(HTTP2) {
                    return Verdict::Http2;
                }
                self.requests += 1;
                Some(Part::Fields)
            }
            Part::Fields if is_empty => self.end_head(),
            Part::Fields => self.field().then_some(Part::Fields),
            Part::ChunkSize => self.line.chunk_size().and_then(|size| match size {
                0 => Some(Part::Trailers),
                size => size.checked_add(2).map(Part::Chunk),
            }),
            Part::Trailers if is_empty => Some(Part::RequestLine),
            Part::Trailers => Some(Part::Trailers),
            Part::Body(_) | Part::Chunk(_) => None,
        };
        let Some(next) = next else {
            return Verdict::Unsound(place);
        };
        self.part = next;
        Verdict::Sound
    }

    /// What follows the head; `None` if the head says two things about it.
    fn end_head(&mut self) -> Option<Part> {
        match (self.length.take(), std::mem::take(&mut self.chunked)) {
            (None, true) => Some(Part::ChunkSize),
            (Some(0) | None, false) => Some(Part::RequestLine),
            (Some(length), false) => Some(Part::Body(length)),
            (Some(_), true) => None,
        }
    }

    /// Notes what a field line says about the body; false if it cannot be said so.
    fn field(&mut self) -> bool {
        let start = self.line.start();
        let Some(colon) = start.iter().position(|byte| *byte == b':') else {
            // A long name, or hyper refuses the line.
            return true;
        };
        let name = &start[..colon];
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        if !is_length && !name.eq_ignore_ascii_case(b"transfer-encoding") {
            return true;
        }
        let Some(value) = self.line.text().map(|text| text[colon + 1..].trim_ascii()) else {
            return false;
        };
        if is_length {
            let first = self.length.is_none();
            self.length = number(value, 10).filter(|length| *length <= LENGTH_LIMIT);
            first && self.length.is_some()
        } else {
            let first = !self.chunked;
            self.chunked = value.eq_ignore_ascii_case(b"chunked");
            first && self.chunked
        }
    }
}

/// The line that is being read.
#[derive(Debug)]
struct Line {
    start: [u8; LINE_BYTES],
    /// All its bytes so far.
    length: usize,
    last: u8,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            start: [0; LINE_BYTES],
            length: 0,
            last: 0,
        }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.last = *last;
        if let Some(room) = self.start.get_mut(self.length..) {
            let kept = room.len().min(bytes.len());
            room[..kept].copy_from_slice(&bytes[..kept]);
        }
        self.length = self.length.saturating_add(bytes.len());
    }

    fn start(&self) -> &[u8] {
        &self.start[..self.length.min(LINE_BYTES)]
    }

    /// The whole line without its carriage return, unless it is too long to be looked at.
    fn text(&self) -> Option<&[u8]> {
        if self.length > LINE_BYTES {
            return None;
        }
        self.start().strip_suffix(b"\r")
    }

    /// The size that this line announces; extensions are skipped.
    fn chunk_size(&self) -> Option<u64> {
        let start = self.start();
        let end = start
            .iter()
            .position(|byte| !byte.is_ascii_hexdigit())
            .unwrap_or(start.len());
        matches!(start.get(end), Some(b'\r' | b';' | b' ' | b'\t'))
            .then(|| number(&start[..end], 16))
            .flatten()
    }
}

/// Digits and nothing else.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let digits = str::from_utf8(digits).ok()?;
    let is_plain = digits.chars().all(|digit| digit.is_digit(radix));
    is_plain
        .then(|| u64::from_str_radix(digits, radix).ok())
        .flatten()
}

#[cfg(test)]
mod tests;
