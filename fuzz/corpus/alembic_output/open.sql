-- Running upgrade  -> a
select 'open
-- Running upgrade a -> c
;;BEGIN;COMMIT;
