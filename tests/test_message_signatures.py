"""HTTP Message Signatures against the example of RFC 9421 itself, and everything that is none."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from app.message_signatures import BadSignature, Message, NotSigned, check_digest, read_input, verify

# RFC 9421, appendix B.2 (the request), B.1.4 (the key) and B.2.6 (the signature).
KEY = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="
SIGNATURE = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
COVERED = '("date" "@method" "@path" "@authority" "content-type" "content-length")'
EXAMPLE = {
    "REQUEST_METHOD": "POST",
    "RAW_URI": "/foo?param=Value&Pet=dog",
    "HTTP_HOST": "example.com",
    "HTTP_DATE": "Tue, 20 Apr 2021 02:07:55 GMT",
    "CONTENT_TYPE": "application/json",
    "CONTENT_LENGTH": "18",
    "HTTP_CONTENT_DIGEST": (
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
    ),
    "HTTP_SIGNATURE_INPUT": f'sig-b26={COVERED};created=1618884473;keyid="test-key-ed25519"',
    "HTTP_SIGNATURE": f"sig-b26=:{SIGNATURE}:",
}
BODY = b'{"hello": "world"}'


def _key() -> bytes:
    key = load_der_public_key(base64.b64decode(KEY))
    assert isinstance(key, Ed25519PublicKey)
    return key.public_bytes_raw()


def test_the_standards_own_example_is_verified() -> None:
    message = Message.of(EXAMPLE)
    given, signature = read_input(message)
    assert (given.created, given.key_id, given.nonce) == (1618884473, "test-key-ed25519", None)
    verify(message, given, signature, _key())
    check_digest(message, BODY)


@pytest.mark.parametrize(
    "changed",
    [
        {"REQUEST_METHOD": "PUT"},
        {"RAW_URI": "/foo/"},
        {"RAW_URI": "/Foo"},
        {"HTTP_HOST": "example.org"},
        {"HTTP_DATE": "Tue, 20 Apr 2021 02:07:56 GMT"},
        {"CONTENT_LENGTH": "19"},
        {"HTTP_SIGNATURE_INPUT": f'sig-b26={COVERED};created=1618884474;keyid="test-key-ed25519"'},
        {"HTTP_SIGNATURE": f"sig-b26=:{SIGNATURE[:-5]}AAA==:"},
    ],
)
def test_one_change_and_it_is_not(changed: dict[str, str]) -> None:
    message = Message.of(EXAMPLE | changed)
    given, signature = read_input(message)
    with pytest.raises(BadSignature, match="not made with this key"):
        verify(message, given, signature, _key())


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"HTTP_SIGNATURE": None}, "belong together"),
        ({"HTTP_SIGNATURE_INPUT": None}, "belong together"),
        ({"HTTP_SIGNATURE": "sig-b26=:AAAA:"}, "64 bytes"),
        ({"HTTP_SIGNATURE": f"other=:{SIGNATURE}:"}, "64 bytes"),
        ({"HTTP_SIGNATURE": f"sig-b26=:{SIGNATURE}:, x=:{SIGNATURE}:"}, "64 bytes"),
        ({"HTTP_SIGNATURE_INPUT": ""}, "form"),
        ({"HTTP_SIGNATURE_INPUT": "sig-b26=()created=1"}, "form"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("@method";req);created=1'}, "form"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("DATE");created=1'}, "form"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("date");created=-1'}, "form"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("date");nonce="a\\"b"'}, "form"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("date" "date");created=1'}, "twice"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("date");created=1;created=2'}, "twice"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("date");created="1"'}, "number"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("date");nonce=1'}, "quotation marks"),
        ({"HTTP_SIGNATURE_INPUT": "sig-b26=(" + '"x" ' * 1000 + ");created=1"}, "longer"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("absent");created=1'}, "does not have"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("@target-uri");created=1'}, "not supported"),
        ({"HTTP_SIGNATURE_INPUT": 'sig-b26=("date");created=1;alg="rsa-pss-sha512"'}, "ed25519"),
        ({"HTTP_CONTENT_DIGEST": "sha-256=:AAAA:"}, "body"),
        ({"HTTP_CONTENT_DIGEST": "md5=:AAAA:"}, "neither"),
        ({"HTTP_CONTENT_DIGEST": ""}, "form"),
        ({"HTTP_CONTENT_DIGEST": f"{EXAMPLE['HTTP_CONTENT_DIGEST']}, sha-256=:AAAA:"}, "body"),
        ({"RAW_URI": None}, "target"),
        ({"RAW_URI": "http://[x/"}, "target"),
    ],
)
def test_what_is_none_is_said_to_be_none(changed: dict[str, Any], why: str) -> None:
    environ = {name: value for name, value in (EXAMPLE | changed).items() if value is not None}
    with pytest.raises(BadSignature, match=why):
        _check(environ)


def _check(environ: dict[str, Any]) -> None:
    message = Message.of(environ)
    given, signature = read_input(message)
    check_digest(message, BODY)
    verify(message, given, signature, _key())


def test_a_request_without_a_signature_is_not_a_bad_one() -> None:
    with pytest.raises(NotSigned):
        read_input(Message("GET", "/", {}))


def test_a_header_cannot_smuggle_a_line_into_what_is_signed() -> None:
    message = Message.of(EXAMPLE)
    smuggled = dataclasses.replace(message, fields={**message.fields, "date": 'x\n"@method": GET'})
    given, signature = read_input(smuggled)
    with pytest.raises(BadSignature, match="more than one line"):
        verify(smuggled, given, signature, _key())
