//! PostgreSQL's words; `timestamp` columns are in the session's zone, which is the server's.

/// In the list's order, so that ids ascend with it.
pub(super) const INSERT_MESSAGES: &str = "INSERT INTO message (name, trigger_event_id, cooldown_ts, screen, expiry_millis, priority) \
     SELECT name, trigger_event_id, cooldown_ts, screen, expiry_millis, priority \
     FROM ROWS FROM (jsonb_to_recordset($1::jsonb) \
          AS (name text, trigger_event_id int4, cooldown_ts int8, screen text, \
              expiry_millis int8, priority text)) WITH ORDINALITY AS wanted \
     ORDER BY ordinality RETURNING id, name";

pub(super) const UPDATE_MESSAGES: &str = "UPDATE message SET trigger_event_id = wanted.trigger_event_id, \
            cooldown_ts = wanted.cooldown_ts, screen = wanted.screen, \
            expiry_millis = wanted.expiry_millis, priority = wanted.priority \
     FROM jsonb_to_recordset($1::jsonb) \
          AS wanted (id int4, trigger_event_id int4, cooldown_ts int8, screen text, \
                     expiry_millis int8, priority text) WHERE message.id = wanted.id";

pub(super) const INSERT_TEXTS: &str = "INSERT INTO message_localization (message_id, language_id, message_title, message_text) \
     SELECT message_id, language_id, title, text FROM jsonb_to_recordset($1::jsonb) \
          AS wanted (message_id int4, language_id int2, title text, text text)";

pub(super) const UPDATE_TEXTS: &str = "UPDATE message_localization AS stored \
     SET message_title = wanted.title, message_text = wanted.text \
     FROM jsonb_to_recordset($1::jsonb) \
          AS wanted (message_id int4, language_id int2, title text, text text) \
     WHERE stored.message_id = wanted.message_id AND stored.language_id = wanted.language_id";

pub(super) const INSERT_DEVICE: &str = "INSERT INTO device (login_id, platform_id, device_token, application_version, unregistered_ts) \
     SELECT login_id, platform_id, device_token, application_version, \
            to_timestamp(unregistered_ms / 1000.0)::timestamp \
     FROM jsonb_to_recordset($1::jsonb) \
          AS wanted (login_id int8, platform_id int2, device_token text, application_version int4, \
                     unregistered_ms int8)";

pub(super) const UPDATE_DEVICE: &str = "UPDATE device SET application_version = wanted.application_version, \
            unregistered_ts = to_timestamp(wanted.unregistered_ms / 1000.0)::timestamp \
     FROM jsonb_to_recordset($1::jsonb) \
          AS wanted (id int4, application_version int4, unregistered_ms int8) \
     WHERE device.id = wanted.id";
