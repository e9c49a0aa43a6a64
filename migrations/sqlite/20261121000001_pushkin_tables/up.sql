-- Pushkin's tables in SQLite's terms: the same names, lists as JSON text, times as
-- `YYYY-MM-DD HH:MM:SS[.ffffff]` in UTC.

CREATE TABLE login (
    id INTEGER PRIMARY KEY NOT NULL,
    language_id INTEGER
);

-- AUTOINCREMENT here and in message: an id means "newer than", and opt-outs name messages by id,
-- so the id of a deleted row must not come back.
CREATE TABLE device (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    login_id INTEGER NOT NULL REFERENCES login (id) ON DELETE CASCADE,
    platform_id INTEGER NOT NULL,
    device_token TEXT NOT NULL,
    device_token_new TEXT,
    application_version INTEGER,
    unregistered_ts TEXT,
    last_login_ts TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_device_login_id ON device (login_id);
CREATE INDEX idx_device_current_device_token ON device (COALESCE(device_token_new, device_token));

CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name TEXT NOT NULL CONSTRAINT c_message_unique_name UNIQUE,
    cooldown_ts INTEGER,
    trigger_event_id INTEGER,
    screen TEXT NOT NULL DEFAULT '',
    expiry_millis INTEGER,
    priority TEXT NOT NULL DEFAULT 'normal'
);

CREATE TABLE message_localization (
    id INTEGER PRIMARY KEY NOT NULL,
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    language_id INTEGER NOT NULL,
    message_title TEXT NOT NULL,
    message_text TEXT NOT NULL,
    CONSTRAINT c_message_loc_unique_message_language UNIQUE (message_id, language_id)
);

CREATE TABLE message_blacklist (
    id INTEGER PRIMARY KEY NOT NULL,
    login_id INTEGER NOT NULL REFERENCES login (id) ON DELETE CASCADE,
    blacklist TEXT
);
CREATE UNIQUE INDEX idx_message_blacklist_login_id ON message_blacklist (login_id);

-- Without Pushkin's id, which nothing names: the pair is the key, so the busiest table of all
-- is one tree instead of two. Deleting a message scans it; that is rare.
CREATE TABLE user_message_last_time_sent (
    login_id INTEGER NOT NULL REFERENCES login (id) ON DELETE CASCADE,
    message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    last_time_sent_ts_bigint INTEGER NOT NULL,
    CONSTRAINT c_user_unique_message PRIMARY KEY (login_id, message_id)
) WITHOUT ROWID;
