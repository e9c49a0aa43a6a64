//! What the fuzz targets reach of this module's inside; compiled for them only.

use model::UnixMs;

use super::answer;
use crate::provider::{Answer, CredentialWord, Verdict};

pub(crate) fn judge(answer: &Answer, now: UnixMs) -> Verdict {
    answer::judge(answer, now)
}

pub(crate) fn credential_in_goaway(debug_data: &[u8]) -> Option<CredentialWord> {
    answer::credential_in_goaway(debug_data)
}
