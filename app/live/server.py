"""The Socket.IO server of one web process, and what runs beside it while anybody listens."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from engineio.socket import Socket
from flask import Flask
from flask_socketio import SocketIO
from gevent import monkey  # type: ignore[import-untyped] # no types
from socketio.exceptions import ConnectionRefusedError as Refusal

from app.domain.changes import LostRace
from app.domain.surroundings import Clock
from app.live.client_messages import LONGEST_MESSAGE
from app.live.client_socket import PING_INTERVAL_SECONDS, PING_TIMEOUT_SECONDS, ClientWebSocket
from app.live.connections import Connection, Connections
from app.live.event_source import EventSource
from app.live.feed import Feed
from app.live.frames import Framed
from app.live.gate import Gate
from app.live.handshake import Refused, check_identity, could_be_a_key, credentials_from, starting_point
from app.live.key_watch import KeyWatch
from app.live.wakeup_subscriber import WakeupSubscriber, subscription_client
from app.observability.request_metrics import event_delivered
from app.sign_ins import SignIns, TooManyFailures
from app.signed_requests import SignatureRefused, check_signature
from app.storage.api_keys import Identity
from app.storage.transaction import DatabaseUnavailable

log = logging.getLogger(__name__)

NAMESPACE = "/"
PAGES_IN_A_QUEUE = 2
"""A socket that has this many pages waiting gets no more until it has taken them."""
SECONDS_TO_SHOW_A_KEY = 10.0
"""A client that has opened a connection and shown no valid key is sent away after this long."""
CARE_SECONDS = 0.5
_PATIENCE_SECONDS = (0.0, 0.0, 0.05, 0.1, 0.2, 0.4, 0.8)


class LiveServer:
    """Authenticates clients, feeds them, and ends their connections."""

    def __init__(
        self, flask_app: Flask, *, events: EventSource, sign_ins: SignIns, clock: Clock, redis_url: str
    ) -> None:
        self.connections = Connections()
        self.feed = Feed(self.connections, events, self, delivered=event_delivered)
        self._events = events
        self._sign_ins = sign_ins
        self._clock = clock
        self._redis_url = redis_url
        self._starting = threading.Lock()
        self._started = False
        self._ended = threading.Event()
        self._strangers: dict[str, float] = {}
        self._socketio = _socketio(flask_app)
        flask_app.wsgi_app = Gate(flask_app.wsgi_app)  # type: ignore[assignment, method-assign] # how Flask is wrapped
        self._server = self._socketio.server
        self._server.on("connect", self._connect, namespace=NAMESPACE)
        self._server.on("disconnect", self._disconnect, namespace=NAMESPACE)

    # -- clients -------------------------------------------------------------------------------------------------------

    def _connect(self, sid: str, environ: Mapping[str, Any], auth: object) -> bool | None:
        self._start()
        try:
            connection = self._patiently_identified(sid, environ, auth)
        except Refused as refused:
            log.info("a live connection was refused", extra={"sid": sid, "code": refused.code})
            raise Refusal(refused.code, dict(refused.document)) from refused
        except (DatabaseUnavailable, LostRace) as error:
            # Not a refusal: a client comes back by itself after a lost connection, not after a refused one.
            log.warning("a live connection could not be checked: %s", error, extra={"sid": sid})
            self._hang_up(self._socket_of(sid))
            return False
        if connection.socket.closed:
            return False
        self.feed.join(connection)
        log.info(
            "a live connection began",
            extra={
                "sid": sid,
                "trader_id": connection.trader_id,
                "key": connection.key_prefix,
                "after_seq": connection.cursor,
                "head_seq": connection.head_seq,
                "client": environ.get("REMOTE_ADDR"),
            },
        )
        return None

    def _patiently_identified(self, sid: str, environ: Mapping[str, Any], auth: object) -> Connection:
        """A database that restarts leaves connections in the pool that are found dead one by one: try again."""
        for pause in _PATIENCE_SECONDS:
            try:
                return self._identified(sid, environ, auth)
            except (DatabaseUnavailable, LostRace):
                time.sleep(pause)
        return self._identified(sid, environ, auth)

    def _identified(self, sid: str, environ: Mapping[str, Any], auth: object) -> Connection:
        credentials = credentials_from(auth)
        token = credentials.token
        identity = check_identity(self._signed_in(token, environ))
        head_seq = self._events.head(identity.trader_id)
        return Connection(
            sid=sid,
            trader_id=identity.trader_id,
            key_prefix=identity.key_prefix,
            key_hash=sha256(token.encode()).digest(),
            head_seq=head_seq,
            cursor=starting_point(credentials, head_seq),
            began_at=time.monotonic(),
            socket=self._socket_of(sid),
        )

    def _signed_in(self, token: str, environ: Mapping[str, Any]) -> Identity | None:
        address, now = environ.get("REMOTE_ADDR"), self._clock.now()
        try:
            if not could_be_a_key(token):
                self._sign_ins.count_failure(address)
                return None
            identity = self._sign_ins.identify(token, now, address=address, fresh=True)
            if identity is not None:
                # the handshake's own headers: a program can send them, a browser cannot
                check_signature(environ, b"", identity, now, self._sign_ins)
        except TooManyFailures as failures:
            raise Refused(
                "TOO_MANY_FAILED_SIGN_INS",
                f"{failures.failures} sign-ins have failed within a minute from the same address or with a key that "
                "begins alike.",
                "Check the API key before you try again; a valid key is accepted at once.",
                retry_after=failures.retry_after,
            ) from None
        except SignatureRefused as refused:
            raise Refused(refused.code, refused.detail, refused.suggestion) from None
        return identity

    def _disconnect(self, sid: str, reason: str) -> None:
        connection = self.feed.leave(sid)
        if connection is not None:
            log.info(
                "a live connection ended",
                extra={
                    "sid": sid,
                    "trader_id": connection.trader_id,
                    "reason": reason,
                    "last_seq": connection.cursor,
                    "events": connection.delivered,
                    "seconds": round(time.monotonic() - connection.began_at, 3),
                },
            )

    def _socket_of(self, sid: str) -> Socket:
        return self._server.eio.sockets[self._server.manager.eio_sid_from_sid(sid, NAMESPACE)]

    # -- the feed's sockets --------------------------------------------------------------------------------------------

    def is_connected(self, connection: Connection) -> bool:
        """See Sockets."""
        return bool(self._server.manager.is_connected(connection.sid, NAMESPACE))

    def has_room(self, connection: Connection) -> bool:
        """See Sockets."""
        return bool(connection.socket.queue.qsize() < PAGES_IN_A_QUEUE)

    def send(self, connection: Connection, frames: Framed) -> None:
        """See Sockets."""
        self._server.eio.send_packet(connection.socket.sid, frames)

    def cut(self, connection: Connection, reason: str) -> None:
        """See Sockets."""
        log.warning("a live connection is cut off: %s", reason, extra={"sid": connection.sid})
        self._hang_up(connection.socket)

    def dismiss(self, connection: Connection, reason: str) -> None:
        """End the connection for good: its client does not come back by itself."""
        log.info("a live connection is dismissed: %s", reason, extra={"sid": connection.sid})
        self._server.disconnect(connection.sid, namespace=NAMESPACE)

    # -- beside --------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """With the first client, in the process that serves it: a command line or a parent that forks has no feed."""
        with self._starting:
            if self._started:
                return
            self._started = True
        subscriber = WakeupSubscriber(
            subscription_client(self._redis_url),
            wake=self.feed.wake,
            wake_all=self.feed.wake_all,
            stands=self._wakeups_arrive,
        )
        watch = KeyWatch(self.connections, self._events, self._clock, self.dismiss)
        self._loops = (self.feed, subscriber, watch)
        for name, run in (
            ("live-feed", self.feed.run),
            ("live-wakeups", subscriber.run),
            ("live-keys", watch.run),
            ("live-care", self._care),
        ):
            threading.Thread(target=run, name=name, daemon=True).start()

    def _wakeups_arrive(self, stands: bool) -> None:
        self.feed.wakeups_arrive = stands

    def _care(self) -> None:
        worker_ends = _worker_ends()
        while not self._ended.wait(CARE_SECONDS):
            try:
                if worker_ends():
                    self.close_all("the server is going away")
                else:
                    self._forget_the_gone()
                    self._send_strangers_away(time.monotonic())
            except Exception:  # one fault must not end the care
                log.exception("looking after live connections failed; it is tried again")

    def _forget_the_gone(self) -> None:
        """A socket that was closed while its key was still being looked up told nobody."""
        for connection in self.connections.all():
            if connection.socket.closed:
                self._disconnect(connection.sid, "gone")

    def _send_strangers_away(self, now: float) -> None:
        """Whoever has not shown a key, or has left the namespace, holds nothing for long."""
        known = {connection.socket.sid for connection in self.connections.all()}
        sockets: dict[str, Socket] = self._server.eio.sockets.copy()
        self._strangers = {sid: self._strangers.get(sid, now) for sid in sockets if sid not in known}
        for sid, since in self._strangers.items():
            if now - since > SECONDS_TO_SHOW_A_KEY:
                self._hang_up(sockets[sid])

    def close_all(self, reason: str) -> None:
        """End every connection in a way that makes its client come back, to a process that stays."""
        sockets: dict[str, Socket] = self._server.eio.sockets.copy()
        if sockets:
            log.info("%d live connections are closed: %s", len(sockets), reason)
        for socket in sockets.values():
            self._hang_up(socket)

    @staticmethod
    def _hang_up(socket: Socket) -> None:
        """Close the WebSocket and no more: an Engine.IO "close" before it would tell some clients to stay away."""
        socket.close(wait=False, abort=True)

    def end(self) -> None:
        """Close every connection and stop what runs beside."""
        self._ended.set()
        self.close_all("the feed ends")
        for loop in getattr(self, "_loops", ()):
            loop.end()


def _socketio(flask_app: Flask) -> SocketIO:
    quiet = logging.getLogger("app.live.socketio")
    quiet.setLevel(logging.ERROR)  # their warnings are about clients that have just left
    socketio = SocketIO(
        flask_app,
        # gunicorn's gevent worker has patched the standard library by now; a development server has not.
        async_mode="gevent" if monkey.is_module_patched("socket") else "threading",
        # Without sticky sessions one transport only: a polling client's requests would reach several processes.
        transports=["websocket"],
        allow_upgrades=False,
        cors_allowed_origins=None,  # the same origin; [] would allow every one
        cors_credentials=False,
        ping_interval=PING_INTERVAL_SECONDS,
        ping_timeout=PING_TIMEOUT_SECONDS,
        max_http_buffer_size=LONGEST_MESSAGE,
        async_handlers=False,
        manage_session=False,
        http_compression=False,
        logger=quiet,
        engineio_logger=quiet,
    )
    # There is no option for it: engineio takes the class from a table of its own for each way of concurrency.
    engine = socketio.server.eio
    engine._async = {**engine._async, "websocket": ClientWebSocket}
    return socketio


def _worker_ends() -> Callable[[], bool]:
    """Whether the gunicorn worker that serves us has been told to end; it says so in an attribute only."""
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return lambda: getattr(worker, "alive", True) is False
