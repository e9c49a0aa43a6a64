-- Who may use the doors: organisations, and the API keys of each. Times are milliseconds since
-- 1970 in UTC, so that no server's time zone changes them.

-- AUTOINCREMENT: the id of a deleted organisation must not come back to another one's keys.
CREATE TABLE organisation (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name TEXT NOT NULL CONSTRAINT c_organisation_unique_name UNIQUE,
    created_at INTEGER NOT NULL
);
-- Whose app stands in config.ini, behind Pushkin's own URLs.
INSERT INTO organisation (id, name, created_at) VALUES (1, 'legacy', unixepoch() * 1000);

-- The key is public and stored as it is; of its secret there is only a hash.
CREATE TABLE api_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id INTEGER NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    key TEXT NOT NULL CONSTRAINT c_api_key_unique_key UNIQUE,
    algorithm TEXT NOT NULL,
    hash TEXT NOT NULL,
    note TEXT,
    created_at INTEGER NOT NULL,
    disabled_at INTEGER
);
CREATE INDEX idx_api_key_organisation_id ON api_key (organisation_id);
