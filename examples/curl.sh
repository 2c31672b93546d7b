#!/bin/sh
# Submit an order, follow it until it has ended, read its audit log. Needs curl.
#   export SUREFILL_URL=http://127.0.0.1:8000 SUREFILL_KEY=…      (demo keys: var/demo-keys.json)
set -eu
api="$SUREFILL_URL/api/v1"
key="example-$(date +%s)-$$"

# --retry repeats on no answer and on 503 with the same Idempotency-Key: it never makes a second order.
order=$(curl -sS --fail-with-body --retry 5 --retry-connrefused "$api/orders" \
  -H "Authorization: Bearer $SUREFILL_KEY" -H "Idempotency-Key: $key" -H "Content-Type: application/json" \
  -d '{"symbol": "AAPL", "side": "BUY", "quantity": "1", "order_type": "MARKET"}')
id=$(printf '%s' "$order" | sed 's/.*"id":"\([0-9a-f-]*\)".*/\1/')
echo "accepted: $id"

# The same key again: the same order.
curl -sS -o /dev/null -D - "$api/orders" \
  -H "Authorization: Bearer $SUREFILL_KEY" -H "Idempotency-Key: $key" -H "Content-Type: application/json" \
  -d '{"symbol": "AAPL", "side": "BUY", "quantity": "1", "order_type": "MARKET"}' | grep -i '^idempotent-replayed'

tries=0
until curl -sS "$api/orders/$id" -H "Authorization: Bearer $SUREFILL_KEY" | grep -q '"execution_state":"CLOSED"'; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "still open: look at $SUREFILL_URL" >&2; exit 1; }
  sleep 0.5
done
curl -sS "$api/orders/$id" -H "Authorization: Bearer $SUREFILL_KEY" | sed 's/.*"status":"\([A-Z]*\)".*/ended: \1/'
curl -sS "$api/orders/$id/audit" -H "Authorization: Bearer $SUREFILL_KEY" | grep -o '"action":"[A-Z]*"'
