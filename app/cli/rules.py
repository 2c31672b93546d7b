"""`rules`: the table of pre-trade rules, as it is run."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from app.domain.risk_rules import RULES, Rule

_HEAD = """# Pre-trade rules

Written from the table in `app/domain/risk_rules.py` by `flask --app app rules --write docs/risk-rules.md`; a test
compares the two.

Every order is judged by every rule, in the transaction that accepts it and under its account's lock, and all failures
are answered together in `errors`, each with its code, the numbers, a sentence and what to do. A refusal is in the audit
log with the codes and the version of the trader's limits. Missing data denies what adds risk. An order that reduces a
position (a SELL of what is held, a BUY that only buys back what was oversold) passes the rules marked so, whatever
their numbers say.

A BUY is reckoned at its worst price: a LIMIT at its own; a MARKET order at the last ask and `PRICE_COLLAR_BPS`, or its
own `max_slippage_bps`; a STOP at its trigger and the same. It reserves that price for each unit, with the commission of
the fee schedule; whatever is not used is free again with the fill, and all of it with the order's end. It goes to the
venue as a limit (a STOP as a stop limit) at that price, rounded down to the tick, so it cannot cost more.

| rule | codes | judged by | when that is missing or stale | trader's limit | reducing passes |
|---|---|---|---|---|---|
"""
_FOOT = """
A trader's limits are set with `flask --app app trader limits`, each change audited with a version; `GET /account` shows
them and how much is used. The day is the exchange's: it begins at midnight in America/New_York. When the daily loss
limit is hit, the trader is REDUCING until the next day or until the limit is changed.

`WASH_TRADES_OF` says whose resting orders an order must not meet: `account` everybody's in the venue account, `trader`
one's own, `off` nobody's. With `account`, a refusal tells that an order of the account rests within reach, and no more;
two orders that are accepted at the same moment by different traders may still meet.
"""


def _row(rule: Rule) -> str:
    holds = " ".join((inspect.getdoc(rule.check) or "").split())
    codes = ", ".join(f"`{code}`" for code in rule.codes)
    limits = ", ".join(f"`{limit}`" for limit in rule.limits)
    return f"| {holds} | {codes} | {rule.judged_by} | {rule.without_it} | {limits} | {'yes' * rule.reducing_passes} |"


def document() -> str:
    """The rules as Markdown."""
    return _HEAD + "".join(f"{_row(rule)}\n" for rule in RULES) + _FOOT


@click.command("rules")
@click.option("--write", "file", type=click.Path(dir_okay=False, path_type=Path), help="Into this file.")
def rules(file: Path | None) -> None:
    """Show the pre-trade rules, or write them into a file."""
    if file is None:
        click.echo(document(), nl=False)
        return
    file.write_text(document(), encoding="utf-8")
    click.echo(f"{file}: {len(RULES)} rules")
