"""What an operation's orchestration is started with: one dataclass, camelCase JSON outside.

The use case that starts the operation writes it, the orchestration reads it and hands it on to its
activities, so the three cannot differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel


@dataclass(frozen=True)
class OperationInput:
    """The base of every such dataclass. Its fields are the contract with running instances."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True
    )

    @classmethod
    def read(cls, given: Any) -> Self:
        """Return what *given*, an orchestration's input, says."""
        return TypeAdapter(cls).validate_python(given)

    def written(self) -> Mapping[str, Any]:
        """Return the JSON object with which the orchestration is started."""
        written: Mapping[str, Any] = TypeAdapter(type(self)).dump_python(
            self, mode="json", by_alias=True
        )
        return written
