//! What the fuzz targets reach of this crate's inside; compiled for them only.

use model::RequestId;

use crate::row::{self, Row};

/// The requests of a stored row; `None` where it is damaged.
#[must_use]
pub fn requests(row: &[u8]) -> Option<Vec<(RequestId, &[u8])>> {
    row::requests(row)
}

/// A row of these requests; `None` where there is none.
#[must_use]
pub fn row(requests: &[(RequestId, &[u8])]) -> Option<Vec<u8>> {
    let mut row = Row::default();
    for (id, request) in requests {
        row.push(*id, request);
    }
    (!requests.is_empty()).then(|| row.bytes().to_vec())
}
