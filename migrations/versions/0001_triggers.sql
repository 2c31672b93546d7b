-- A stale write is a lost race, which the caller repeats on the row as it is now: hence serialization_failure (40001).
CREATE FUNCTION orders_version_rises() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN
    RAISE EXCEPTION 'order % is at version %, so version % cannot follow', OLD.id, OLD.version, NEW.version
      USING ERRCODE = 'serialization_failure', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
  END IF;
  IF (NEW.id, NEW.trader_id, NEW.idempotency_key, NEW.symbol, NEW.side, NEW.created_at)
     IS DISTINCT FROM (OLD.id, OLD.trader_id, OLD.idempotency_key, OLD.symbol, OLD.side, OLD.created_at) THEN
    RAISE EXCEPTION 'order %: id, trader_id, idempotency_key, symbol, side and created_at never change', OLD.id
      USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
  END IF;
  RETURN NEW;
END
$body$;
REVOKE ALL ON FUNCTION orders_version_rises() FROM PUBLIC;

CREATE TRIGGER orders_version_rises BEFORE UPDATE ON orders
  FOR EACH ROW EXECUTE FUNCTION orders_version_rises();

-- Per statement and not per row: row security hides the rows from most roles, a row trigger would then never fire, and
-- TRUNCATE has no rows. So the statement itself is refused, whoever sends it and however few rows it would meet.
CREATE FUNCTION rows_are_immutable() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END
$body$;
REVOKE ALL ON FUNCTION rows_are_immutable() FROM PUBLIC;

CREATE TRIGGER execution_logs_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON execution_logs
  FOR EACH STATEMENT EXECUTE FUNCTION rows_are_immutable();
CREATE TRIGGER fills_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON fills
  FOR EACH STATEMENT EXECUTE FUNCTION rows_are_immutable();
CREATE TRIGGER order_events_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON order_events
  FOR EACH STATEMENT EXECUTE FUNCTION rows_are_immutable();
-- ALWAYS: session_replication_role = 'replica' switches ordinary triggers off.
ALTER TABLE execution_logs ENABLE ALWAYS TRIGGER execution_logs_immutable;
ALTER TABLE fills ENABLE ALWAYS TRIGGER fills_immutable;
ALTER TABLE order_events ENABLE ALWAYS TRIGGER order_events_immutable;
