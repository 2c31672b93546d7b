"""What an order costs the simulator: `python -m tests.simulator.measure [ORDERS] [PER_SECOND]`.

One client posts market orders at a steady rate, another listens to the stream; the figure is the simulator's own
processor time (user and system) for POST, stream `new` and stream `fill`, and how long both took for the client.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

from tests.simulator.venue_process import KEY_ID, KEYS, SECRET_KEY, VenueProcess, order_body


def _percentiles(seconds: list[float]) -> str:
    ranked = sorted(seconds)
    p50, p99 = ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.99)]
    return f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"


async def _measure(venue: VenueProcess, orders: int, rate: float) -> None:
    sent: dict[str, float] = {}
    answered: dict[str, float] = {}
    filled: dict[str, float] = {}
    all_filled = asyncio.Event()

    async def hear(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            data = json.loads(message.data)["data"]
            if data.get("event") == "fill":
                filled[data["order"]["client_order_id"]] = time.perf_counter()
                if len(filled) == orders:
                    all_filled.set()

    async with aiohttp.ClientSession(headers=KEYS) as session:

        async def post(number: int) -> None:
            name = f"order-{number}"
            body = order_body(name, qty="3", side="sell" if number % 2 else "buy")
            sent[name] = time.perf_counter()
            async with session.post(f"{venue.url}/v2/orders", json=body) as answer:
                await answer.read()
                assert answer.status == 200
            answered[name] = time.perf_counter()

        socket = await session.ws_connect(venue.url.replace("http", "ws") + "/stream")
        await socket.send_json({"action": "authenticate", "data": {"key_id": KEY_ID, "secret_key": SECRET_KEY}})
        await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        listening = asyncio.create_task(hear(socket))
        process = psutil.Process(venue.process.pid)
        await asyncio.sleep(1)
        before, start = process.cpu_times(), time.perf_counter()
        posting = []
        for number in range(orders):
            posting.append(asyncio.create_task(post(number)))
            await asyncio.sleep(max(0.0, start + (number + 1) / rate - time.perf_counter()))
        await asyncio.gather(*posting)
        await asyncio.wait_for(all_filled.wait(), 60)
        took, after = time.perf_counter() - start, process.cpu_times()
        listening.cancel()
        await socket.close()
    spent = (after.user - before.user) + (after.system - before.system)
    print(f"{orders} orders at {orders / took:.0f}/s: {1000 * spent / orders:.2f} CPU ms per order")
    print(f"  request to reply: {_percentiles([answered[name] - sent[name] for name in sent])}")
    print(f"  request to fill on the stream: {_percentiles([filled[name] - sent[name] for name in sent])}")


def main(orders: int = 1000, rate: float = 100.0) -> None:
    """Starts a simulator of its own on a throw-away ledger and measures it."""
    with tempfile.TemporaryDirectory() as folder:
        venue = VenueProcess(Path(folder) / "ledger.sqlite3")
        try:
            asyncio.run(_measure(venue, orders, rate))
        finally:
            venue.stop()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))
