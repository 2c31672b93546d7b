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
    async with aiohttp.ClientSession() as session:
        async with session.post(
            f"{URL}/api/v1/orders",
            json={"symbol": "MSFT", "side": "BUY", "quantity": "1", "order_type": "MARKET"},
            headers={"Authorization": f"Bearer {KEY}", "Idempotency-Key": str(uuid.uuid4())},
        ) as answer:
            answer.raise_for_status()
            ours = (await answer.json())["id"]
    async with asyncio.timeout(60), heard:
        await heard.wait_for(lambda: ours in closed)
    await client.disconnect()


asyncio.run(main())
