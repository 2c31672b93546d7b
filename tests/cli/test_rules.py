"""The rules as they are published are the rules as they are run."""

from __future__ import annotations

from app.cli.rules import document
from app.settings import PROJECT_ROOT
from tests.cli.conftest import Console


def test_the_published_rules_are_those_of_the_code() -> None:
    published = (PROJECT_ROOT / "docs" / "risk-rules.md").read_text(encoding="utf-8")
    assert published == document(), "run: flask --app app rules --write docs/risk-rules.md"


def test_the_command_shows_them(one_console: Console) -> None:
    assert one_console.ok("rules").out == document()
