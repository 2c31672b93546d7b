"""Sessions, market hours, and open orders by symbol.

What the rules look at before an order is accepted: the trader's day so far, the venue's clock, and indexes on the open
orders alone, so that no rule reads more as history grows.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# The best-priced LIMIT order that rests on one side of a symbol, over all traders of the venue account: its price, and
# its id where it is the asker's own. SECURITY DEFINER, because nobody may read other traders' orders; the owner may
# only while this function runs, and it tells a price and nothing else of them.
# An order better than `beyond` does not rest: it is about to be executed. plpgsql keeps its plans, SQL does not.
# SET app.… of the function itself would need a superuser.
_RESTING_AGAINST = """
CREATE FUNCTION resting_against(
  wanted_symbol text, wanted_side text, beyond numeric, asker uuid, own_only boolean,
  OUT price numeric, OUT order_id uuid
) LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = {schema}, pg_temp AS $body$
BEGIN
  IF own_only IS NULL OR wanted_side IS NULL THEN
    RETURN;
  END IF;
  PERFORM set_config('app.reads_resting_orders', 'on', true);
  IF wanted_side = 'SELL' THEN
    SELECT o.price, CASE WHEN o.trader_id = asker THEN o.id END INTO price, order_id FROM orders o
    WHERE o.symbol = wanted_symbol AND o.side = 'SELL' AND o.closed_at IS NULL AND o.order_type = 'LIMIT'
      AND (beyond IS NULL OR o.price > beyond) AND (NOT own_only OR o.trader_id = asker)
    ORDER BY o.price LIMIT 1;
  ELSE
    SELECT o.price, CASE WHEN o.trader_id = asker THEN o.id END INTO price, order_id FROM orders o
    WHERE o.symbol = wanted_symbol AND o.side = 'BUY' AND o.closed_at IS NULL AND o.order_type = 'LIMIT'
      AND (beyond IS NULL OR o.price < beyond) AND (NOT own_only OR o.trader_id = asker)
    ORDER BY o.price DESC LIMIT 1;
  END IF;
  PERFORM set_config('app.reads_resting_orders', '', true);
END
$body$
"""


def upgrade() -> None:
    """Add what the rules look at."""
    op.execute(
        """
        ALTER TABLE accounts
          ADD COLUMN session_on date,
          ADD COLUMN session_equity numeric(38,18),
          ADD COLUMN session_notional numeric(38,18) NOT NULL DEFAULT 0 CHECK (session_notional >= 0),
          ADD COLUMN loss_limit_hit_on date
        """
    )
    op.execute("ALTER TABLE instruments ADD COLUMN always_open boolean NOT NULL DEFAULT false")
    op.execute(
        """
        CREATE TABLE market_hours (
          venue text PRIMARY KEY,
          is_open boolean NOT NULL,
          next_open timestamptz,
          next_close timestamptz,
          confirmed_at timestamptz NOT NULL
        )
        """
    )
    op.execute(
        """
        ALTER TABLE fills ADD COLUMN commission_source text NOT NULL DEFAULT 'VENUE'
          CHECK (commission_source IN ('VENUE', 'FEE_SCHEDULE'))
        """
    )
    op.execute("GRANT SELECT ON market_hours TO surefill_api")
    op.execute("GRANT SELECT, INSERT, UPDATE ON market_hours TO surefill_worker")
    # The predicate is a null test, which row security lets PostgreSQL use before its own conditions.
    op.execute("CREATE INDEX idx_orders_open ON orders (trader_id, symbol, side) WHERE closed_at IS NULL")
    op.execute(
        "CREATE INDEX idx_orders_resting ON orders (symbol, side, price)"
        " WHERE closed_at IS NULL AND order_type = 'LIMIT'"
    )
    op.execute("CREATE INDEX idx_traders_with_loss_limit ON traders (id) WHERE daily_loss_limit IS NOT NULL")
    op.execute(
        """
        CREATE POLICY orders_resting_against ON orders FOR SELECT TO CURRENT_USER
          USING (closed_at IS NULL AND (SELECT current_setting('app.reads_resting_orders', true)) = 'on')
        """
    )
    # pg_temp last: nobody may slip a table of his own under the function
    schema = op.get_bind().scalar(text("SELECT quote_ident(current_schema())"))
    op.get_bind().exec_driver_sql(_RESTING_AGAINST.replace("{schema}", schema))
    op.execute("REVOKE ALL ON FUNCTION resting_against(text, text, numeric, uuid, boolean) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION resting_against(text, text, numeric, uuid, boolean) TO surefill_api")


def downgrade() -> None:
    """Take it away again. The day's figures are lost; orders, fills and the log are not touched."""
    op.execute("DROP FUNCTION resting_against(text, text, numeric, uuid, boolean)")
    op.execute("DROP POLICY orders_resting_against ON orders")
    op.execute("DROP INDEX idx_orders_open, idx_orders_resting, idx_traders_with_loss_limit")
    op.execute("DROP TABLE market_hours")
    op.execute("ALTER TABLE fills DROP COLUMN commission_source")
    op.execute("ALTER TABLE instruments DROP COLUMN always_open")
    op.execute(
        "ALTER TABLE accounts DROP COLUMN session_on, DROP COLUMN session_equity, DROP COLUMN session_notional,"
        " DROP COLUMN loss_limit_hit_on"
    )
