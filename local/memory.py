"""What one data folder remembers between starts: ports, passwords, the servers' user and home. Mode 0600."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

from local.cannot_start import CannotStart

_FILE = "local.json"
_PORTS = range(15_000, 32_000)

# Between the choice of a port and the moment its server listens, and while a server that was killed starts again,
# nobody listens there. An abstract socket of the port's number is what another start on this machine meets meanwhile:
# its names live in the same network namespace as the ports, and the kernel removes it with this process.
_claims: dict[int, socket.socket] = {}


class Memory:
    """The data folder's own small file. Everything in it is made on first use and kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / _FILE
        self._ports: set[int] = set()
        try:
            self._values: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}
        except PermissionError as error:
            raise CannotStart(
                f"{folder} belongs to another user: start Surefill as that user, or set DATA_FOLDER to another folder"
            ) from error
        except ValueError as error:
            raise CannotStart(
                f"{self._file} is damaged ({error}): restore it, or remove {folder} to start afresh"
            ) from error

    def get(self, name: str) -> str | None:
        """What is remembered under `name`, if anything."""
        value = self._values.get(name)
        return None if value is None else str(value)

    def put(self, name: str, value: str) -> None:
        """Remember `value`; on disk before this returns."""
        self._values[name] = value
        write_private(self._file, json.dumps(self._values, indent=1, sort_keys=True) + "\n")

    def secret(self, name: str) -> str:
        """A password of 256 random bits in hexadecimal: it needs no quoting in a URL, in SQL or in a configuration."""
        known = self.get(name)
        if known is None:
            known = secrets.token_hex(32)
            self.put(name, known)
        return known

    def port(self, name: str) -> int:
        """A TCP port on 127.0.0.1 that is free now: the one of the last start unless somebody else has it today."""
        known = self.get(f"{name}_port")
        if known is not None and port_is_free(int(known)) and _claim(int(known)):
            port = int(known)
        else:
            port = free_port()
            self.put(f"{name}_port", str(port))
        self._ports.add(port)
        return port

    def release_ports(self) -> None:
        """Leave this folder's ports to others: its servers have ended."""
        while self._ports:
            claim = _claims.pop(self._ports.pop(), None)
            if claim is not None:
                claim.close()


def write_private(file: Path, text: str) -> None:
    """Replace `file` by one with `text` that only its owner can read; never half written, never readable meanwhile."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(file)


def free_port() -> int:
    """A TCP port nobody listens on at 127.0.0.1 right now, and that no other start of this code gets meanwhile.

    Taken from below the range the kernel gives to outgoing connections: while a server is down, its clients' own
    connections could otherwise be given its port (even to connect to themselves), and it could not come back.
    """
    while True:
        port = secrets.choice(_PORTS)
        if port not in _claims and port_is_free(port) and _claim(port):
            return port


def _claim(port: int) -> bool:
    """Whether `port` is this process's now: false while another process has claimed it."""
    if port in _claims or not sys.platform.startswith("linux"):
        return True
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0surefill-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims[port] = claim
    return True


def port_is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` now. Connections of an earlier server in TIME_WAIT do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
