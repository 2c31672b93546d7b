"""`trader`, `key` and `halt`: what they do, and what they leave in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from tests.cli.conftest import Console

Actions = Callable[[str], list[str]]


def test_a_new_trader_has_an_account_a_key_and_an_audit_chain(console: Console, actions: Actions) -> None:
    made = console.trader("Ann", "2500.50")
    trader_id, key = made["trader_id"], made["api_key"]
    assert (made["name"], made["cash"]) == ("Ann", "2500.5")
    assert console.sql("owner", "SELECT name, trading_state FROM traders") == [("Ann", "ACTIVE")]
    ((cash, currency),) = console.sql("owner", "SELECT cash, currency FROM accounts")
    assert (str(cash.normalize()), currency) == ("2500.5", "USD")
    assert console.sql("owner", "SELECT head_seq FROM event_counters") == [(0,)]
    ((prefix, key_hash, scopes),) = console.sql("owner", "SELECT prefix, key_hash, scopes FROM api_keys")
    assert (prefix, bytes(key_hash), set(scopes)) == (key[:11], sha256(key.encode()).digest(), {"trade", "read"})
    assert len(key) >= 43
    assert actions(trader_id) == ["TRADER_CREATED", "KEY_CREATED"]
    assert all(row[1].startswith("administrator:") for row in console.chain(trader_id))
    assert key not in str(console.chain(trader_id))


def test_a_person_reads_the_same_in_lines(console: Console) -> None:
    said = console.ok("trader", "create", "--name", "Ann", "--cash", "0")
    lines = dict(line.split(": ") for line in said.out.splitlines())
    assert lines.keys() == {"trader_id", "api_key"}
    assert "not shown again" in said.err


def test_traders_are_listed(console: Console) -> None:
    assert "no traders yet" in console.ok("trader", "list").err
    ann, ben = console.trader("Ann"), console.trader("Ben", "5")
    said = console.ok("trader", "list")
    assert [line.split()[0] for line in said.out.splitlines()] == [ann["trader_id"], ben["trader_id"]]
    listed = console.ok("trader", "list", "--json").json
    assert [(one["name"], one["cash"], one["trading_state"]) for one in listed] == [
        ("Ann", "100000", "ACTIVE"),
        ("Ben", "5", "ACTIVE"),
    ]


def test_limits_are_changed_shown_and_taken_away(console: Console, actions: Actions) -> None:
    trader_id = console.trader()["trader_id"]
    changed = console.ok(
        "trader", "limits", trader_id, "--orders-per-minute", "5", "--max-order-value", "1000.50", "--json"
    ).json
    assert (changed["limits"]["orders_per_minute"], changed["limits"]["max_order_value"]) == (5, "1000.5")
    assert changed["limits"]["version"] == 2
    console.ok("trader", "limits", "Ann", "--orders-per-minute", "none")
    shown = console.ok("trader", "limits", "Ann").out
    assert "version 3" in shown
    assert "orders_per_minute      none" in shown
    assert "max_order_value        1000.5" in shown
    assert "nothing to change" in console.ok("trader", "limits", "Ann", "--max-order-value", "1000.5").err
    assert actions(trader_id) == ["TRADER_CREATED", "KEY_CREATED", "LIMITS_CHANGED", "LIMITS_CHANGED"]
    _, _, details, version = console.chain(trader_id)[2]
    assert details == {
        "before": {"max_order_value": None, "orders_per_minute": None},
        "after": {"max_order_value": "1000.5", "orders_per_minute": "5"},
    }
    assert version == 2


def test_a_key_is_made_and_revoked(console: Console, actions: Actions) -> None:
    trader_id = console.trader()["trader_id"]
    expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = console.ok(
        "key", "create", "--trader", "Ann", "--scope", "read", "--scope", "compliance", "--expires", expires, "--json"
    ).json
    assert (made["scopes"], made["trader_id"]) == (["read", "compliance"], trader_id)
    assert made["expires_at"] is not None
    assert console.ok("key", "list", "--trader", "Ann").out.count("sk_") == 2
    assert "is revoked" in console.ok("key", "revoke", made["api_key"][:11]).out
    assert "was revoked before" in console.ok("key", "revoke", made["key_id"]).out
    assert actions(trader_id) == ["TRADER_CREATED", "KEY_CREATED", "KEY_CREATED", "KEY_REVOKED"]
    assert console.sql("owner", "SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL") == [(1,)]


def test_a_key_is_rotated_and_the_old_one_ends_after_the_overlap(console: Console, actions: Actions) -> None:
    made = console.trader()
    trader_id, old = made["trader_id"], made["api_key"]
    new = console.ok("key", "rotate", old, "--overlap", "2h", "--json").json  # whoever holds it has the whole of it
    assert new["scopes"] == ["trade", "read"]
    assert new["replaces"] == old[:11]
    assert new["api_key"] != old
    ends_at = datetime.fromisoformat(new["replaced_key_expires_at"])
    assert timedelta(minutes=119) < ends_at - datetime.now(UTC) <= timedelta(hours=2)
    first, second = console.ok("key", "list", "--trader", "Ann", "--json").json
    assert (first["expires_at"], second["expires_at"]) == (new["replaced_key_expires_at"], None)
    assert (first["last_used_at"], first["signature_required"]) == (None, False)
    assert actions(trader_id) == ["TRADER_CREATED", "KEY_CREATED", "KEY_CREATED"]
    details = console.chain(trader_id)[2][2]
    assert details["replaces_key_id"] == first["key_id"]
    assert datetime.fromisoformat(details["replaced_key_expires_at"]) == ends_at
    # a second rotation of the old key never gives it more time
    longer = console.ok("key", "rotate", old[:11], "--overlap", "7d", "--json").json
    assert longer["replaced_key_expires_at"] == new["replaced_key_expires_at"]
    console.ok("key", "rotate", old[:11], "--overlap", "0s")
    assert "has ended" in console.run("key", "rotate", old[:11]).err


def test_a_key_that_signs_is_made_from_a_public_key_and_nothing_else(console: Console, tmp_path: Path) -> None:
    console.trader()
    private = ed25519.Ed25519PrivateKey.generate()
    pem, der = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "signing.pub").write_bytes(private.public_key().public_bytes(pem, der))
    (tmp_path / "other.pub").write_bytes(x25519.X25519PrivateKey.generate().public_key().public_bytes(pem, der))
    (tmp_path / "none.pub").write_text("ssh-ed25519 AAAA")
    create = ("key", "create", "--trader", "Ann", "--scopes", "Trade, read,read", "--signing-key")
    made = console.ok(*create, str(tmp_path / "signing.pub"), "--json").json
    assert (made["scopes"], made["signature_required"]) == (["trade", "read"], True)
    assert console.ok("key", "rotate", made["key_id"], "--json").json["signature_required"] is True
    for wrong, says in (("other.pub", "no Ed25519"), ("none.pub", "no Ed25519"), ("absent", "cannot be read")):
        said = console.run(*create, str(tmp_path / wrong))
        assert (said.status, said.out) == (2, "")
        assert says in said.err


def test_no_more_of_a_key_than_its_beginning_is_repeated(console: Console) -> None:
    unknown = f"sk_{'k' * 43}"
    said = console.run("key", "revoke", unknown)
    assert said.status == 1
    assert "sk_kkkkkkkk:" in said.err and unknown[:12] not in said.err


def test_a_symbol_is_halted_and_resumed_in_any_case(console: Console) -> None:
    console.sql(
        "worker",
        "INSERT INTO instruments (symbol, venue, name, status, tick_size, lot_size, updated_at) "
        "VALUES ('AAPL', 'simulator', 'Apple', 'ACTIVE', 0.01, 1, now())",
    )
    assert "AAPL is now HALTED" in console.ok("halt", "on", "--symbol", "aapl").out
    assert "AAPL is now ACTIVE" in console.ok("halt", "off", "--symbol", "aapl").out


def test_a_trader_is_halted_and_resumed(console: Console, actions: Actions) -> None:
    trader_id = console.trader()["trader_id"]
    assert "is now HALTED" in console.ok("halt", "on", "--trader", "Ann", "--reason", "odd orders").out
    assert "was already HALTED" in console.ok("halt", "on", "--trader", trader_id).out
    assert console.sql("owner", "SELECT scope, reason FROM halts") == [("TRADER", "odd orders")]
    assert "is now ACTIVE" in console.ok("halt", "off", "--trader", "Ann").out
    assert "was not halted" in console.ok("halt", "off", "--trader", "Ann").out
    assert actions(trader_id)[2:] == ["HALTED", "RESUMED"]
    ((reason,),) = console.sql("compliance", "SELECT reason FROM execution_logs WHERE action = 'HALTED'")
    assert reason == "odd orders"


def test_everything_is_halted_and_resumed(console: Console) -> None:
    assert "everything is now HALTED" in console.ok("halt", "on", "--reason", "a flood", "--cancel-exits").out
    assert "everything was already HALTED" in console.ok("halt", "on").out
    assert "everything is now ACTIVE" in console.ok("halt", "off").out
    logged = console.sql(
        "compliance", "SELECT action::text, reason FROM execution_logs WHERE trader_id IS NULL ORDER BY chain_seq"
    )
    assert logged == [("HALTED", "a flood"), ("RESUMED", "Resumed by an administrator.")]
    console.ok("audit", "verify")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["trader", "create", "--name", "Ann"], 2, "--cash"),
        (["trader", "create", "--name", "", "--cash", "1"], 2, "printable"),
        (["trader", "create", "--name", "x" * 101, "--cash", "1"], 2, "printable"),
        (["trader", "create", "--name", "a\nb", "--cash", "1"], 2, "printable"),
        (["trader", "create", "--name", "Ann", "--cash", "1"], 1, "choose another name"),
        *(
            (["trader", "create", "--name", "New", f"--cash={cash}"], 2, "is no amount")
            for cash in ("-1", "NaN", "1e5", "1,000", "", "1" * 19, "0.0000000001", "ten")
        ),
        (["trader", "limits", "nobody"], 1, "there is no trader nobody"),
        (["trader", "limits", "Ann", "--orders-per-minute", "0"], 2, "greater than 0"),
        (["trader", "limits", "Ann", "--orders-per-minute", "1.5"], 2, "whole number"),
        (["trader", "limits", "Ann", "--max-order-value", "0"], 2, "greater than 0"),
        (["trader", "limits", "Ann", "--max-order-value", "NaN"], 2, "is no amount"),
        (["key", "create", "--trader", "nobody"], 1, "there is no trader nobody"),
        (["key", "create", "--trader", "Ann", "--scope", "root"], 2, "root"),
        (["key", "create", "--trader", "Ann", "--scopes", "trade,root"], 2, "root is no scope"),
        (["key", "create", "--trader", "Ann", "--scopes", ","], 2, "is no scope"),
        (["key", "rotate", "sk_nothing"], 1, "`key list` shows both"),
        (["key", "rotate", "sk_nothing", "--overlap", "a day"], 2, "is no duration"),
        (["key", "create", "--trader", "Ann", "--expires", "tomorrow"], 2, "is no time"),
        (["key", "create", "--trader", "Ann", "--expires", "2099-01-01"], 2, "no offset"),
        (["key", "create", "--trader", "Ann", "--expires", "2020-01-01T00:00:00Z"], 2, "has passed"),
        (["key", "revoke", "sk_nothing"], 1, "`key list` shows both"),
        (["key", "revoke", "' OR true --"], 1, "`key list` shows both"),
        (["halt", "on", "--symbol", "NOPE"], 1, "nothing was halted"),
        (["halt", "off", "--symbol", "NOPE"], 1, "nothing was lifted"),
        (["halt", "on", "--symbol", "AAPL", "--trader", "Ann"], 2, "not both"),
        (["halt", "off", "--trader", "nobody"], 1, "there is no trader nobody"),
        (["report", "executions", "--trader", "nobody"], 1, "there is no trader nobody"),
        (["report", "executions", "--from", "2026-01-01"], 2, "no offset"),
        (["report", "executions", "--from", "2999-01-01T00:00:00Z"], 2, "must lie before"),
        (["reconcile", "--order", "seven"], 2, "UUID"),
        (["trader", "forget"], 2, "forget"),
    ],
)
def test_wrong_words_end_with_a_line_that_says_what_is_wrong(
    one_console: Console, words: list[str], status: int, says: str
) -> None:
    said = one_console.run(*words)
    assert said.status == status, said
    assert says in said.err
    assert said.out == ""


def test_an_unreachable_database_is_one_line(console: Console) -> None:
    environment = {**console.environment, "DATABASE_URL": "postgresql://owner:hidden@127.0.0.1:9/surefill"}
    for words in (["trader", "list"], ["audit", "verify"], ["reconcile"]):
        said = console.process(*words, environment=environment)
        assert said.status == 1
        assert said.err.startswith("Error: the database cannot be reached")
        assert len(said.err.splitlines()) == 1
        assert "hidden" not in said.err


def test_a_missing_login_is_one_line(console: Console) -> None:
    environment = {**console.environment, "DATABASE_URL_API": console.settings.database_url_api}
    del environment["DATABASE_URL"]
    said = console.process("trader", "list", environment=environment)
    assert (said.status, said.err.startswith("Error: DATABASE_URL is not set")) == (2, True)


def test_a_wrong_setting_is_one_line(console: Console) -> None:
    said = console.process("trader", "list", environment={**console.environment, "PORT": "many"})
    assert said.status == 2
    assert said.err.splitlines()[0].startswith("surefill: PORT")


def test_administration_needs_neither_redis_nor_a_venue(console: Console) -> None:
    environment = {**console.environment, "REDIS_URL": "redis://127.0.0.1:9/0"}
    assert console.process("trader", "create", "--name", "Ann", "--cash", "1", environment=environment).status == 0


def test_a_report_of_executions_ends_with_its_totals(one_console: Console) -> None:
    said = one_console.ok("report", "executions")
    lines = said.out.splitlines()
    assert lines[0].startswith("row,timestamp,trader_id,order_id,symbol")
    assert lines[-1].startswith("END,")
    of_ann = one_console.ok("report", "executions", "--trader", "Ann", "--to", "2026-01-01T00:00:00Z")
    assert of_ann.out.count("\n") == 2
