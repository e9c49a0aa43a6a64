//! What the journal reads back. Input: the stored form of a request; also taken as a row.
//!
//! * Damaged bytes are refused, and take memory in proportion to their number; only the names of
//!   pairs, stored once for events in a row, are there again for each of these.
//! * What is read and written again is the same: nothing gets lost on the way through the disk.

use model::Request;

/// Bytes in memory for each stored byte at most: a pair of two bytes becomes 40 and more.
const GROWTH: usize = 64;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    if let Ok(request) = Request::from_bytes(bytes) {
        let names = bytes.len() * request.items.len();
        assert!(request.bytes() <= 1_024 + GROWTH * bytes.len() + names);
        let stored = request.to_bytes();
        assert!(
            stored.len() <= request.bytes(),
            "a form longer than its value"
        );
        let again = Request::from_bytes(&stored).expect("what we wrote");
        // Bytes and not values: a float may be no number, which equals nothing.
        assert_eq!(again.to_bytes(), stored);
        for cut in [stored.len() - 1, stored.len() / 2] {
            assert!(Request::from_bytes(&stored[..cut]).is_err(), "cut at {cut}");
        }
    }
    if let Some(requests) = journal::fuzzing::requests(bytes) {
        assert!(!requests.is_empty());
        let row = journal::fuzzing::row(&requests).expect("there is a request");
        assert_eq!(row, bytes);
    }
}
