ALTER TABLE message ADD COLUMN expiry_millis int8;
