//! What people and tools do with single logins, devices and messages: Pushkin's "Database API".
//!
//! A change of a message is in force in this process when the call returns, and within two
//! seconds in every other. Nothing here is on a notification's way. Lists that grow with the
//! number of users come in pages; messages come from memory, where the whole catalogue is.
//!
//! | Pushkin | here |
//! |---|---|
//! | `init_db` | [`Storage::open`] |
//! | `create_database`, `upgrade_database` | [`Storage::upgrade`]; SQLite's file is made by [`Storage::open`] |
//! | `get_head_revision`, `get_current_revision` | none: [`Storage::open`] compares them itself, and says what to do |
//! | `execute_query`, `execute_query_with_results` | none: whoever has SQL has the database; messages changed by SQL come into force too |
//! | `process_user_login` | [`Storage::log_in`]; a missing language keeps the stored one |
//! | `get_all_logins` | [`Storage::logins`], in pages |
//! | `get_login`, `upsert_login`, `delete_login` | [`Storage::login`], [`Storage::upsert_login`], [`Storage::delete_login`] |
//! | `get_devices`, `upsert_device`, `delete_device` | [`Storage::devices`], [`Storage::upsert_device`], [`Storage::delete_device`] |
//! | `get_device_tokens` | [`Storage::device_tokens`] |
//! | `get_raw_messages` | [`Storage::raw_messages`] |
//! | `update_canonicals`, `update_unregistered_devices` | [`Storage::update_canonicals`], [`Storage::update_unregistered_devices`]; both are [`Storage::apply_feedback`] |
//! | `get_all_message_blacklist` | [`Storage::blacklists`] in pages, [`Storage::blacklist`] for one login |
//! | `upsert_message_blacklist` | [`Storage::set_blacklist`] |
//! | `get_all_messages` | [`Catalogue::messages`] |
//! | `get_message` | [`Catalogue::named`], [`Catalogue::message`] |
//! | `get_message_localizations` | [`Message::localizations`] |
//! | `get_localized_message` | [`Storage::localized_message`] |
//! | `upsert_message` | [`Storage::upsert_message`] |
//! | `upsert_message_localization` | [`Storage::upsert_localization`] |
//! | `add_message` | [`Storage::add_message`], for many [`Storage::store_messages`]; a second language leaves the message's attributes as they are |
//! | `delete_message`, `delete_message_localization` | [`Storage::delete_message`], [`Storage::delete_localization`] |
//! | `get_event_to_message_mapping` | [`Catalogue::triggers`]; [`Catalogue::triggered_by`] for one event |
//! | `get_and_update_messages_to_send` | none: a cooldown is decided in the batch, by [`crate::Users::claim`] |
//!
//! [`Storage::open`]: crate::Storage::open
//! [`Storage::upgrade`]: crate::Storage::upgrade
//! [`Storage::log_in`]: crate::Storage::log_in
//! [`Storage::logins`]: crate::Storage::logins
//! [`Storage::login`]: crate::Storage::login
//! [`Storage::upsert_login`]: crate::Storage::upsert_login
//! [`Storage::delete_login`]: crate::Storage::delete_login
//! [`Storage::devices`]: crate::Storage::devices
//! [`Storage::upsert_device`]: crate::Storage::upsert_device
//! [`Storage::delete_device`]: crate::Storage::delete_device
//! [`Storage::device_tokens`]: crate::Storage::device_tokens
//! [`Storage::raw_messages`]: crate::Storage::raw_messages
//! [`Storage::update_canonicals`]: crate::Storage::update_canonicals
//! [`Storage::update_unregistered_devices`]: crate::Storage::update_unregistered_devices
//! [`Storage::apply_feedback`]: crate::Storage::apply_feedback
//! [`Storage::blacklists`]: crate::Storage::blacklists
//! [`Storage::blacklist`]: crate::Storage::blacklist
//! [`Storage::set_blacklist`]: crate::Storage::set_blacklist
//! [`Storage::localized_message`]: crate::Storage::localized_message
//! [`Storage::upsert_message`]: crate::Storage::upsert_message
//! [`Storage::upsert_localization`]: crate::Storage::upsert_localization
//! [`Storage::add_message`]: crate::Storage::add_message
//! [`Storage::store_messages`]: crate::Storage::store_messages
//! [`Storage::delete_message`]: crate::Storage::delete_message
//! [`Storage::delete_localization`]: crate::Storage::delete_localization
//! [`Catalogue::messages`]: crate::Catalogue::messages
//! [`Catalogue::named`]: crate::Catalogue::named
//! [`Catalogue::message`]: crate::Catalogue::message
//! [`Catalogue::triggers`]: crate::Catalogue::triggers
//! [`Catalogue::triggered_by`]: crate::Catalogue::triggered_by
//! [`Message::localizations`]: crate::Message::localizations

mod blacklists;

mod devices;

mod logins;

mod messages;

mod raw_messages;

mod rows;

mod store_messages;

mod tokens;

pub use blacklists::Blacklist;
pub use devices::{Device, DeviceRecord};
pub use logins::LoginRecord;
pub use messages::{LocalizedMessage, MessageAttributes};
pub use raw_messages::{RawMessage, RawText};
pub use store_messages::{Attribute, MessageDraft, StoredMessages};
pub use tokens::{Canonical, UnregisteredDevice};
