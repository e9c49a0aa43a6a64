-- For developers only; the daemon never goes down.
DROP TRIGGER onegin_message_localization_deleted;
DROP TRIGGER onegin_message_localization_updated;
DROP TRIGGER onegin_message_localization_inserted;
DROP TRIGGER onegin_message_deleted;
DROP TRIGGER onegin_message_updated;
DROP TRIGGER onegin_message_inserted;
DROP TABLE catalogue_version;
ALTER TABLE device DROP COLUMN app;
ALTER TABLE user_message_last_time_sent DROP COLUMN decided_by;
