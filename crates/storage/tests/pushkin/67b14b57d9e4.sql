ALTER TABLE message ADD COLUMN priority text NOT NULL DEFAULT 'normal';
