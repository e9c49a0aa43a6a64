-- Pushkin's first revision. Bodies of functions stand for the originals': only their names and
-- arguments matter to an upgrade.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;
-- Stands for the extension's type, which a test's server need not have.
CREATE TYPE hstore AS (key text, value text);

CREATE TABLE login (id int8 NOT NULL, language_id int2, CONSTRAINT login_pkey PRIMARY KEY (id));
CREATE TABLE device (
    id serial NOT NULL, login_id int8 NOT NULL, platform_id int2 NOT NULL, device_id text NOT NULL,
    device_token text NOT NULL, device_token_new text, application_version int4, unregistered_ts timestamp,
    CONSTRAINT device_pkey PRIMARY KEY (id),
    CONSTRAINT "Ref_device_to_login" FOREIGN KEY (login_id) REFERENCES login (id) ON DELETE CASCADE,
    CONSTRAINT c_device_unique_user_device UNIQUE (login_id, platform_id, device_id));
CREATE INDEX idx_device_login_id ON device (login_id);
CREATE TABLE message (
    id serial NOT NULL, name text NOT NULL, cooldown_ts int8, trigger_event_id int4, screen text NOT NULL DEFAULT '',
    CONSTRAINT message_pkey PRIMARY KEY (id), CONSTRAINT c_message_unique_name UNIQUE (name));
CREATE TABLE message_localization (
    id serial NOT NULL, message_id int4 NOT NULL, language_id int2 NOT NULL,
    message_title text NOT NULL, message_text text NOT NULL,
    CONSTRAINT message_localization_pkey PRIMARY KEY (id),
    CONSTRAINT c_message_loc_unique_message_language UNIQUE (message_id, language_id),
    CONSTRAINT ref_message_id_to_message FOREIGN KEY (message_id) REFERENCES message (id) ON DELETE CASCADE);
CREATE TABLE user_message_last_time_sent (
    id serial NOT NULL, login_id int8 NOT NULL, message_id int4 NOT NULL, last_time_sent_ts_bigint int8 NOT NULL,
    CONSTRAINT user_message_last_time_sent_pkey PRIMARY KEY (id),
    CONSTRAINT c_user_unique_message UNIQUE (login_id, message_id),
    CONSTRAINT ref_login_id_to_login FOREIGN KEY (login_id) REFERENCES login (id) ON DELETE CASCADE,
    CONSTRAINT ref_message_id_to_message FOREIGN KEY (message_id) REFERENCES message (id) ON DELETE CASCADE);
CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));

-- As many arguments as the last revision's has, one of them the device's id.
CREATE FUNCTION process_user_login(a int8, b int2, c int2, device_id text, token text, v int4, m int2)
    RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''an old function''; END';
CREATE FUNCTION get_elligible_user_message_pairs(a hstore[]) RETURNS SETOF hstore LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION update_user_message_last_time_sent(a hstore[]) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION get_and_update_messages_to_send(a hstore[]) RETURNS SETOF hstore LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION get_localized_message(login int8, message int4) RETURNS SETOF message_localization LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT text.* FROM message_localization text, login user_row
        WHERE user_row.id = login AND text.message_id = message AND text.language_id = user_row.language_id;
    IF NOT FOUND AND EXISTS (SELECT 1 FROM login user_row WHERE user_row.id = login AND user_row.language_id IS NOT NULL) THEN
        RETURN QUERY SELECT text.* FROM message_localization text WHERE text.message_id = message AND text.language_id = 1;
    END IF;
END $$;
CREATE FUNCTION add_message(name_of text, event int4, cooldown int8, language int2, title text, words text, place text)
    RETURNS int4 LANGUAGE plpgsql AS $$
DECLARE new_id int4;
BEGIN
    SELECT id INTO new_id FROM message WHERE name = name_of;
    IF NOT FOUND THEN
        INSERT INTO message (name, trigger_event_id, cooldown_ts, screen) VALUES (name_of, event, cooldown, place)
            RETURNING id INTO new_id;
    END IF;
    INSERT INTO message_localization (message_id, language_id, message_title, message_text)
        VALUES (new_id, language, title, words);
    RETURN new_id;
END $$;
