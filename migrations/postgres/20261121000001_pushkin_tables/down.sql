-- For developers only; the daemon never goes down. All users, devices and messages are lost.
DROP FUNCTION IF EXISTS add_message, get_localized_message, upsert_user_message_last_time_sent,
    process_user_login, keep_max_users_per_device;
DROP TABLE user_message_last_time_sent, message_blacklist, message_localization, message, device, login,
    alembic_version;
