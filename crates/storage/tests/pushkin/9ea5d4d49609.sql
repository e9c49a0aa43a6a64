ALTER TABLE device DROP COLUMN device_id;
DROP FUNCTION process_user_login(int8, int2, int2, text, text, int4, int2);
CREATE FUNCTION process_user_login(a int8, b int2, c int2, token text, v int4, m int2)
    RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''an old function''; END';
