"""What is done to the system under load: each kind of fault, how it begins and how it ends, and their seeded order."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import redis

from local.stack import LocalStack
from proofs.fault_proxy import CALM, FaultProxies, Weather
from proofs.venue_ledger import SimulatorControl

Undo = Callable[[], object]

LONGER_THAN_THE_LEASE = 9.5
"""Seconds; the lease is EXCHANGE_TIMEOUT_SECONDS and three more: 8."""
HELD = 7.0
"""Seconds of a black hole. What it holds arrives at its end, which must be within VENUE_MAX_IN_FLIGHT_SECONDS."""
A_MINUTE = 60.0
RETRIES_ARE_SPENT = 25.0
"""Seconds of a venue that is gone: automatic retries end, and traders press retry."""
AMBUSH_SYMBOL = "AAPL"


@dataclass(frozen=True)
class Scene:
    """What faults are done to."""

    stack: LocalStack
    proxies: FaultProxies
    venue: SimulatorControl
    random: Random

    def redis(self) -> redis.Redis:
        """Redis itself, past its proxy."""
        return redis.Redis.from_url(self.stack.settings.redis_url, socket_timeout=5, socket_connect_timeout=2)


@dataclass(frozen=True)
class Fault:
    """`begin` does it and returns what takes it back `seconds` later; without seconds it is over at once."""

    kind: str
    begin: Callable[[Scene], Undo | None]
    seconds: float = 0.0
    often: int = 2
    """Of this kind, compared with others."""
    hits: str = ""
    """The service or process that must not be hit by another fault meanwhile."""
    ambush: Callable[[Scene], Undo] | None = None
    """Done first, with a handful of orders sent into it, so that the fault meets something on its way."""


def _killed(name: str) -> Callable[[Scene], None]:
    def begin(scene: Scene) -> None:
        scene.stack.kill(name)

    return begin


def _child_killed(name: str) -> Callable[[Scene], None]:
    def begin(scene: Scene) -> None:
        scene.stack.kill_a_child(name)

    return begin


def _stopped(name: str, which: slice) -> Callable[[Scene], Undo]:
    """SIGSTOP: to everybody else it looks dead, and then it wakes up."""

    def begin(scene: Scene) -> Undo:
        pids = scene.stack.pids(name)[which]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

        def wake() -> None:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

        return wake

    return begin


def _worker_holds_still(scene: Scene) -> Undo:
    """So that messages pile up."""
    return _stopped("worker", slice(None))(scene)


def _venue_is_slow(scene: Scene) -> Undo:
    """It takes what it is sent at once, and says so late: whoever sent it dies, or sleeps, before it hears."""
    rules = scene.venue.add_faults({"kind": "slow", "seconds": 1.5, "symbol": AMBUSH_SYMBOL})
    return lambda: scene.venue.remove_faults(*(rule["id"] for rule in rules))


def _children_killed(scene: Scene) -> None:
    for pid in scene.stack.pids("worker")[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _worker_and_children_killed(scene: Scene) -> None:
    for pid in scene.stack.pids("worker"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _flushed(scene: Scene) -> None:
    with scene.redis() as client:
        client.flushall()


def _away(name: str) -> Callable[[Scene], Undo]:
    def begin(scene: Scene) -> Undo:
        scene.stack.stop_program(name)
        return lambda: scene.stack.start_program(name)

    return begin


def _postgres_restarts(scene: Scene) -> None:
    scene.stack.kill("postgres", signal.SIGQUIT)  # PostgreSQL's own name for it: an immediate shutdown


def _cut(name: str) -> Callable[[Scene], None]:
    def begin(scene: Scene) -> None:
        scene.proxies.cut(name)

    return begin


def _black_hole(name: str) -> Callable[[Scene], Undo]:
    def begin(scene: Scene) -> Undo:
        way = scene.random.choice(("both", "there", "back"))
        scene.proxies.black_hole(name, to_server=way != "back", to_client=way != "there")
        return lambda: scene.proxies.calm(name)

    return begin


def _half_open(name: str) -> Callable[[Scene], Undo]:
    def begin(scene: Scene) -> Undo:
        if scene.random.random() < 0.5:
            scene.proxies.half_open(name, gone="client")
        else:
            scene.proxies.half_open(name, gone="server")
        return lambda: scene.proxies.calm(name)

    return begin


def _slow(name: str) -> Callable[[Scene], Undo]:
    def begin(scene: Scene) -> Undo:
        slow = Weather(latency=scene.random.uniform(0.02, 0.25))
        narrow = Weather(bandwidth=scene.random.uniform(50_000, 200_000))
        there, back = scene.random.choice(((slow, CALM), (CALM, slow), (slow, slow), (narrow, CALM), (CALM, narrow)))
        scene.proxies.condition(name, to_server=there, to_client=back)
        return lambda: scene.proxies.calm(name)

    return begin


def _venue(*kinds: str, **details: object) -> Callable[[Scene], Undo]:
    def begin(scene: Scene) -> Undo:
        kind = scene.random.choice(kinds)
        rule = {"kind": kind, "rate": 0.7, "seed": scene.random.randrange(1_000_000), **details}
        (added,) = scene.venue.add_faults(rule)
        return lambda: scene.venue.remove_faults(added["id"])

    return begin


def _venue_misbehaves(scene: Scene) -> Undo:
    scene.venue.change_settings(faults="one-in-three")
    return lambda: scene.venue.change_settings(faults="none")


_PROCESSES = ("web", "worker", "listener", "sweeper", "quotes", "simulator")
_NETWORK = ("postgres", "redis", "venue")

KINDS: dict[str, Fault] = {
    fault.kind: fault
    for fault in (
        *(Fault(f"kill {name}", _killed(name), often=3, hits=name) for name in _PROCESSES),
        Fault("kill web child", _child_killed("web"), often=3, hits="web"),
        Fault("kill worker child", _child_killed("worker"), often=5, hits="worker"),
        Fault("kill children in mid-send", _children_killed, often=5, hits="worker", ambush=_venue_is_slow),
        Fault("kill worker in mid-send", _worker_and_children_killed, often=4, hits="worker", ambush=_venue_is_slow),
        Fault(
            "stop children in mid-send",
            _stopped("worker", slice(1, None)),
            LONGER_THAN_THE_LEASE,
            3,
            "worker",
            ambush=_venue_is_slow,
        ),
        Fault("stop web", _stopped("web", slice(None)), LONGER_THAN_THE_LEASE, 1, "web"),
        Fault("stop worker", _stopped("worker", slice(0, 1)), LONGER_THAN_THE_LEASE, 2, "worker"),
        Fault("stop worker child", _stopped("worker", slice(1, 3)), LONGER_THAN_THE_LEASE, 3, "worker"),
        Fault("stop listener", _stopped("listener", slice(None)), LONGER_THAN_THE_LEASE, 2, "listener"),
        Fault("stop sweeper", _stopped("sweeper", slice(None)), LONGER_THAN_THE_LEASE, 1, "sweeper"),
        Fault("stop simulator", _stopped("simulator", slice(None)), LONGER_THAN_THE_LEASE, 2, "simulator"),
        Fault("redis flushall", _flushed, often=4, hits="redis", ambush=_worker_holds_still),
        Fault("kill redis", _killed("redis"), often=3, hits="redis", ambush=_worker_holds_still),
        Fault("redis away", _away("redis"), A_MINUTE, 1, "redis"),
        Fault("venue away", _away("simulator"), RETRIES_ARE_SPENT, 1, "simulator"),
        Fault("kill postgres", _killed("postgres"), often=2, hits="postgres"),
        Fault("postgres immediate restart", _postgres_restarts, often=4, hits="postgres"),
        *(Fault(f"{name} connections cut", _cut(name), often=3, hits=name) for name in _NETWORK),
        *(Fault(f"{name} black hole", _black_hole(name), HELD, 2, name) for name in _NETWORK),
        *(Fault(f"{name} half-open", _half_open(name), HELD, 2, name) for name in _NETWORK),
        *(Fault(f"{name} slow", _slow(name), HELD, 1, name) for name in _NETWORK),
        Fault("venue one in three", _venue_misbehaves, 8.0, 3, "venue rules"),
        Fault(
            "venue loses replies",
            _venue("reply_lost_after_accept", "error_503_after_accept", "error_504_after_accept", "cut_json"),
            5.0,
            3,
            "venue rules",
        ),
        Fault(
            "venue refuses to work",
            _venue("error_503_before_accept", "connection_lost_before_accept", "rate_limited_429"),
            5.0,
            2,
            "venue rules",
        ),
        Fault("venue accepts late", _venue("late_accept", seconds=4, hang_up_after=1), 5.0, 2, "venue rules"),
        Fault("venue look-ups fail", _venue("lookup_error", "lookup_unknown_for"), 6.0, 2, "venue rules"),
        Fault(
            "venue stream loses",
            _venue("stream_drop_fill", "stream_reorder", "stream_repeat", "stream_cut"),
            6.0,
            3,
            "venue rules",
        ),
        Fault("venue cancels fail", _venue("cancel_reply_lost", "cancel_refused"), 6.0, 1, "venue rules"),
        Fault(
            "venue talks nonsense",
            _venue(
                "nonsense_wrong_order", "nonsense_wrong_symbol", "nonsense_negative_fill", "nonsense_overfill",
                "nonsense_unknown_status", "nonsense_nan", "nonsense_missing_fields", "nonsense_wrong_types",
            ),
            5.0,
            1,
            "venue rules",
        ),
    )
}  # fmt: skip

MINUTE_FAULT = "redis away"


def schedule(random: Random, kinds: Sequence[str]) -> Iterator[Fault]:
    """Faults without end, in an order that follows from the seed: every kind once, shuffled, then by how often."""
    first = [KINDS[kind] for kind in kinds]
    random.shuffle(first)
    yield from first
    weights = [KINDS[kind].often for kind in kinds]
    while True:
        yield KINDS[random.choices(list(kinds), weights)[0]]
