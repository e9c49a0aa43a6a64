-- What the script db_create.sql made otherwise than the migrations did.
ALTER TABLE alembic_version DROP CONSTRAINT alembic_version_pkc;
DROP INDEX idx_device_current_device_token;
DROP INDEX idx_message_blacklist_login_id;
DROP FUNCTION add_message(text, int4, int8, int2, text, text, text);
CREATE FUNCTION add_message(
    name_of text, event int4, cooldown int8, language int2, title text, words text, place text, p_priority text)
    RETURNS int4 LANGUAGE plpgsql AS $$
DECLARE new_id int4;
BEGIN
    SELECT id INTO new_id FROM message WHERE name = name_of;
    IF NOT FOUND THEN
        INSERT INTO message (name, trigger_event_id, cooldown_ts, screen, priority)
            VALUES (name_of, event, cooldown, place, p_priority) RETURNING id INTO new_id;
    END IF;
    INSERT INTO message_localization (message_id, language_id, message_title, message_text)
        VALUES (new_id, language, title, words);
    RETURN new_id;
END $$;
