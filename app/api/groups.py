"""All groups of routes: importing one hangs its routes on the blueprint."""

from __future__ import annotations

from app.api import account, compliance, docs, events, halts, market, operations, orders, reports
from app.api.routes import blueprint

__all__ = ["GROUPS", "blueprint"]

GROUPS = (account, compliance, docs, events, halts, market, operations, orders, reports)
