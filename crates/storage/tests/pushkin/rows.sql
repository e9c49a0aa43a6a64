-- Rows in every table that there is, at any revision.
INSERT INTO login (id, language_id) VALUES
    (1, 7), (2, NULL), (3, 1), (4, 7), (5, 9), (6, 8), (7, 1), (9007199254740993, 7), (-1, -1);

INSERT INTO message (name, cooldown_ts, trigger_event_id, screen) VALUES
    ('raid', 3600000, 100, 'village?id=1'), ('gift', NULL, 101, ''), ('поклон 🎁', 0, NULL, 'a,b' || chr(10) || 'c');
INSERT INTO message_localization (message_id, language_id, message_title, message_text) VALUES
    (1, 1, 'Raid!', 'Hurry, {name}!'), (1, 7, 'Препад!', 'Пожури, {name}! 🐎'), (1, 8, '襲撃！', '{name}、急げ！'),
    (2, 1, 'A gift', 'For you'), (2, 7, 'Поклон', 'За тебе'), (3, 7, '', '{{}}');

INSERT INTO user_message_last_time_sent (login_id, message_id, last_time_sent_ts_bigint) VALUES
    (4, 1, floor(extract(epoch FROM now()))::int8 * 1000), (4, 2, 1431234567891), (1, 1, 0);

DO $rows$
DECLARE
    devices text := $$(1, 1, 'old-1', 'new-1', 3, NULL::timestamp), (1, 6, 'tablet-1', NULL, NULL, NULL),
        (1, 1, 'gone-1', NULL, 2, '2015-05-05 05:05:05.123456'), (2, 1, 'and-2', NULL, 1, NULL),
        (3, 1, 'and-3', NULL, 1, NULL), (4, 1, 'and-4', NULL, 1, NULL), (5, 1, 'dead-5', NULL, 1, NULL),
        (6, 2, repeat('aa06', 16), NULL, 1, NULL), (6, 2, repeat('AA06', 16), NULL, 1, '2014-03-30 02:30:00'), (6, 1, 'twice-6', NULL, 1, NULL),
        (6, 1, 'twice-6', NULL, 2, NULL), (7, 5, repeat('ff07', 16), repeat('ff17', 16), NULL, NULL), (9007199254740993, 1, 'big', NULL, 1, NULL),
        (-1, 0, 'великий ✓', '', NULL, NULL)$$;
    present text[] := ARRAY(SELECT table_name || '.' || column_name FROM information_schema.columns
                            WHERE table_schema = 'public');
BEGIN
    IF 'device.device_id' = ANY (present) THEN
        EXECUTE 'INSERT INTO device (login_id, platform_id, device_token, device_token_new, application_version,
                 unregistered_ts, device_id) SELECT row.*, ''imei '' || row_number() OVER () FROM (VALUES ' || devices || ') AS row';
    ELSE
        EXECUTE 'INSERT INTO device (login_id, platform_id, device_token, device_token_new, application_version,
                 unregistered_ts) VALUES ' || devices;
    END IF;
    -- Ids with a hole: what is deleted does not come back.
    DELETE FROM device WHERE device_token = 'tablet-1';
    IF 'device.last_login_ts' = ANY (present) THEN
        EXECUTE 'UPDATE device SET last_login_ts = timestamp ''2016-02-29 23:59:59.999999'' + id * interval ''1 day''';
    END IF;
    IF 'message.expiry_millis' = ANY (present) THEN
        -- Ends tomorrow for the tests' events, which are of 1970.
        EXECUTE 'UPDATE message SET expiry_millis = floor(extract(epoch FROM now()))::int8 * 1000 + 86400000 WHERE id = 1';
    END IF;
    IF 'message.priority' = ANY (present) THEN
        EXECUTE 'UPDATE message SET priority = ''high'' WHERE id = 1';
    END IF;
    IF 'message_blacklist.blacklist' = ANY (present) THEN
        EXECUTE 'INSERT INTO message_blacklist (login_id, blacklist) VALUES
                 (3, ''{1,1,-5,2147483647}''), (7, NULL), (1, ''{}''), (6, ''{NULL,2}'')';
    END IF;
END $rows$;
