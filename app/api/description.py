"""What a route says about itself: the shapes it takes and gives. The OpenAPI document is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE = "surefill_operation"


@dataclass(frozen=True, slots=True)
class Header:
    """A header of a request or an answer; `shape` is the type of its value."""

    shape: Any
    meaning: str
    required: bool = False
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the query, or a part of the path; `shape` is the type of its value."""

    shape: Any
    meaning: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call of the API.

    `answers` maps a status to the type of its document; None is an answer without one. `problems` are the statuses
    that are problem documents beyond those that every call may have. `media` names other media types of a success.
    """

    group: str
    answers: Mapping[int, Any]
    scope: str | None = None
    """The scope that the key needs; None: no key."""
    query: Mapping[str, Parameter] = field(default_factory=dict)
    path: Mapping[str, Parameter] = field(default_factory=dict)
    headers: Mapping[str, Header] = field(default_factory=dict)
    body: Any = None
    body_required: bool = True
    examples: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Bodies that a test sends: name -> body. Each must be answered with the first status of `answers`."""
    problems: tuple[int, ...] = ()
    answer_headers: Mapping[int, Mapping[str, Header]] = field(default_factory=dict)
    media: tuple[str, ...] = ("application/json",)
    conditional: bool = False
    """It has an ETag, and If-None-Match is answered with 304."""


def described(operation: Operation) -> Callable[[View], View]:
    """Attach the description to a view function. Its docstring is the summary."""

    def attach(view: View) -> View:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return attach


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """What the view says about itself; None when it says nothing."""
    operation: Operation | None = getattr(view, _ATTRIBUTE, None)
    return operation
