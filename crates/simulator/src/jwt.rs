//! Compact JSON web tokens (RFC 7515), taken apart but not yet believed.
//!
//! In goes the text of a token; out come its header, its claims and what a
//! signature check needs. Base64 is strict: the URL alphabet without padding,
//! as RFC 7515 section 2 demands, because a lenient simulator would let a
//! sloppy signer pass.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};

/// The header fields that Apple and Google look at.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) kid: Option<String>,
}

/// A well-formed token whose signature nobody has checked yet.
#[derive(Debug)]
pub(crate) struct Unverified<'a, C> {
    pub(crate) header: Header,
    pub(crate) claims: C,
    /// The bytes that were signed: both first parts and the dot between them.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

/// Takes a token apart; `None` when it has no three parts of strict base64 or no JSON of the right shape.
pub(crate) fn parse<C: DeserializeOwned>(token: &str) -> Option<Unverified<'_, C>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    Some(Unverified {
        header: json_part(header)?,
        claims: json_part(claims)?,
        signed: signed.as_bytes(),
        signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
    })
}

fn json_part<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
