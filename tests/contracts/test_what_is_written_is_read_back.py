import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.contracts.shape import Command
from shared.contracts.validation import parse, pointer, read
from shared.kernel.errors import Invalid
from tests.contracts.published import ANSWERS, BODIES, PAYLOADS, documents, model_nodes

FEW = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
EVERY_TYPE = pytest.mark.parametrize(
    "kind", [*BODIES, *PAYLOADS, *ANSWERS], ids=lambda kind: kind.__name__
)


def allowed(kind: type[BaseModel], document: Any) -> BaseModel:
    """Return *document* as *kind*, or give up on it where only a rule across fields objects."""
    try:
        return parse(kind, json.dumps(document).encode())
    except Invalid as refusal:
        assume(not {detail.code for detail in refusal.details} <= {"RuleBroken", "OutOfBounds"})
        raise


@EVERY_TYPE
@FEW
@given(data=st.data())
def test_what_a_schema_allows_survives_the_wire(kind: type[BaseModel], data: st.DataObject) -> None:
    written = allowed(kind, data.draw(documents(kind)))

    wire = written.model_dump_json().encode()

    assert parse(kind, wire) == written
    assert read(kind, json.loads(wire)) == written
    assert parse(kind, wire).model_dump_json().encode() == wire


@EVERY_TYPE
@FEW
@given(data=st.data())
def test_an_unknown_field_is_refused_in_commands_and_left_out_elsewhere(
    kind: type[BaseModel], data: st.DataObject
) -> None:
    document = data.draw(documents(kind))
    known = allowed(kind, document)
    canonical = json.loads(known.model_dump_json())
    place = data.draw(st.sampled_from(typed_nodes(known, canonical)))
    node = canonical
    for step in place:
        node = node[step]
    node["addedInAYear"] = 1

    if issubclass(kind, Command):
        with pytest.raises(Invalid) as refused:
            parse(kind, json.dumps(canonical).encode())
        assert [(detail.code, detail.target) for detail in refused.value.details] == [
            ("UnknownField", pointer(*place, "addedInAYear"))
        ]
    else:
        assert parse(kind, json.dumps(canonical).encode()) == known
        assert read(kind, canonical) == known


def typed_nodes(value: BaseModel, document: Any) -> list[tuple[str | int, ...]]:
    """Return where objects with a type of their own stand; free JSON and maps take any name."""

    def is_typed(place: tuple[str | int, ...]) -> bool:
        at: Any = value
        for step in place:
            if isinstance(at, BaseModel):
                names = {field.alias or name: name for name, field in type(at).model_fields.items()}
                at = getattr(at, names[str(step)])
            else:
                at = at[step]
        return isinstance(at, BaseModel)

    return [place for place in model_nodes(document) if is_typed(place)]
