#!/bin/sh
# Submit an order, follow it until it has ended, read its audit log. Needs curl.
#   export SUREFILL_URL=http://127.0.0.1:8000 SUREFILL_KEY=…      (demo keys: var/demo-keys.json)
set -eu
api="$SUREFILL_URL/api/v1"

# One key for one order, said before anything is sent: whatever ends this script, the same order can be submitted again.
key="${KEY:-example-$(date +%s)-$$}"
echo "Idempotency-Key: $key (the same order again, never a second one: KEY=$key sh $0)"
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

submit() {
  curl -sS --max-time 10 "$@" "$api/orders" \
    -H "Authorization: Bearer $SUREFILL_KEY" -H "Idempotency-Key: $key" -H "Content-Type: application/json" \
    -d '{"symbol": "AAPL", "side": "BUY", "quantity": "1", "order_type": "MARKET"}'
}

get() {
  curl -sS --max-time 10 "$api$1" -H "Authorization: Bearer $SUREFILL_KEY"
}

# curl's own --retry would also repeat what is refused, or not repeat what was cut off: it knows no Idempotency-Key.
id=
silent=
for pause in 0.2 0.5 1 2 4 0; do
  : >"$answer"
  status=$(submit -o "$answer" -w '%{http_code}') || status=none
  case "$status $(cat "$answer")" in
    201\ *'"id":'*) id=$(sed 's/.*"id": *"\([0-9a-f-]*\)".*/\1/' "$answer") && break ;;
    409\ *REQUEST_IN_PROGRESS*) ;;
    4??\ *'"code":'*) # after a silence the first request may still arrive, and be accepted: then a refusal says nothing
      [ "$silent" ] || { cat "$answer" >&2; exit 1; } ;;
    *) silent=yes ;; # no answer that can be read: the order may exist or not
  esac
  sleep "$pause"
done
[ "$id" ] || { echo "nobody knows whether the order exists: submit the same again with KEY=$key" >&2; exit 1; }
echo "accepted: $id"

# The same key again: the same order.
submit -o /dev/null -D - | grep -i '^idempotent-replayed'

tries=0
until get "/orders/$id" | grep -q '"execution_state":"CLOSED"'; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "still open: look at $SUREFILL_URL" >&2; exit 1; }
  sleep 0.5
done
get "/orders/$id" | sed 's/.*"status":"\([A-Z]*\)".*/ended: \1/'
get "/orders/$id/audit" | grep -o '"action":"[A-Z]*"'
