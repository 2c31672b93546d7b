"""Requests under a key that signs: what is accepted, what is refused, and that nothing counts twice."""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from werkzeug.test import TestResponse

from app.lifecycle.traders import create_key
from app.settings import PROJECT_ROOT
from app.web import SERVING
from tests.api.house import LIMIT_ORDER, Client, House, problem_of

Sign = Callable[..., dict[str, str]]
ORDER = json.dumps(LIMIT_ORDER).encode()


def _documented(folder: Path) -> Sign:
    """The client function of docs/security.md, as it stands there."""
    text = (PROJECT_ROOT / "docs/security.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def signed_headers" in block)
    file = folder / "documented.py"
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("documented", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sign: Sign = module.signed_headers
    return sign


@pytest.fixture(scope="module")
def sign(tmp_path_factory: pytest.TempPathFactory) -> Sign:
    return _documented(tmp_path_factory.mktemp("documented"))


@pytest.fixture
def private() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def signer(house: House, ann: Client, private: Ed25519PrivateKey) -> Client:
    """Ann with a key that signs."""
    key = create_key(
        house.administration, ann.trader_id, ["trade", "read"], None, private.public_key().public_bytes_raw()
    )
    return Client(ann.http, ann.trader_id, key.text)


def _submit(signer: Client, headers: dict[str, str], body: bytes = ORDER, path: str = "/orders") -> TestResponse:
    return signer.post(path, data=body, headers={"Content-Type": "application/json", **headers})


def test_a_signed_order_is_accepted_as_the_documentation_signs_it(
    house: House, signer: Client, private: Ed25519PrivateKey, sign: Sign
) -> None:
    headers = {"Idempotency-Key": "signed-1", "Confirm-Duplicate": "true"}
    signed = sign(private, "POST", "/api/v1/orders", ORDER, headers)
    assert _submit(signer, signed).status_code == 201
    query = "/api/v1/orders?limit=1&symbol=AAPL"
    assert signer.call("GET", query.removeprefix("/api/v1"), headers=sign(private, "GET", query)).status_code == 200
    problem_of(_submit(signer, signed), 401, "SIGNATURE_REPLAYED")
    # the same order again, signed anew, is a replay of the order and no second one
    again = _submit(signer, sign(private, "POST", "/api/v1/orders", ORDER, headers))
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert house.count("orders", signer) == 1


def test_without_a_signature_a_key_that_signs_is_refused(house: House, signer: Client, ann: Client) -> None:
    problem_of(_submit(signer, {"Idempotency-Key": "unsigned"}), 401, "SIGNATURE_REQUIRED")
    problem_of(signer.get("/account"), 401, "SIGNATURE_REQUIRED")
    assert ann.get("/account").status_code == 200  # her other key does not sign
    assert house.count("orders", signer) == 0


def _without(headers: dict[str, str], component: str) -> dict[str, str]:
    return {**headers, "Signature-Input": headers["Signature-Input"].replace(f' "{component}"', "")}


CHANGES: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
    "another body": lambda headers: {"headers": headers, "body": ORDER.replace(b"10", b"99")},
    "another body and its digest": lambda headers: {
        "headers": {**headers, "Content-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"},
        "body": ORDER,
    },
    "another query": lambda headers: {"headers": headers, "path": "/orders?limit=1"},
    "another path": lambda headers: {"headers": headers, "path": "/orders/cancel-all", "body": ORDER},
    "another idempotency key": lambda headers: {"headers": {**headers, "Idempotency-Key": "signed-2"}},
    "a confirmation that was not signed": lambda headers: {"headers": {**headers, "Confirm-Duplicate": "true"}},
    "the body not covered": lambda headers: {"headers": _without(headers, "content-digest")},
    "the idempotency key not covered": lambda headers: {"headers": _without(headers, "idempotency-key")},
    "another nonce": lambda headers: {
        "headers": {
            **headers,
            "Signature-Input": re.sub('nonce="[^"]*', f'nonce="{"x" * 32}', headers["Signature-Input"]),
        }
    },
    "a later time": lambda headers: {
        "headers": {
            **headers,
            "Signature-Input": re.sub(r"created=\d+", f"created={int(time.time()) + 1}", headers["Signature-Input"]),
        }
    },
    "no signature of the two": lambda headers: {"headers": {**headers, "Signature": "sig=:AAAA:"}},
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_request_that_is_not_what_was_signed_changes_nothing(
    house: House, signer: Client, private: Ed25519PrivateKey, sign: Sign, change: str
) -> None:
    headers = sign(private, "POST", "/api/v1/orders", ORDER, {"Idempotency-Key": "signed-1"})
    problem_of(_submit(signer, **CHANGES[change](headers)), 401, "SIGNATURE_INVALID")
    assert house.count("orders", signer) == 0
    assert house.rows("SELECT count(*) FROM execution_logs WHERE trader_id = %s AND action = 'REJECTED'",
                      signer.trader_id) == [(0,)]  # fmt: skip
    # what was refused has used up no nonce
    assert _submit(signer, headers).status_code == 201


def test_another_key_signs_nothing_for_this_one(signer: Client, sign: Sign) -> None:
    headers = sign(Ed25519PrivateKey.generate(), "GET", "/api/v1/account")
    problem_of(signer.get("/account"), 401, "SIGNATURE_REQUIRED")
    problem_of(signer.call("GET", "/account", headers=headers), 401, "SIGNATURE_INVALID")


@pytest.mark.parametrize("seconds", [-70, 70])
def test_a_signature_is_fresh(signer: Client, private: Ed25519PrivateKey, sign: Sign, seconds: int) -> None:
    headers = sign(private, "GET", "/api/v1/account", created=int(time.time()) + seconds)
    problem = problem_of(signer.call("GET", "/account", headers=headers), 401, "SIGNATURE_EXPIRED")
    assert datetime.now(UTC).strftime("%Y-%m-%dT%H:") in problem["detail"]
    headers = sign(private, "GET", "/api/v1/account", created=int(time.time()) + (seconds // 70) * 45)
    assert signer.call("GET", "/account", headers=headers).status_code == 200


def test_two_keys_may_use_the_same_nonce_and_old_ones_are_forgotten(
    house: House, ben: Client, signer: Client, private: Ed25519PrivateKey, sign: Sign
) -> None:
    key = create_key(house.administration, ben.trader_id, ["read"], None, private.public_key().public_bytes_raw())
    other = Client(ben.http, ben.trader_id, key.text)
    nonce = "n" * 16
    for client in (signer, other):
        assert (
            client.call("GET", "/account", headers=sign(private, "GET", "/api/v1/account", nonce=nonce)).status_code
            == 200
        )
    # the database's clock cannot be moved, so a row that has expired stands in for one that was used long ago
    _as(
        house,
        signer,
        "INSERT INTO request_nonces (key_id, nonce, trader_id, expires_at) SELECT key_id, 'expired-nonce-16',"
        " trader_id, now() - interval '1 s' FROM request_nonces LIMIT 1 RETURNING 1",
    )
    signer.call("GET", "/account", headers=sign(private, "GET", "/api/v1/account"))
    assert _as(house, signer, "SELECT nonce FROM request_nonces WHERE nonce LIKE 'expired%%'") == []


def _as(house: House, trader: Client, statement: str) -> list[Any]:
    """What the API's login reads or writes for that trader."""
    with closing(psycopg2.connect(house.settings.database_url_api)) as connection, connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('app.trader_id', %s, true)", [str(trader.trader_id)])
            cursor.execute(statement, [])
            return list(cursor.fetchall())


def test_a_key_that_does_not_sign_costs_no_nonce(house: House, ann: Client) -> None:
    before = house.database.counted.statements
    ann.get("/account")
    ann.get("/account")
    # looked up once, and two reads; each is a setting and a statement
    assert house.database.counted.statements - before <= 6


def test_a_wrong_signature_is_a_failed_sign_in(house: House, signer: Client, sign: Sign) -> None:
    counted = house.flask.extensions[SERVING].sign_ins
    before = counted.failed
    forged = sign(Ed25519PrivateKey.generate(), "POST", "/api/v1/orders", ORDER, {"Idempotency-Key": "forged"})
    problem_of(_submit(signer, forged), 401, "SIGNATURE_INVALID")
    assert counted.failed == before + 1
