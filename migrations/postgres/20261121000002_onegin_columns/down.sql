-- For developers only; the daemon never goes down.
DROP TRIGGER onegin_message_localization_changed ON message_localization;
DROP TRIGGER onegin_message_changed ON message;
DROP FUNCTION onegin_catalogue_changed();
DROP TABLE catalogue_version;
DROP FUNCTION get_non_elligible_user_message_pairs(int8[]);
ALTER TABLE device DROP COLUMN app;
ALTER TABLE user_message_last_time_sent DROP COLUMN decided_by;
