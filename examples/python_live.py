"""Live updates with python-socketio: every event once, in order, also after a lost connection.

pip install "python-socketio[asyncio_client]"
export SUREFILL_URL=http://127.0.0.1:8000 SUREFILL_KEY=…      (demo keys: var/demo-keys.json)
"""

import asyncio
import os
import uuid
from typing import Any

import aiohttp
import socketio

URL, KEY = os.environ["SUREFILL_URL"], os.environ["SUREFILL_KEY"]


async def submit(session: aiohttp.ClientSession, terms: dict[str, object]) -> str:
    """One key for one order: the same request may be sent again, and is never executed twice. The order's id."""
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": str(uuid.uuid4())}
    silent = False
    document: dict[str, Any] = {}
    for pause in (0.2, 0.5, 1, 2, 4, 0):
        try:
            async with session.post(f"{URL}/api/v1/orders", json=terms, headers=headers) as answer:
                document = await answer.json()
            if answer.status == 201:
                return str(document["id"])
            refused = answer.status < 500 and document["code"] != "REQUEST_IN_PROGRESS"
            silent = silent or answer.status >= 500
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError):
            refused, silent = False, True  # no answer that can be read: the order may exist or not
        if refused and not silent:  # after a silence the first request may still arrive, and be accepted
            raise SystemExit("\n".join([document["detail"], *(error["suggestion"] for error in document["errors"])]))
        await asyncio.sleep(pause)
    key = headers["Idempotency-Key"]
    raise SystemExit(f"nobody knows whether the order exists: submit the same again with Idempotency-Key {key}")


async def main() -> None:
    client = socketio.AsyncClient()
    seen: dict[str, int] = {}  # keep last_seq in your database, in the transaction that processes the event
    ready = asyncio.Event()
    closed: set[str] = set()  # an order may be filled before the answer to its submit is here
    heard = asyncio.Condition()

    async def auth() -> dict[str, Any]:
        return {"token": KEY, **seen}  # a function, so that a reconnect sends the last number that was processed

    @client.on("ready")
    async def on_ready(data: dict[str, int]) -> None:
        seen.setdefault("last_seq", data["head_seq"])
        ready.set()

    @client.on("order")
    async def on_order(event: dict[str, Any]) -> None:
        seen["last_seq"] = event["seq"]
        print(event["seq"], event["event"], event["order"]["symbol"], event["filled_quantity"])
        if event["execution_state"] == "CLOSED":
            async with heard:
                closed.add(event["order_id"])
                heard.notify_all()

    await client.connect(URL, auth=auth, transports=["websocket"])
    await asyncio.wait_for(ready.wait(), 10)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        try:
            ours = await submit(session, {"symbol": "MSFT", "side": "BUY", "quantity": "1", "order_type": "MARKET"})
            async with asyncio.timeout(60), heard:
                await heard.wait_for(lambda: ours in closed)
        finally:
            await client.disconnect()


asyncio.run(main())
