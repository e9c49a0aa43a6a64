//! What the fuzz targets reach of this module's inside; compiled for them only.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use model::UnixMs;

use super::{access_token, answer};
use crate::provider::{Answer, Verdict};

pub(crate) fn judge(answer: &Answer, now: UnixMs) -> Verdict {
    answer::judge(answer, now)
}

pub(crate) fn granted(status: StatusCode, body: &[u8]) -> Result<(HeaderValue, Duration), String> {
    access_token::granted(status, body).map_err(|error| error.to_string())
}
