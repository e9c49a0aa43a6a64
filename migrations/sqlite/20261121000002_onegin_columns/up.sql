-- What Onegin keeps beside Pushkin's columns.

-- Which item's decision the recorded time is: an item that is handled again finds itself here.
ALTER TABLE user_message_last_time_sent ADD COLUMN decided_by TEXT;

-- The app a device belongs to; NULL is the legacy app of config.ini.
ALTER TABLE device ADD COLUMN app INTEGER;

-- Every change of a message or text, by whatever program, raises the number; daemons poll it.
CREATE TABLE catalogue_version (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    version INTEGER NOT NULL
);
INSERT INTO catalogue_version (id, version) VALUES (1, 1);

CREATE TRIGGER onegin_message_inserted AFTER INSERT ON message
BEGIN UPDATE catalogue_version SET version = version + 1; END;
CREATE TRIGGER onegin_message_updated AFTER UPDATE ON message
BEGIN UPDATE catalogue_version SET version = version + 1; END;
CREATE TRIGGER onegin_message_deleted AFTER DELETE ON message
BEGIN UPDATE catalogue_version SET version = version + 1; END;
CREATE TRIGGER onegin_message_localization_inserted AFTER INSERT ON message_localization
BEGIN UPDATE catalogue_version SET version = version + 1; END;
CREATE TRIGGER onegin_message_localization_updated AFTER UPDATE ON message_localization
BEGIN UPDATE catalogue_version SET version = version + 1; END;
CREATE TRIGGER onegin_message_localization_deleted AFTER DELETE ON message_localization
BEGIN UPDATE catalogue_version SET version = version + 1; END;
