-- For developers only; the daemon never goes down. All users, devices and messages are lost.
DROP TABLE user_message_last_time_sent;
DROP TABLE message_blacklist;
DROP TABLE message_localization;
DROP TABLE message;
DROP TABLE device;
DROP TABLE login;
