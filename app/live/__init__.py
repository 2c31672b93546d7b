"""The live feed: every event of a trader's orders, in order, without a gap, over Socket.IO."""

from __future__ import annotations

from typing import Protocol

from flask import Flask

from app.lifecycle.ports import Ports
from app.live.event_source import PostgresEvents
from app.live.server import LiveServer
from app.settings import Settings
from app.sign_ins import SignIns
from app.storage.transaction import Database


class Surroundings(Protocol):
    """What the feed takes from its process."""

    @property
    def settings(self) -> Settings: ...
    @property
    def ports(self) -> Ports: ...


def attach(flask_app: Flask, process: Surroundings, sign_ins: SignIns) -> None:
    """Serve the feed beside the application's routes, at `/socket.io`. Nothing runs before the first client."""
    # Connections of its own: intake under load uses all of the other ones, and events must not wait for it.
    database = Database(process.settings.sqlalchemy_url("api"), pool_size=2, application_name="surefill-feed")
    flask_app.extensions["live"] = LiveServer(
        flask_app,
        events=PostgresEvents(database),
        sign_ins=sign_ins,
        clock=process.ports.clock,
        redis_url=process.settings.redis_url,
    )
