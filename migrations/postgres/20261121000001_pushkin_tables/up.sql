-- Pushkin's tables and functions as its last revision (34dd0bf00472) has them.
--
-- The same file makes an empty database and adopts Pushkin's own at any of its revisions: every
-- step asks whether it is still to be done, and no step changes a row that Pushkin wrote.
-- Pushkin can be started on the result.

CREATE TABLE IF NOT EXISTS login (
    id int8 NOT NULL,
    language_id int2,
    CONSTRAINT login_pkey PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS device (
    id serial NOT NULL,
    login_id int8 NOT NULL,
    platform_id int2 NOT NULL,
    device_token text NOT NULL,
    device_token_new text,
    application_version int4,
    unregistered_ts timestamp,
    CONSTRAINT device_pkey PRIMARY KEY (id),
    CONSTRAINT "Ref_device_to_login" FOREIGN KEY (login_id) REFERENCES login (id) ON DELETE CASCADE
);

-- The column's unique constraint (login_id, platform_id, device_id) goes with it.
ALTER TABLE device DROP COLUMN IF EXISTS device_id;
ALTER TABLE device ADD COLUMN IF NOT EXISTS last_login_ts timestamp NOT NULL DEFAULT current_timestamp;
CREATE INDEX IF NOT EXISTS idx_device_login_id ON device (login_id);
CREATE INDEX IF NOT EXISTS idx_device_current_device_token ON device (COALESCE(device_token_new, device_token));

CREATE TABLE IF NOT EXISTS message (
    id serial NOT NULL,
    name text NOT NULL,
    cooldown_ts int8,
    trigger_event_id int4,
    screen text NOT NULL DEFAULT '',
    CONSTRAINT message_pkey PRIMARY KEY (id),
    CONSTRAINT c_message_unique_name UNIQUE (name)
);
ALTER TABLE message ADD COLUMN IF NOT EXISTS expiry_millis int8;
ALTER TABLE message ADD COLUMN IF NOT EXISTS priority text NOT NULL DEFAULT 'normal';

CREATE TABLE IF NOT EXISTS message_localization (
    id serial NOT NULL,
    message_id int4 NOT NULL,
    language_id int2 NOT NULL,
    message_title text NOT NULL,
    message_text text NOT NULL,
    CONSTRAINT message_localization_pkey PRIMARY KEY (id),
    CONSTRAINT c_message_loc_unique_message_language UNIQUE (message_id, language_id),
    CONSTRAINT ref_message_id_to_message FOREIGN KEY (message_id) REFERENCES message (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS message_blacklist (
    id serial NOT NULL,
    login_id int8 NOT NULL,
    blacklist int4[],
    CONSTRAINT message_blacklist_pkey PRIMARY KEY (id),
    CONSTRAINT ref_message_blacklist_login_id_to_login FOREIGN KEY (login_id) REFERENCES login (id) ON DELETE CASCADE
);
-- Databases made by Pushkin's db_create.sql lack this index, so a login may have two rows there.
DELETE FROM message_blacklist older USING message_blacklist newer
WHERE older.login_id = newer.login_id AND older.id < newer.id;
CREATE UNIQUE INDEX IF NOT EXISTS idx_message_blacklist_login_id ON message_blacklist (login_id);

CREATE TABLE IF NOT EXISTS user_message_last_time_sent (
    id serial NOT NULL,
    login_id int8 NOT NULL,
    message_id int4 NOT NULL,
    last_time_sent_ts_bigint int8 NOT NULL,
    CONSTRAINT user_message_last_time_sent_pkey PRIMARY KEY (id),
    CONSTRAINT c_user_unique_message UNIQUE (login_id, message_id),
    CONSTRAINT ref_login_id_to_login FOREIGN KEY (login_id) REFERENCES login (id) ON DELETE CASCADE,
    CONSTRAINT ref_message_id_to_message FOREIGN KEY (message_id) REFERENCES message (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS alembic_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
DELETE FROM alembic_version;
INSERT INTO alembic_version (version_num) VALUES ('34dd0bf00472');

-- Functions that later revisions dropped, whatever their arguments were called. The login's is told
-- by its types: before 9ea5d4d49609 it had seven arguments too, one of them the device's id.
DO $adopt$
DECLARE
    dropped record;
BEGIN
    FOR dropped IN
        SELECT oid::regprocedure AS signature FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace
          AND (proname IN ('get_elligible_user_message_pairs', 'update_user_message_last_time_sent',
                           'get_and_update_messages_to_send')
               OR (proname = 'process_user_login'
                   AND oidvectortypes(proargtypes) <> 'bigint, smallint, smallint, text, integer, smallint, smallint'))
    LOOP
        EXECUTE format('DROP FUNCTION %s', dropped.signature);
    END LOOP;
END
$adopt$;

-- A function that is there already is Pushkin's own and stays: replacing it would fail where an
-- argument has another name, and a second one beside it would make calls ambiguous.
DO $adopt$
DECLARE
    present text[] := ARRAY(SELECT proname::text FROM pg_proc
                            WHERE pronamespace = current_schema()::regnamespace);
BEGIN
    IF NOT 'keep_max_users_per_device' = ANY (present) THEN
        CREATE FUNCTION keep_max_users_per_device(
            p_platform_id int2, p_device_token text, p_max_users_per_device int2
        ) RETURNS void LANGUAGE plpgsql AS $body$
        BEGIN
            DELETE FROM device WHERE id IN (
                SELECT id FROM device
                WHERE platform_id = p_platform_id
                  AND COALESCE(device_token_new, device_token) = p_device_token
                  AND unregistered_ts IS NULL
                ORDER BY last_login_ts DESC, id DESC
                OFFSET p_max_users_per_device
            );
        END
        $body$;
    END IF;

    IF NOT 'process_user_login' = ANY (present) THEN
        CREATE FUNCTION process_user_login(
            p_login_id int8, p_language_id int2, p_platform_id int2, p_device_token text,
            p_application_version int4, p_max_devices_per_user int2, p_max_users_per_device int2
        ) RETURNS void LANGUAGE plpgsql AS $body$
        BEGIN
            INSERT INTO login (id, language_id) VALUES (p_login_id, p_language_id)
            ON CONFLICT (id) DO UPDATE SET language_id = excluded.language_id;

            IF p_device_token IS NOT NULL THEN
                UPDATE device
                SET application_version = p_application_version,
                    unregistered_ts = NULL,
                    last_login_ts = current_timestamp
                WHERE login_id = p_login_id AND platform_id = p_platform_id
                  AND p_device_token IN (device_token, device_token_new);
                IF NOT FOUND THEN
                    INSERT INTO device (login_id, platform_id, device_token, application_version)
                    VALUES (p_login_id, p_platform_id, p_device_token, p_application_version);
                END IF;
            END IF;

            DELETE FROM device WHERE id IN (
                SELECT id FROM device WHERE login_id = p_login_id
                ORDER BY unregistered_ts DESC NULLS FIRST, id DESC
                OFFSET p_max_devices_per_user
            );
            PERFORM keep_max_users_per_device(p_platform_id, p_device_token, p_max_users_per_device);
        END
        $body$;
    END IF;

    IF NOT 'upsert_user_message_last_time_sent' = ANY (present) THEN
        CREATE FUNCTION upsert_user_message_last_time_sent(p_login_id int8, p_message_id int4)
        RETURNS void LANGUAGE plpgsql AS $body$
        BEGIN
            INSERT INTO user_message_last_time_sent (login_id, message_id, last_time_sent_ts_bigint)
            VALUES (p_login_id, p_message_id, round(extract(epoch FROM current_timestamp))::int8 * 1000)
            ON CONFLICT (login_id, message_id)
            DO UPDATE SET last_time_sent_ts_bigint = excluded.last_time_sent_ts_bigint;
        END
        $body$;
    END IF;

    IF NOT 'get_localized_message' = ANY (present) THEN
        CREATE FUNCTION get_localized_message(p_login_id int8, p_message_id int4)
        RETURNS SETOF message_localization LANGUAGE plpgsql AS $body$
        BEGIN
            RETURN QUERY
            SELECT localization.* FROM message_localization localization
            JOIN login ON login.id = p_login_id AND login.language_id IS NOT NULL
            WHERE localization.message_id = p_message_id
              AND localization.language_id IN (login.language_id, 1)
            ORDER BY localization.language_id = login.language_id DESC
            LIMIT 1;
        END
        $body$;
    END IF;

    IF NOT 'add_message' = ANY (present) THEN
        CREATE FUNCTION add_message(
            p_name text, p_trigger_event_id int4, p_cooldown_ts int8, p_language_id int2,
            p_title text, p_text text, p_screen text
        ) RETURNS int4 LANGUAGE plpgsql AS $body$
        DECLARE
            found_id int4;
        BEGIN
            INSERT INTO message (name, trigger_event_id, cooldown_ts, screen)
            VALUES (p_name, p_trigger_event_id, p_cooldown_ts, p_screen)
            ON CONFLICT (name) DO NOTHING;
            SELECT id INTO found_id FROM message WHERE name = p_name;
            INSERT INTO message_localization (message_id, language_id, message_title, message_text)
            VALUES (found_id, p_language_id, p_title, p_text);
            RETURN found_id;
        END
        $body$;
    END IF;
END
$adopt$;
