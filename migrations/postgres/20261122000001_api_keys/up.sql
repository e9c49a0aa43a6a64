-- Who may use the doors: organisations, and the API keys of each. Times are milliseconds since
-- 1970 in UTC, so that no server's time zone changes them.

CREATE TABLE organisation (
    id serial PRIMARY KEY,
    name text NOT NULL CONSTRAINT c_organisation_unique_name UNIQUE,
    created_at int8 NOT NULL
);
-- Whose app stands in config.ini, behind Pushkin's own URLs. The id comes from the sequence,
-- which is new and gives 1.
INSERT INTO organisation (name, created_at)
VALUES ('legacy', (extract(epoch FROM current_timestamp) * 1000)::int8);

-- The key is public and stored as it is; of its secret there is only a hash.
CREATE TABLE api_key (
    id serial PRIMARY KEY,
    organisation_id int4 NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    key text NOT NULL CONSTRAINT c_api_key_unique_key UNIQUE,
    algorithm text NOT NULL,
    hash text NOT NULL,
    note text,
    created_at int8 NOT NULL,
    disabled_at int8
);
CREATE INDEX idx_api_key_organisation_id ON api_key (organisation_id);
