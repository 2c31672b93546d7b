"""Submit an order with nothing but requests, and follow its events by polling.

export SUREFILL_URL=http://127.0.0.1:8000 SUREFILL_KEY=…      (demo keys: var/demo-keys.json)
"""

import os
import time
import uuid
from typing import Any

import requests

API = os.environ["SUREFILL_URL"] + "/api/v1"
session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['SUREFILL_KEY']}"


def submit(terms: dict[str, object]) -> dict[str, Any]:
    """One key for one order: the same request may be sent again, and is never executed twice."""
    key = str(uuid.uuid4())
    silent = False
    document: dict[str, Any] = {}
    for pause in (0.2, 0.5, 1, 2, 4, 0):
        try:
            answer = session.post(f"{API}/orders", json=terms, headers={"Idempotency-Key": key}, timeout=10)
            document = answer.json()
            if answer.status_code == 201:
                return dict(document)
            refused = answer.status_code < 500 and document["code"] != "REQUEST_IN_PROGRESS"
            silent = silent or answer.status_code >= 500
        except (requests.RequestException, LookupError, TypeError):
            refused, silent = False, True  # no answer that can be read: the order may exist or not
        if refused and not silent:  # after a silence the first request may still arrive, and be accepted
            raise SystemExit("\n".join([document["detail"], *(error["suggestion"] for error in document["errors"])]))
        time.sleep(pause)
    raise SystemExit(f"nobody knows whether the order exists: submit the same again with Idempotency-Key {key}")


since = session.get(f"{API}/events", params={"since": 10**17}, timeout=10).json()["head_seq"]  # only what is new
order = submit({"symbol": "AAPL", "side": "BUY", "quantity": "2", "order_type": "MARKET"})
print("accepted:", order["id"])
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    for event in session.get(f"{API}/events", params={"since": since}, timeout=10).json()["data"]:
        since = event["seq"]
        if event["order_id"] == order["id"]:
            print(event["event"], event["filled_quantity"], event["average_fill_price"])
            if event["execution_state"] == "CLOSED":
                raise SystemExit(0)
    time.sleep(0.2)
raise SystemExit(f"still open after a minute: {order['id']}")
