//! What the fuzz targets reach of this crate's inside; compiled for them only.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use model::UnixMs;

pub use crate::provider::{Answer, TokenFate, Verdict};
use crate::{CredentialWord, apns, endpoint::Endpoint, fcm, pool};

/// What APNs's answer means.
#[must_use]
pub fn apns_verdict(answer: &Answer, now: UnixMs) -> Verdict {
    apns::fuzzing::judge(answer, now)
}

/// What APNs's farewell says about our credential.
#[must_use]
pub fn apns_credential_in_goaway(debug_data: &[u8]) -> Option<CredentialWord> {
    apns::fuzzing::credential_in_goaway(debug_data)
}

/// What FCM's answer means.
#[must_use]
pub fn fcm_verdict(answer: &Answer, now: UnixMs) -> Verdict {
    fcm::fuzzing::judge(answer, now)
}

/// The access token in a token endpoint's answer, and how long it lives.
///
/// # Errors
/// When there is none.
pub fn access_token(status: StatusCode, body: &[u8]) -> Result<(HeaderValue, Duration), String> {
    fcm::fuzzing::granted(status, body)
}

/// The farewell in a connection's bytes, which come in these pieces: the last stream that was
/// processed, the error code and the debug data.
pub fn goaway<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> Option<(u32, u32, Bytes)> {
    let goaway = pool::fuzzing::goaway(pieces)?;
    let debug_data = goaway.debug_data.clone();
    Some((goaway.last_stream_id, goaway.code, debug_data))
}

/// Host, port and authority of a push service's address.
///
/// # Errors
/// When it is none.
pub fn endpoint(url: &str) -> Result<(String, u16, String), String> {
    let endpoint = Endpoint::parse(url).map_err(|error| error.to_string())?;
    let authority = endpoint.authority.to_string();
    Ok((endpoint.host, endpoint.port, authority))
}
