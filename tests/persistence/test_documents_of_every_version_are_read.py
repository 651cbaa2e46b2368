"""The document codec: earlier and later versions of a program read each other's documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import pytest

from shared.kernel.clock import isoformat
from shared.persistence.codec import DocumentCodec, UnreadableDocument
from tests.kit.virtual_time import EPOCH


class Colour(StrEnum):
    RED = "Red"
    BLUE = "Blue"


@dataclass(frozen=True)
class Part:
    name: str
    count: int = 1


@dataclass(frozen=True)
class Thing:
    name: str
    made_at: datetime
    colour: Colour = Colour.RED
    parts: tuple[Part, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def _due(thing: Thing) -> Mapping[str, Any]:
    return {"dueAt": isoformat(thing.made_at)}


THINGS: Final = DocumentCodec(Thing, "thing", key="name", queried=_due)
THING: Final = Thing("a", EPOCH, Colour.BLUE, (Part("wheel", 4),), {"x": "y"})
BODY: Final = THINGS.encode(THING)


def test_a_document_carries_its_type_its_schema_and_what_queries_use() -> None:
    assert (BODY["type"], BODY["schema"], BODY["dueAt"]) == ("thing", 1, isoformat(EPOCH))


def test_a_value_is_read_back_equal() -> None:
    assert THINGS.decode(BODY) == THING


@pytest.mark.parametrize("name", ["colour", "parts", "labels", "schema", "dueAt"])
def test_a_field_that_was_added_later_takes_its_default(name: str) -> None:
    older = {key: value for key, value in BODY.items() if key != name}
    default = getattr(Thing("a", EPOCH), name, None)

    found = THINGS.decode(older)

    assert getattr(found, name, None) == default
    assert found.name == THING.name


def test_a_field_inside_another_takes_its_default_too() -> None:
    assert THINGS.decode({**BODY, "parts": [{"name": "wheel"}]}).parts == (Part("wheel", 1),)


def test_a_field_that_has_another_name_since_keeps_that_of_its_documents() -> None:
    renamed = replace(THINGS, stored_as={"colour": "paint", "parts": "pieces"})

    body = renamed.encode(THING)

    assert {"paint": "Blue", "pieces": BODY["parts"]}.items() <= body.items()
    assert not {"colour", "parts"} & body.keys()
    assert renamed.decode(body) == THING


def test_unknown_fields_are_left_out_at_every_depth() -> None:
    newer = {**BODY, "size": 3, "parts": [{"name": "wheel", "count": 4, "size": 3}]}

    assert THINGS.decode(newer) == THING


def _named(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "name": body["title"]}


def _blue(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "colour": body["colour"].capitalize()}


OF_SCHEMA_3: Final = DocumentCodec(
    Thing, "thing", key="name", schema=3, upgrades={1: _named, 2: _blue}
)
UPGRADED = {
    "1": {"title": "a", "made_at": BODY["made_at"], "colour": "blue"},
    "2": {"schema": 2, "name": "a", "made_at": BODY["made_at"], "colour": "blue"},
    "3": {"schema": 3, "name": "a", "made_at": BODY["made_at"], "colour": "Blue"},
}


@pytest.mark.parametrize("body", UPGRADED.values(), ids=UPGRADED.keys())
def test_every_earlier_schema_is_upgraded_step_by_step(body: dict[str, Any]) -> None:
    assert OF_SCHEMA_3.decode(body) == Thing("a", EPOCH, Colour.BLUE)


UNREADABLE: dict[str, dict[str, Any]] = {
    "of-a-later-schema": {"schema": 2},
    "of-schema-zero": {"schema": 0},
    "of-a-schema-that-is-no-number": {"schema": "two"},
    "without-a-required-field": {"name": None},
    "with-a-value-of-another-type": {"parts": 7},
    "with-an-unknown-word": {"colour": "Purple"},
}


@pytest.mark.parametrize("damage", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_document_that_cannot_be_read_says_its_type(damage: dict[str, Any]) -> None:
    with pytest.raises(UnreadableDocument, match="type thing"):
        THINGS.decode({**BODY, **damage})


def test_an_upgrade_that_finds_no_field_is_an_unreadable_document_and_no_other_error() -> None:
    with pytest.raises(UnreadableDocument):
        OF_SCHEMA_3.decode({"made_at": BODY["made_at"]})


def test_documents_that_must_stay_small_leave_their_defaults_out() -> None:
    small = DocumentCodec(Thing, "thing", key="name", omits_defaults=True)

    assert set(small.encode(Thing("a", EPOCH))) == {"name", "made_at", "type", "schema"}
    assert small.decode(small.encode(Thing("a", EPOCH))) == Thing("a", EPOCH)
