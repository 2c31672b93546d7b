"""How errors name what the client sent: shortened, printable, with the likely word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from app.domain.denials import Denial
from app.sign_ins import SHOWN_OF_KEY
from app.storage.api_keys import KEY_PREFIX

_LONGEST = 40
# Errors become rows of the audit log, which are there for good and read by others: a key that somebody sends in the
# wrong field must not be among them, nor so much of it that the rest can be guessed.
_KEY = re.compile(rf"({KEY_PREFIX}[A-Za-z0-9_-]{{{SHOWN_OF_KEY - len(KEY_PREFIX)}}})[A-Za-z0-9_-]+", re.IGNORECASE)

# What other interfaces call our fields.
_OTHER_NAMES = {
    "qty": "quantity",
    "size": "quantity",
    "amount": "quantity",
    "type": "order_type",
    "tif": "time_in_force",
    "limit_price": "price",
    "stop_price": "price",
    "ticker": "symbol",
    "instrument": "symbol",
}


def shown(text: str) -> str:
    """Foreign text for use inside a sentence: nothing unprintable, nothing long, of an API key its beginning."""
    text = _KEY.sub(r"\1…", text)
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant."""
    if len(word) > _LONGEST:
        return None
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown_field(name: str, known: tuple[str, ...]) -> Denial:
    other = _OTHER_NAMES.get(name.lower())
    meant = other if other in known else nearest(name.lower(), known)
    if meant:
        suggestion = f"Did you mean {meant}?"
    elif known:
        suggestion = f"Leave it out. Known are: {', '.join(known)}."
    else:
        suggestion = "Leave it out."
    return Denial("UNKNOWN_FIELD", f"There is no field {shown(name)}.", suggestion, shown(name))


def one_of(field: str, text: str, words: tuple[str, ...]) -> Denial:
    """An error for a word that is not one of the field's."""
    meant = nearest(text.upper(), words)
    suggestion = f"Did you mean {meant}?" if meant else f"Use one of {', '.join(words)}."
    message = f"{field} is {shown(text) or 'empty'}; it must be one of {', '.join(words)}."
    return Denial("INVALID_VALUE", message, suggestion, field)
