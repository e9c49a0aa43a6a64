//! The published `.proto` files and the Rust types made from them.
//!
//! `proto/` is what game servers build their clients from; `src/generated/` is made from it and
//! checked in, because a fresh machine has no `protoc`. A test makes it again and compares, so
//! the two cannot drift apart.
#![forbid(unsafe_code)]

/// Pushkin's messages: `EventMessage.proto` and `PushNotificationMessage.proto`.
///
/// The `required` fields of a pair are not enforced when decoding, as in Pushkin: a missing key
/// or value is the empty text.
#[allow(
    clippy::doc_markdown,
    clippy::too_long_first_doc_paragraph,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code: its comments are the .proto files', its form is prost's"
)]
pub mod pushkin {
    include!("generated/pushkin.rs");
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use prost::Message;

    use crate::pushkin::{BatchEventRequest, Event, event::Pair};

    const UPDATE_VARIABLE: &str = "ONEGIN_UPDATE_GENERATED";

    #[test]
    fn the_generated_code_is_what_the_published_files_give() {
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let descriptors = protox::compile(
            ["EventMessage.proto", "PushNotificationMessage.proto"],
            [crate_folder.join("proto")],
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        prost_build::Config::new()
            .out_dir(folder.path())
            .default_package_filename("pushkin")
            .compile_fds(descriptors)
            .unwrap();
        let made = fs::read_to_string(folder.path().join("pushkin.rs")).unwrap();
        let checked_in = crate_folder.join("src/generated/pushkin.rs");
        if env::var_os(UPDATE_VARIABLE).is_some() {
            fs::write(&checked_in, &made).unwrap();
        }
        assert!(
            fs::read_to_string(&checked_in).unwrap_or_default() == made,
            "src/generated/pushkin.rs is stale; write it anew with \
             `{UPDATE_VARIABLE}=1 cargo test -p onegin-proto` and check it in"
        );
    }

    #[test]
    fn a_pair_without_key_or_value_is_read_as_empty_texts() {
        let event_with_empty_pair = [0x0a, 0x04, 0x08, 0x07, 0x2a, 0x00];
        assert_eq!(
            BatchEventRequest::decode(&event_with_empty_pair[..]).unwrap(),
            BatchEventRequest {
                events: vec![Event {
                    user_id: Some(7),
                    pairs: vec![Pair::default()],
                    ..Event::default()
                }],
            }
        );
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let unknown_field_nine = [0x48, 0x01];
        assert_eq!(
            BatchEventRequest::decode(&unknown_field_nine[..]).unwrap(),
            BatchEventRequest::default()
        );
    }
}
