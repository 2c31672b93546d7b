"""All groups of routes: importing one hangs its routes on the blueprint."""

from __future__ import annotations

from app.api import account, docs, events, halts, market, not_yet, operations, orders
from app.api.routes import blueprint

__all__ = ["GROUPS", "blueprint"]

GROUPS = (account, docs, events, halts, market, not_yet, operations, orders)
