ALTER TABLE device ADD COLUMN last_login_ts timestamp NOT NULL DEFAULT current_timestamp;
CREATE INDEX idx_device_current_device_token ON device (COALESCE(device_token_new, device_token));
DROP FUNCTION get_elligible_user_message_pairs(hstore[]);
DROP FUNCTION update_user_message_last_time_sent(hstore[]);
DROP FUNCTION process_user_login(int8, int2, int2, text, int4, int2);
CREATE FUNCTION keep_max_users_per_device(platform int2, token text, most int2)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM device WHERE id IN (
        SELECT ranked.id FROM (
            SELECT id, row_number() OVER (ORDER BY last_login_ts DESC, id DESC) AS place FROM device
            WHERE platform_id = platform AND unregistered_ts IS NULL
              AND COALESCE(device_token_new, device_token) = token) AS ranked
        WHERE ranked.place > most);
END $$;
CREATE FUNCTION process_user_login(
    p_login_id int8, p_language_id int2, p_platform_id int2, p_token text, p_version int4, p_devices int2, p_users int2)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE login SET language_id = p_language_id WHERE id = p_login_id;
    IF NOT FOUND THEN
        INSERT INTO login (id, language_id) VALUES (p_login_id, p_language_id);
    END IF;
    IF p_token IS NOT NULL THEN
        UPDATE device SET application_version = p_version, unregistered_ts = NULL, last_login_ts = now()
            WHERE login_id = p_login_id AND platform_id = p_platform_id
              AND (device_token = p_token OR device_token_new = p_token);
        IF NOT FOUND THEN
            INSERT INTO device (login_id, platform_id, device_token, application_version)
                VALUES (p_login_id, p_platform_id, p_token, p_version);
        END IF;
    END IF;
    DELETE FROM device WHERE id IN (
        SELECT ranked.id FROM (
            SELECT id, row_number() OVER (ORDER BY unregistered_ts DESC NULLS FIRST, id DESC) AS place
            FROM device WHERE login_id = p_login_id) AS ranked
        WHERE ranked.place > p_devices);
    PERFORM keep_max_users_per_device(p_platform_id, p_token, p_users);
END $$;
