-- For developers only; the daemon never goes down. All keys and organisations are lost.
DROP TABLE api_key;
DROP TABLE organisation;
