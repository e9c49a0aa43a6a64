CREATE TABLE message_blacklist (
    id serial NOT NULL, login_id int8 NOT NULL, blacklist int4[],
    CONSTRAINT message_blacklist_pkey PRIMARY KEY (id),
    CONSTRAINT ref_message_blacklist_login_id_to_login FOREIGN KEY (login_id) REFERENCES login (id) ON DELETE CASCADE);
CREATE UNIQUE INDEX idx_message_blacklist_login_id ON message_blacklist (login_id);
