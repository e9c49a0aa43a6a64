//! What a file from Pushkin's days means differently here, said by the daemon at its start and
//! by `onegin check-config`.
//!
//! A file counts as Pushkin's while it sets neither `bind_address` nor `queue_limit_mb`: both
//! are keys that Pushkin did not have, both stand beside a key whose meaning has changed, and
//! whoever has set one of them has read about the change.

use super::Loaded;

/// One warning for each difference, with what to do about it.
pub(super) fn from_pushkin(loaded: &Loaded) -> Vec<String> {
    [address(loaded), queue_limit(loaded)]
        .into_iter()
        .chain(intervals(loaded))
        .flatten()
        .collect()
}

fn address(loaded: &Loaded) -> Option<String> {
    let is_set = loaded.is_set("ServerSpecific", "bind_address");
    (!is_set).then(|| {
        format!(
            "[ServerSpecific] bind_address is not set: listening on {} only; Pushkin listened on \
             every interface, bind_address = 0.0.0.0 does that",
            loaded.config.server.bind_address
        )
    })
}

fn queue_limit(loaded: &Loaded) -> Option<String> {
    let origin = loaded.origin("RequestProcessor", "queue_limit")?;
    let is_pushkins = !loaded.is_set("ServerSpecific", "bind_address")
        && !loaded.is_set("RequestProcessor", "queue_limit_mb");
    is_pushkins.then(|| {
        format!(
            "{origin}: [RequestProcessor] queue_limit = {} counts items (events and \
             notifications) here, and POSTs in Pushkin: multiply it by the items that your POSTs \
             have, then set queue_limit_mb, too, which bounds the memory",
            loaded.config.request_processor.queue_limit
        )
    })
}

fn intervals(loaded: &Loaded) -> [Option<String>; 2] {
    let sender = &loaded.config.sender;
    [
        ("apn_sender_interval_sec", sender.apn_sender_interval_sec),
        ("gcm_sender_interval_sec", sender.gcm_sender_interval_sec),
    ]
    .map(|(key, seconds)| {
        (seconds > 0.0).then(|| {
            format!(
                "[Sender] {key} = {seconds}: notifications wait up to {seconds} s for their \
                 batch; Pushkin read the key and ignored it, 0 sends at once"
            )
        })
    })
}
