//! Files of messages, as `onegin message import` reads them. Input: a file, taken for both forms.
//!
//! * A file is read, or refused with a line that it has.
//! * What is read and exported in either form is read again as the same.

use onegin::fuzzing::{
    read_messages_csv, read_messages_json, write_messages_csv, write_messages_json,
};
use storage::{Attribute, Message, MessageDraft};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Checks one input.
pub fn check(input: &[u8]) {
    let outcomes: [Outcome<Vec<MessageDraft>>; 2] = [
        read_messages_csv(input).map_err(Into::into),
        read_messages_json(input).map_err(Into::into),
    ];
    for outcome in outcomes {
        match outcome {
            Ok(drafts) => check_round_trip(drafts),
            Err(error) => check_error(input, &error.to_string()),
        }
    }
}

/// `line 7, column title: what is wrong`
fn check_error(input: &[u8], error: &str) {
    let digits = error.strip_prefix("line ").unwrap_or_default();
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line: Option<usize> = digits.parse().ok();
    assert!(
        line.is_some_and(|line| (1..=lines).contains(&line)),
        "{error}"
    );
}

fn check_round_trip(drafts: Vec<MessageDraft>) {
    let messages: Vec<Message> = drafts.into_iter().map(message).collect();
    let expected: Vec<MessageDraft> = messages.iter().cloned().map(draft).collect();
    let csv = write_messages_csv(&messages).expect("memory is written to");
    assert_eq!(read_messages_csv(&csv).expect("what we wrote"), expected);
    let json = write_messages_json(&messages).expect("memory is written to");
    assert_eq!(read_messages_json(&json).expect("what we wrote"), expected);
}

fn named<T: Default>(attribute: Attribute<T>) -> T {
    match attribute {
        Attribute::Keep => T::default(),
        Attribute::Set(value) => value,
    }
}

fn message(draft: MessageDraft) -> Message {
    Message {
        id: model::MessageId(1),
        name: draft.name,
        cooldown_ms: named(draft.cooldown_ms),
        trigger_event_id: named(draft.trigger_event_id),
        screen: named(draft.screen),
        expiry_millis: named(draft.expiry_millis),
        priority: named(draft.priority),
        localizations: draft.localizations,
    }
}

fn draft(message: Message) -> MessageDraft {
    MessageDraft {
        name: message.name,
        trigger_event_id: Attribute::Set(message.trigger_event_id),
        cooldown_ms: Attribute::Set(message.cooldown_ms),
        screen: Attribute::Set(message.screen),
        expiry_millis: Attribute::Set(message.expiry_millis),
        priority: Attribute::Set(message.priority),
        localizations: message.localizations,
    }
}
