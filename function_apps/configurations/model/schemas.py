"""JSON Schema 2020-12 of the merged values. Pure: a schema reads nothing from elsewhere.

Checked by `jsonschema-rs`. Patterns are those of its linear engine and compile to little, so that
one takes time as its text is long; one with a look-around or a back reference is refused.
https://json-schema.org/draft/2020-12
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from function_apps.configurations.model.schema_cost import cost_violation, is_too_costly
from shared.contracts.configuration_merge import Merge
from shared.contracts.validation import pointer
from shared.kernel.errors import Violation

if TYPE_CHECKING:
    from jsonschema_rs import Validator

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
VIOLATIONS_MAX: Final = 50
_TEXT_MAX: Final = 300
_PATTERN_BYTES: Final = 2**16
"""Of a compiled pattern, and of its cache."""


def schema_violations(schema: Mapping[str, Any]) -> Sequence[Violation]:
    """Return what makes *schema* no JSON Schema 2020-12 that stands by itself; at most one."""
    dialect = schema.get("$schema", DIALECT)
    if dialect != DIALECT:
        return [
            Violation(
                "NotAllowed", "/schema/$schema", f"expected {DIALECT}, or nothing",
                DIALECT, str(dialect)[:_TEXT_MAX],
            )
        ]  # fmt: skip
    if too_costly := cost_violation(schema):
        return [too_costly]
    from jsonschema_rs import ReferencingError, ValidationError  # noqa: PLC0415  at first use

    try:
        _validator(schema)
    except ValidationError as problem:
        at = pointer("schema", *problem.instance_path)
        return [Violation("SchemaInvalid", at, _text(problem), "JSON Schema 2020-12")]
    except (ReferencingError, ValueError) as problem:
        return [Violation("SchemaInvalid", "/schema", _text(problem), "JSON Schema 2020-12")]
    return []


def merge_violations(merged: Merge, module: str) -> Sequence[Violation]:
    """Return where the values of *module* do not fit the schemas of its layers; at most 50."""
    found = (
        violation
        for layer, schema in merged.schemas
        for violation in _misfits(schema, merged, f"{module}, by the schema of its {layer} layer")
    )
    return [*islice(found, VIOLATIONS_MAX)]


def _misfits(schema: Mapping[str, Any], merged: Merge, who: str) -> Iterator[Violation]:
    if is_too_costly(schema, merged.values):
        message = f"{who}: it has too many parts for values as many as these; shorten one of them"
        yield Violation("SchemaTooCostly", "/values", message)
        return
    for problem in _validator(schema).iter_errors(dict(merged.values)):
        at = pointer("values", *problem.instance_path)
        yield Violation("SchemaViolated", at, f"{who}: {at or '/values'}: {_text(problem)}")


def _validator(schema: Mapping[str, Any]) -> "Validator":
    from jsonschema_rs import Draft202012Validator, RegexOptions  # noqa: PLC0415  at first use

    patterns = RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES)
    return Draft202012Validator(dict(schema), retriever=_read_nothing, pattern_options=patterns)


def _read_nothing(uri: str) -> Any:
    raise ValueError(f"{uri} is not read: a schema stands by itself, with what it needs in $defs")


def _text(problem: Exception) -> str:
    """Return the first sentence of *problem*, without the values that it may quote at length."""
    return str(getattr(problem, "message", problem)).splitlines()[0][:_TEXT_MAX]
