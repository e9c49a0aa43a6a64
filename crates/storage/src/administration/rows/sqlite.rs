//! SQLite's words; times are texts in UTC.

/// In the list's order, so that ids ascend with it.
pub(super) const INSERT_MESSAGES: &str = "INSERT INTO message (name, trigger_event_id, cooldown_ts, screen, expiry_millis, priority) \
     SELECT value ->> 'name', value ->> 'trigger_event_id', value ->> 'cooldown_ts', \
            value ->> 'screen', value ->> 'expiry_millis', value ->> 'priority' \
     FROM json_each(?) ORDER BY key RETURNING id, name";

pub(super) const UPDATE_MESSAGES: &str = "UPDATE message \
     SET trigger_event_id = wanted.value ->> 'trigger_event_id', \
         cooldown_ts = wanted.value ->> 'cooldown_ts', screen = wanted.value ->> 'screen', \
         expiry_millis = wanted.value ->> 'expiry_millis', \
         priority = wanted.value ->> 'priority' \
     FROM json_each(?) AS wanted WHERE message.id = wanted.value ->> 'id'";

pub(super) const INSERT_TEXTS: &str = "INSERT INTO message_localization (message_id, language_id, message_title, message_text) \
     SELECT value ->> 'message_id', value ->> 'language_id', value ->> 'title', value ->> 'text' \
     FROM json_each(?)";

pub(super) const UPDATE_TEXTS: &str = "UPDATE message_localization \
     SET message_title = wanted.value ->> 'title', message_text = wanted.value ->> 'text' \
     FROM json_each(?) AS wanted \
     WHERE message_localization.message_id = wanted.value ->> 'message_id' \
       AND message_localization.language_id = wanted.value ->> 'language_id'";

pub(super) const INSERT_DEVICE: &str = "INSERT INTO device (login_id, platform_id, device_token, application_version, \
                         unregistered_ts, last_login_ts) \
     SELECT value ->> 'login_id', value ->> 'platform_id', value ->> 'device_token', \
            value ->> 'application_version', \
            strftime('%Y-%m-%d %H:%M:%S', (value ->> 'unregistered_ms') / 1000, 'unixepoch') \
                || printf('.%03d000', (value ->> 'unregistered_ms') % 1000), \
            strftime('%Y-%m-%d %H:%M:%S', (value ->> 'now_ms') / 1000, 'unixepoch') \
                || printf('.%03d000', (value ->> 'now_ms') % 1000) \
     FROM json_each(?)";

pub(super) const UPDATE_DEVICE: &str = "UPDATE device \
     SET application_version = wanted.value ->> 'application_version', \
         unregistered_ts = \
             strftime('%Y-%m-%d %H:%M:%S', (wanted.value ->> 'unregistered_ms') / 1000, 'unixepoch') \
             || printf('.%03d000', (wanted.value ->> 'unregistered_ms') % 1000) \
     FROM json_each(?) AS wanted WHERE device.id = wanted.value ->> 'id'";
