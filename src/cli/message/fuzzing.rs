//! What the fuzz targets reach of this module's inside; compiled for them only.

use storage::{Message, MessageDraft};

use super::{csv_file, json_file};

/// The messages of a CSV file.
///
/// # Errors
/// What is wrong with it.
pub fn read_messages_csv(bytes: &[u8]) -> anyhow::Result<Vec<MessageDraft>> {
    csv_file::read(bytes)
}

/// The messages of a JSON file.
///
/// # Errors
/// What is wrong with it.
pub fn read_messages_json(bytes: &[u8]) -> anyhow::Result<Vec<MessageDraft>> {
    json_file::read(bytes)
}

/// These messages as a CSV file.
///
/// # Errors
/// None in practice.
pub fn write_messages_csv(messages: &[Message]) -> anyhow::Result<Vec<u8>> {
    csv_file::write(messages.iter())
}

/// These messages as a JSON file.
///
/// # Errors
/// None in practice.
pub fn write_messages_json(messages: &[Message]) -> anyhow::Result<Vec<u8>> {
    json_file::write(messages.iter())
}
