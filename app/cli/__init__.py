"""The command line: `flask --app app …`."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from app.settings import Settings
from app.wiring import Process
