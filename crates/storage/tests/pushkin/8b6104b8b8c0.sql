DROP FUNCTION get_and_update_messages_to_send(hstore[]);
-- The rows that it returns have no id and no time.
CREATE FUNCTION get_non_elligible_user_message_pairs(p_users bigint[])
    RETURNS SETOF user_message_last_time_sent LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 0, sent.login_id, sent.message_id, 0::int8
        FROM user_message_last_time_sent sent JOIN message ON message.id = sent.message_id
        WHERE sent.login_id = ANY (p_users)
          AND sent.last_time_sent_ts_bigint + message.cooldown_ts > round(extract(epoch FROM now()))::int8 * 1000;
END $$;
CREATE FUNCTION upsert_user_message_last_time_sent(p_login_id bigint, p_message_id int)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE sent_at int8 := round(extract(epoch FROM now()))::int8 * 1000;
BEGIN
    UPDATE user_message_last_time_sent SET last_time_sent_ts_bigint = sent_at
        WHERE login_id = p_login_id AND message_id = p_message_id;
    IF NOT FOUND THEN
        INSERT INTO user_message_last_time_sent (login_id, message_id, last_time_sent_ts_bigint)
            VALUES (p_login_id, p_message_id, sent_at);
    END IF;
END $$;
