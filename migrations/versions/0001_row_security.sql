-- Row security, failing closed: a role without a policy sees and writes nothing, and without app.trader_id the match
-- below is with null, which no row passes. After a transaction that set it, the setting reads '' and not null: NULLIF.
-- The SELECT around the setting makes it one initialization plan a statement instead of one call a row.
-- FORCE: an owner is bound too, unless it says otherwise below. One policy per command, so that DELETE never has one.

ALTER TABLE traders ENABLE ROW LEVEL SECURITY;
ALTER TABLE traders FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts FORCE ROW LEVEL SECURITY;
ALTER TABLE event_counters ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_counters FORCE ROW LEVEL SECURITY;
ALTER TABLE positions ENABLE ROW LEVEL SECURITY;
ALTER TABLE positions FORCE ROW LEVEL SECURITY;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
ALTER TABLE order_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_attempts FORCE ROW LEVEL SECURITY;
ALTER TABLE fills ENABLE ROW LEVEL SECURITY;
ALTER TABLE fills FORCE ROW LEVEL SECURITY;
ALTER TABLE order_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_events FORCE ROW LEVEL SECURITY;
ALTER TABLE execution_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE execution_logs FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_chains ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_chains FORCE ROW LEVEL SECURITY;

-- The API: its trader's rows.
CREATE POLICY orders_trader_isolation ON orders FOR SELECT TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY orders_trader_isolation_insert ON orders FOR INSERT TO surefill_api
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY orders_trader_isolation_update ON orders FOR UPDATE TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid))
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY fills_trader_isolation ON fills FOR SELECT TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY execution_logs_trader_isolation ON execution_logs FOR SELECT TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY execution_logs_trader_isolation_insert ON execution_logs FOR INSERT TO surefill_api
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY order_events_trader_isolation ON order_events FOR SELECT TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY order_events_trader_isolation_insert ON order_events FOR INSERT TO surefill_api
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY order_attempts_trader_isolation ON order_attempts FOR SELECT TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY accounts_trader_isolation ON accounts FOR SELECT TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY accounts_trader_isolation_insert ON accounts FOR INSERT TO surefill_api
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY accounts_trader_isolation_update ON accounts FOR UPDATE TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid))
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY positions_trader_isolation ON positions FOR SELECT TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY positions_trader_isolation_insert ON positions FOR INSERT TO surefill_api
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY positions_trader_isolation_update ON positions FOR UPDATE TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid))
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY audit_chains_trader_isolation ON audit_chains FOR SELECT TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY audit_chains_trader_isolation_insert ON audit_chains FOR INSERT TO surefill_api
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY audit_chains_trader_isolation_update ON audit_chains FOR UPDATE TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid))
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY traders_trader_isolation ON traders FOR SELECT TO surefill_api
  USING (id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));

-- The live feed compares the heads of all connected traders in one query; a head says only how many events there were.
CREATE POLICY event_counters_heads ON event_counters FOR SELECT TO surefill_api
  USING (true);
CREATE POLICY event_counters_trader_isolation_update ON event_counters FOR UPDATE TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid))
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
-- It then reads the events of those traders it names. The outer cast makes this = ANY (array), not = ANY (rows).
CREATE POLICY order_events_feed ON order_events FOR SELECT TO surefill_api
  USING (trader_id = ANY ((SELECT NULLIF(current_setting('app.trader_ids', true), '')::uuid[])::uuid[]));

-- Whoever holds a key finds that one row; nobody lists keys.
CREATE POLICY api_keys_lookup ON api_keys FOR SELECT TO surefill_api
  USING (key_hash = (SELECT decode(NULLIF(current_setting('app.key_hash', true), ''), 'hex')));

-- Workers: listener, sweeper and tasks serve all traders; an explicit policy says so where BYPASSRLS would be silent.
CREATE POLICY orders_worker_select ON orders FOR SELECT TO surefill_worker USING (true);
CREATE POLICY orders_worker_insert ON orders FOR INSERT TO surefill_worker WITH CHECK (true);
CREATE POLICY orders_worker_update ON orders FOR UPDATE TO surefill_worker USING (true) WITH CHECK (true);
CREATE POLICY order_attempts_worker_select ON order_attempts FOR SELECT TO surefill_worker USING (true);
CREATE POLICY order_attempts_worker_insert ON order_attempts FOR INSERT TO surefill_worker WITH CHECK (true);
CREATE POLICY order_attempts_worker_update ON order_attempts FOR UPDATE TO surefill_worker
  USING (true) WITH CHECK (true);
CREATE POLICY fills_worker_select ON fills FOR SELECT TO surefill_worker USING (true);
CREATE POLICY fills_worker_insert ON fills FOR INSERT TO surefill_worker WITH CHECK (true);
CREATE POLICY order_events_worker_select ON order_events FOR SELECT TO surefill_worker USING (true);
CREATE POLICY order_events_worker_insert ON order_events FOR INSERT TO surefill_worker WITH CHECK (true);
CREATE POLICY execution_logs_worker_select ON execution_logs FOR SELECT TO surefill_worker USING (true);
CREATE POLICY execution_logs_worker_insert ON execution_logs FOR INSERT TO surefill_worker WITH CHECK (true);
CREATE POLICY accounts_worker_select ON accounts FOR SELECT TO surefill_worker USING (true);
CREATE POLICY accounts_worker_insert ON accounts FOR INSERT TO surefill_worker WITH CHECK (true);
CREATE POLICY accounts_worker_update ON accounts FOR UPDATE TO surefill_worker USING (true) WITH CHECK (true);
CREATE POLICY positions_worker_select ON positions FOR SELECT TO surefill_worker USING (true);
CREATE POLICY positions_worker_insert ON positions FOR INSERT TO surefill_worker WITH CHECK (true);
CREATE POLICY positions_worker_update ON positions FOR UPDATE TO surefill_worker USING (true) WITH CHECK (true);
CREATE POLICY event_counters_worker_select ON event_counters FOR SELECT TO surefill_worker USING (true);
CREATE POLICY event_counters_worker_insert ON event_counters FOR INSERT TO surefill_worker WITH CHECK (true);
CREATE POLICY event_counters_worker_update ON event_counters FOR UPDATE TO surefill_worker
  USING (true) WITH CHECK (true);
CREATE POLICY audit_chains_worker_select ON audit_chains FOR SELECT TO surefill_worker USING (true);
CREATE POLICY audit_chains_worker_insert ON audit_chains FOR INSERT TO surefill_worker WITH CHECK (true);
CREATE POLICY audit_chains_worker_update ON audit_chains FOR UPDATE TO surefill_worker USING (true) WITH CHECK (true);
CREATE POLICY traders_worker_select ON traders FOR SELECT TO surefill_worker USING (true);
CREATE POLICY traders_worker_update ON traders FOR UPDATE TO surefill_worker USING (true) WITH CHECK (true);

-- Compliance reads.
CREATE POLICY execution_logs_compliance_select ON execution_logs FOR SELECT TO surefill_compliance USING (true);
CREATE POLICY orders_compliance_select ON orders FOR SELECT TO surefill_compliance USING (true);
CREATE POLICY fills_compliance_select ON fills FOR SELECT TO surefill_compliance USING (true);
CREATE POLICY order_attempts_compliance_select ON order_attempts FOR SELECT TO surefill_compliance USING (true);
CREATE POLICY order_events_compliance_select ON order_events FOR SELECT TO surefill_compliance USING (true);
CREATE POLICY traders_compliance_select ON traders FOR SELECT TO surefill_compliance USING (true);

-- The owner administers traders, and neither trades nor reads orders.
CREATE POLICY traders_owner ON traders FOR ALL TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY api_keys_owner ON api_keys FOR ALL TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY accounts_owner ON accounts FOR ALL TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY event_counters_owner ON event_counters FOR ALL TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY audit_chains_owner ON audit_chains FOR ALL TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY execution_logs_owner_select ON execution_logs FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY execution_logs_owner_insert ON execution_logs FOR INSERT TO CURRENT_USER WITH CHECK (true);

-- Restrictive, because permissive policies are ORed: no policy added later can open these again.
CREATE POLICY execution_logs_immutable ON execution_logs AS RESTRICTIVE FOR UPDATE USING (false);
CREATE POLICY execution_logs_immutable_delete ON execution_logs AS RESTRICTIVE FOR DELETE USING (false);
CREATE POLICY fills_immutable ON fills AS RESTRICTIVE FOR UPDATE USING (false);
CREATE POLICY fills_immutable_delete ON fills AS RESTRICTIVE FOR DELETE USING (false);
CREATE POLICY order_events_immutable ON order_events AS RESTRICTIVE FOR UPDATE USING (false);
CREATE POLICY order_events_immutable_delete ON order_events AS RESTRICTIVE FOR DELETE USING (false);
