"""The shapes of the published language: value, command, event payload, resource.

JSON is camelCase by alias, Python is snake_case. Commands refuse unknown fields at every depth,
events and resources tolerate them at every depth, so that an optional field can be added without
a new type. Everything is frozen; lists are tuples.
"""

from functools import cache
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import ExtraValues


class Value(BaseModel):
    """A part of a command, event or resource; equal when its fields are."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=cache(to_camel),  # the same name stands in many types
        populate_by_name=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
        defer_build=True,  # an app imports all types at its cold start, and uses some
    )


class Command(Value):
    """A request to change something, over HTTP or the command queue; VerbNoun."""


class _Tolerant(Value):
    """Read with unknown fields left out, also those of the values inside it."""

    model_config = ConfigDict(extra="ignore")

    @classmethod
    def model_validate(cls, obj: Any, *, extra: ExtraValues | None = None, **how: Any) -> Self:
        return super().model_validate(obj, extra=extra or "ignore", **how)

    @classmethod
    def model_validate_json(
        cls, json_data: str | bytes | bytearray, *, extra: ExtraValues | None = None, **how: Any
    ) -> Self:
        return super().model_validate_json(json_data, extra=extra or "ignore", **how)


class Event(_Tolerant):
    """The payload of an event, NounVerbPast: an aggregate's whole public state after a change.

    A consumer applies it only if `revision` is newer than the last it applied of `aggregate_id`.
    At most 192 KB as JSON; a longer list is cut at a bound, with the whole in a blob by digest.
    """

    aggregate_id: Annotated[str, Field(min_length=1, max_length=160)]
    revision: Annotated[int, Field(ge=1)]
    """The aggregate's version after the change."""


class ForeignEvent(_Tolerant):
    """An event of another platform; without a revision, so its consumers keep inbox rows."""


class Resource(_Tolerant):
    """The answer of a GET; has `status` in PascalCase where the thing has states."""
