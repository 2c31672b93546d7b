-- What each login may do at all; row security (the next file) then says on which rows. Nobody but the owner may DELETE
-- or TRUNCATE anything.

GRANT SELECT ON alembic_version TO surefill_api, surefill_worker, surefill_compliance;

GRANT SELECT ON traders, api_keys, fills, order_attempts, instruments TO surefill_api;
GRANT SELECT, INSERT ON execution_logs, order_events TO surefill_api;
GRANT SELECT, INSERT, UPDATE ON orders, accounts, positions, audit_chains TO surefill_api;
GRANT SELECT, UPDATE ON event_counters TO surefill_api;

GRANT SELECT ON traders TO surefill_worker;
-- A halt found while trading is the worker's to record; limits are not.
GRANT UPDATE (trading_state, updated_at) ON traders TO surefill_worker;
GRANT SELECT, INSERT ON execution_logs, order_events, fills TO surefill_worker;
GRANT SELECT, INSERT, UPDATE ON orders, order_attempts, accounts, positions, event_counters, audit_chains, instruments
  TO surefill_worker;

GRANT SELECT ON execution_logs, orders, fills, order_attempts, order_events, traders TO surefill_compliance;
