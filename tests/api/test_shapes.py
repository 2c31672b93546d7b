"""The documents that leave are those that the types describe, and a schema can be made of them."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from app.api import shapes
from app.api.order_request import AMEND_FIELDS, ORDER_FIELDS
from tests.api.house import Client, House


def _members(shape: type[msgspec.Struct]) -> set[str]:
    return set(shape.__struct_fields__)


def _check(answer: Any, shape: type[msgspec.Struct]) -> None:
    """The document holds exactly the type's members, each of its type, all the way down."""
    assert answer.status_code < 500
    decoded = msgspec.json.decode(answer.data, type=shape)
    assert msgspec.to_builtins(decoded) == {
        **msgspec.to_builtins(decoded),
        **{name: value for name, value in (answer.json or {}).items() if not isinstance(value, (list, dict))},
    }
    _same_members(answer.json, msgspec.json.decode(msgspec.json.encode(decoded)))


def _same_members(sent: Any, known: Any) -> None:
    if isinstance(sent, dict):
        assert sent.keys() == known.keys()
        for name in sent:
            _same_members(sent[name], known[name])
    elif isinstance(sent, list):
        assert len(sent) == len(known)
        for one, other in zip(sent, known, strict=True):
            _same_members(one, other)
    else:
        assert sent == known


def test_every_answer_is_of_its_shape(house: House, ann: Client) -> None:
    order = ann.order(max_wait_seconds=60)
    with house.working() as worker:
        worker.send(order)
        worker.fill(order, "4", "150")
    path = f"/orders/{order['id']}"
    _check(ann.submit(), shapes.Order)
    _check(ann.get("/orders"), shapes.Orders)
    _check(ann.get(path), shapes.OrderWithFills)
    _check(ann.get(f"{path}/audit"), shapes.AuditEntries)
    _check(ann.get("/events"), shapes.Events)
    _check(ann.get("/fills"), shapes.Fills)
    _check(ann.get("/positions"), shapes.Positions)
    _check(ann.get("/account"), shapes.Account)
    _check(ann.get("/instruments"), shapes.Instruments)
    _check(ann.get("/quotes/AAPL"), shapes.Quote)
    _check(ann.post(f"{path}/cancel"), shapes.Order)
    _check(ann.post("/orders/cancel-all"), shapes.Requested)
    assert msgspec.json.decode(ann.submit(quantity="x").data, type=shapes.ProblemDocument).errors


def test_requests_have_the_members_that_are_read() -> None:
    assert tuple(shapes.OrderRequest.__struct_fields__) == ORDER_FIELDS
    assert _members(shapes.AmendRequest) == set(AMEND_FIELDS)


def test_a_schema_can_be_made_of_all_shapes() -> None:
    described = [
        one
        for _, one in inspect.getmembers(shapes, inspect.isclass)
        if issubclass(one, msgspec.Struct) and one is not shapes.Page and one.__module__ == shapes.__name__
    ]
    references, components = msgspec.json.schema_components(described, ref_template="#/components/schemas/{name}")
    assert len(list(references)) == len(described)
    order = components["Order"]
    assert set(order["required"]) == _members(shapes.Order)
    assert components["OrderRequest"]["additionalProperties"] is False
    assert components["OrderRequest"]["required"] == ["symbol", "side", "quantity", "order_type"]


@pytest.mark.parametrize("shape", [shapes.OrderRequest, shapes.Order, shapes.Event, shapes.Account, shapes.AuditEntry])
def test_every_shape_says_what_it_is(shape: type[msgspec.Struct]) -> None:
    assert inspect.getdoc(shape)
