-- What Onegin keeps beside Pushkin's columns. All of it is nullable or apart, so Pushkin's own
-- statements go on working.

-- Which item's decision the recorded time is: an item that is handled again finds itself here.
ALTER TABLE user_message_last_time_sent ADD COLUMN decided_by text;

-- The app a device belongs to; NULL is the legacy app of config.ini.
ALTER TABLE device ADD COLUMN app int8;

-- Returns whole rows of the table above, so it has to know the new column.
CREATE OR REPLACE FUNCTION get_non_elligible_user_message_pairs(p_users int8[])
RETURNS SETOF user_message_last_time_sent LANGUAGE plpgsql AS $body$
BEGIN
    RETURN QUERY
    SELECT sent.* FROM user_message_last_time_sent sent
    JOIN message ON message.id = sent.message_id
    WHERE sent.login_id = ANY (p_users)
      AND sent.last_time_sent_ts_bigint + message.cooldown_ts
          > round(extract(epoch FROM current_timestamp))::int8 * 1000;
END
$body$;

-- Every change of a message or text, by whatever program, raises the number; daemons poll it.
CREATE TABLE catalogue_version (
    id int2 PRIMARY KEY CHECK (id = 1),
    version int8 NOT NULL
);
INSERT INTO catalogue_version (id, version) VALUES (1, 1);

-- SECURITY DEFINER: whoever may change messages need not be allowed to change this table.
CREATE FUNCTION onegin_catalogue_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $body$
BEGIN
    UPDATE catalogue_version SET version = version + 1;
    RETURN NULL;
END
$body$;

CREATE TRIGGER onegin_message_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON message
FOR EACH STATEMENT EXECUTE FUNCTION onegin_catalogue_changed();

CREATE TRIGGER onegin_message_localization_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON message_localization
FOR EACH STATEMENT EXECUTE FUNCTION onegin_catalogue_changed();
