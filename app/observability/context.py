"""What a process is working on at this moment: the ids that every line it logs meanwhile carries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_bound: ContextVar[Mapping[str, object]] = ContextVar("surefill_log_context", default={})  # noqa: B039 - never changed


def bound() -> Mapping[str, object]:
    """The fields of this task, request or thread."""
    return _bound.get()


def begin(**fields: object) -> None:
    """A new request or task: these fields and no others."""
    _bound.set(fields)


def bind(**fields: object) -> None:
    """More fields of what is under way."""
    _bound.set({**_bound.get(), **fields})


@contextmanager
def working_on(**fields: object) -> Iterator[None]:
    """These fields beside the others, for a while."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)
