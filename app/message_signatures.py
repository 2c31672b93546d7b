"""HTTP Message Signatures (RFC 9421) with Ed25519, and Content-Digest (RFC 9530): the part that Surefill accepts.

One signature a request. Covered can be `@method`, `@authority`, `@path`, `@query` and any header field, none of them
with parameters. What a signature has to cover, and how old it may be, is the caller's rule; this module says only
whether the bytes were signed by the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_KEY = r"[a-z*][a-z0-9_\-.*]{0,63}"
_COMPONENT = r'"(?:@[a-z\-]{1,32}|[a-z0-9!#$%&\'*+\-.^_`|~]{1,128})"'
_VALUE = r'(?:[0-9]{1,15}|"[ !#-\[\]-~]{0,256}")'  # an integer or a string; a string with escapes is not accepted
_INPUT = re.compile(rf"({_KEY})=(\(((?:{_COMPONENT}(?: {_COMPONENT})*)?)\)((?:;{_KEY}={_VALUE})*))", re.ASCII)
_PARAMETER = re.compile(rf";({_KEY})=({_VALUE})", re.ASCII)
_SIGNATURE = re.compile(rf"({_KEY})=:([A-Za-z0-9+/]{{86}}==):", re.ASCII)
_DIGEST = re.compile(rf"({_KEY})=:([A-Za-z0-9+/]{{1,128}}={{0,2}}):", re.ASCII)
_LONGEST_FIELD = 2048

_HASHES = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


class NotSigned(Exception):
    """The request carries no signature."""


class BadSignature(Exception):
    """The signature is none that can be accepted; the message says why, to the one who made it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request as its signature sees it. `target` as it was sent, `fields` by lower-case name."""

    method: str
    target: str
    fields: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> Message:
        """The request of a WSGI environment. Raises BadSignature when the server does not tell the target."""
        target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
        if not isinstance(target, str):
            raise BadSignature("this server does not pass on the request's target as it was sent")
        fields = {
            name[5:].lower().replace("_", "-"): str(value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(name):
                fields[name.lower().replace("_", "-")] = str(environ[name])
        return cls(str(environ["REQUEST_METHOD"]), target, fields)

    def component(self, name: str) -> str:
        """The value of a covered component. Raises BadSignature for one that is unknown or absent."""
        if name == "@method":
            return self.method
        if name == "@authority":
            return self._field("host").lower()
        if name in ("@path", "@query"):
            try:
                parts = urlsplit(self.target)
            except ValueError:
                raise BadSignature("the request's target is none") from None
            if name == "@path":
                return parts.path or "/"
            return f"?{parts.query}"
        if name.startswith("@"):
            raise BadSignature(f'the component "{name}" is not supported')
        return self._field(name)

    def _field(self, name: str) -> str:
        value = self.fields.get(name)
        if value is None:
            raise BadSignature(f'it covers the header "{name}", which the request does not have')
        return " ".join(value.split("\r\n")).strip()


@dataclass(frozen=True, slots=True)
class SignatureInput:
    """What a signature says about itself. `created` and `expires` in seconds since 1970."""

    label: str
    covered: tuple[str, ...]
    parameters: str
    """As they were sent, the covered components included: they are signed, too."""
    created: int | None
    expires: int | None
    nonce: str | None
    key_id: str | None
    algorithm: str | None


def read_input(message: Message) -> tuple[SignatureInput, bytes]:
    """What the signature covers, and its 64 bytes. Raises NotSigned, BadSignature."""
    given, value = message.fields.get("signature-input"), message.fields.get("signature")
    if given is None and value is None:
        raise NotSigned
    if given is None or value is None:
        raise BadSignature("Signature-Input and Signature belong together; one of them is missing")
    if len(given) > _LONGEST_FIELD or len(value) > _LONGEST_FIELD:
        raise BadSignature(f"a field is longer than {_LONGEST_FIELD} characters")
    match, signature = _INPUT.fullmatch(given.strip()), _SIGNATURE.fullmatch(value.strip())
    if match is None:
        raise BadSignature('Signature-Input is not one of the form name=("@method" …);created=…;nonce="…"')
    if signature is None or signature[1] != match[1]:
        raise BadSignature(f"Signature is not {match[1]}=:…: with the 64 bytes of an Ed25519 signature in base64")
    covered = tuple(name.strip('"') for name in match[3].split())
    if len(set(covered)) < len(covered):
        raise BadSignature("a component is covered twice")
    parameters: dict[str, str] = {}
    for name, text in _PARAMETER.findall(match[4]):
        if name in parameters:
            raise BadSignature(f"the parameter {name} is there twice")
        parameters[name] = text
    return (
        SignatureInput(
            label=match[1],
            covered=covered,
            parameters=match[2],
            created=_integer(parameters, "created"),
            expires=_integer(parameters, "expires"),
            nonce=_string(parameters, "nonce"),
            key_id=_string(parameters, "keyid"),
            algorithm=_string(parameters, "alg"),
        ),
        base64.b64decode(signature[2]),
    )


def signature_base(message: Message, covered: tuple[str, ...], parameters: str) -> bytes:
    """The exact bytes that are signed (RFC 9421, 2.5). Raises BadSignature."""
    lines = [f'"{name}": {message.component(name)}' for name in covered]
    lines.append(f'"@signature-params": {parameters}')
    if any("\n" in line or "\r" in line for line in lines):
        raise BadSignature("a covered component has more than one line")
    return "\n".join(lines).encode("latin-1")


def verify(message: Message, given: SignatureInput, signature: bytes, public_key: bytes) -> None:
    """Raises BadSignature unless the key signed what is covered."""
    if given.algorithm not in (None, "ed25519"):
        raise BadSignature("alg is not ed25519")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            signature, signature_base(message, given.covered, given.parameters)
        )
    except (InvalidSignature, UnicodeEncodeError):
        raise BadSignature("it was not made with this key, or over something else than what has arrived") from None


def check_digest(message: Message, body: bytes) -> None:
    """Raises BadSignature unless Content-Digest has SHA-256 or SHA-512 of the body, and no wrong one."""
    found = False
    for member in message.fields.get("content-digest", "")[:_LONGEST_FIELD].split(","):
        match = _DIGEST.fullmatch(member.strip())
        if match is None:
            raise BadSignature("Content-Digest is not of the form sha-256=:…:")
        make = _HASHES.get(match[1])
        if make is None:
            continue
        try:
            digest = base64.b64decode(match[2], validate=True)
        except binascii.Error:
            raise BadSignature("Content-Digest is not base64") from None
        if not hmac.compare_digest(digest, make(body).digest()):
            raise BadSignature("Content-Digest is not that of the body that has arrived")
        found = True
    if not found:
        raise BadSignature("Content-Digest has neither sha-256 nor sha-512")


def _integer(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise BadSignature(f"{name} is not a number of seconds")
    return int(text)


def _string(parameters: Mapping[str, str], name: str) -> str | None:
    text = parameters.get(name)
    if text is None:
        return None
    if not text.startswith('"'):
        raise BadSignature(f"{name} is not a string in quotation marks")
    return text[1:-1]
