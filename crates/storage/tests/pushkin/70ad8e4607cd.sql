CREATE OR REPLACE FUNCTION process_user_login(a int8, b int2, c int2, token text, v int4, m int2)
    RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''a newer old function''; END';
