"""Secrets at rest: AES-256-GCM with a key that is not in the database.

A key has a name, which is stored beside what it sealed, so that keys can change: the first of the list seals, every one
of them opens. What is sealed says what it is for; put elsewhere, it does not open.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
_KEY = re.compile(r"([A-Za-z0-9._-]{1,64}):([A-Za-z0-9+/_-]{43}=?)", re.ASCII)

EXPECTED = "name:key, the key 32 random bytes in base64 (`flask --app app venue-credentials new-key` makes one)"


class WrongKeys(ValueError):
    """The keys cannot be used. The message says what is expected, and holds no part of a key."""


class CannotOpen(Exception):
    """What is sealed cannot be opened: its key is not there, or it is not what was sealed."""


@dataclass(frozen=True, slots=True)
class SecretsKeys:
    """Keys by name; the first one seals."""

    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def read(cls, text: str) -> SecretsKeys:
        """Keys as `name:base64`, separated by commas or line ends. Raises WrongKeys."""
        keys: dict[str, bytes] = {}
        for part in re.split(r"[,\s]+", text.strip()):
            match = _KEY.fullmatch(part)
            if match is None or match[1] in keys:
                raise WrongKeys(EXPECTED)
            try:
                key = base64.b64decode(match[2].replace("-", "+").replace("_", "/").rstrip("=") + "=", validate=True)
            except binascii.Error:
                raise WrongKeys(EXPECTED) from None
            if len(key) != KEY_BYTES:
                raise WrongKeys(EXPECTED)
            keys[match[1]] = key
        return cls(keys)

    @classmethod
    def read_file(cls, file: Path) -> SecretsKeys:
        """The same from a file that nobody else may read. Raises WrongKeys."""
        try:
            if file.stat().st_mode & 0o077:
                raise WrongKeys("a file that only its owner may read (chmod 600)")
            return cls.read(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise WrongKeys(f"a file that can be read ({error.strerror})") from None

    def seal(self, secret: bytes, purpose: str) -> tuple[str, bytes]:
        """The name of the key, and the nonce with the ciphertext."""
        name, key = next(iter(self.keys.items()))
        nonce = secrets.token_bytes(NONCE_BYTES)
        return name, nonce + AESGCM(key).encrypt(nonce, secret, _bound_to(purpose, name))

    def open(self, sealed_with: str, sealed: bytes, purpose: str) -> bytes:
        """What was sealed for that purpose. Raises CannotOpen."""
        key = self.keys.get(sealed_with)
        if key is None:
            raise CannotOpen(f"it was sealed with the key {sealed_with}, which is not among those that are set")
        try:
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(purpose, sealed_with))
        except (InvalidTag, ValueError):
            raise CannotOpen("it is not what was sealed, or the key of that name is another one") from None


def new_key(name: str) -> str:
    """A line for SUREFILL_SECRETS_KEY or its file."""
    return f"{name}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def _bound_to(purpose: str, name: str) -> bytes:
    return f"surefill\n{purpose}\n{name}".encode()
