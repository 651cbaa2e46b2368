"""JSON Schema 2020-12 of the merged values. Pure: a schema reads nothing from elsewhere.

Checked by `jsonschema-rs`. Patterns are those of its linear engine and compile to little, so that
one takes time as its text is long; one with a look-around or a back reference is refused.
https://json-schema.org/draft/2020-12
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.configuration_merge import Merge, json_text
from shared.contracts.configurations import ConfigurationLayer
from shared.contracts.schema_cost import cost_violation, is_too_costly
from shared.contracts.validation import pointer
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Violation

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MISFITS_MAX: Final = 50
"""As many are named at once."""
_TEXT_MAX: Final = 300
_SHOWN_MAX: Final = 120
_PATTERN_BYTES: Final = 2**16
"""Of a compiled pattern, and of its cache."""


@dataclass(frozen=True)
class Misfit:
    """A value of a merge that does not fit the schema of one of its layers.

    `at` is its place in the values, empty for all of them. `given_by` is the layer that gave it;
    that of the schema, where no layer gives what is required.
    """

    at: str
    given_by: ConfigurationLayer
    schema_of: ConfigurationLayer
    reason: str
    expected: str
    received: str = ""
    code: str = field(kw_only=True)


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


def misfits(merged: Merge) -> Sequence[Misfit]:
    """Return where *merged* does not fit the schemas of its layers; at most 50."""
    found = (each for layer, schema in merged.schemas for each in _misfits(layer, schema, merged))
    return [*islice(found, MISFITS_MAX)]


def merge_violations(merged: Merge, module: str) -> Sequence[Violation]:
    """Return where the values of *module* do not fit the schemas of its layers; at most 50."""
    return [
        Violation(
            each.code,
            f"/values{each.at}",
            f"{module}, by the schema of its {each.schema_of} layer: /values{each.at} of its"
            f" {each.given_by} layer: {each.reason}",
            each.expected,
            each.received,
        )
        for each in misfits(merged)
    ]


def _misfits(
    layer: ConfigurationLayer, schema: Mapping[str, Any], merged: Merge
) -> Iterator[Misfit]:
    if is_too_costly(schema, merged.values):
        reason = "it has too many parts for values as many as these; shorten one of them"
        yield Misfit("", layer, layer, reason, "a shorter schema, or less", code="SchemaTooCostly")
        return
    for problem in _validator(schema).iter_errors(dict(merged.values)):
        path = problem.instance_path
        given_by = merged.layer_of.get(str(path[0]), layer) if path else layer
        is_absent = problem.kind.name == "required"
        yield Misfit(
            pointer(*path),
            given_by,
            layer,
            _text(problem),
            _expected(problem, schema),
            "nothing" if is_absent else json_text(problem.instance)[:_SHOWN_MAX],
            code="SchemaViolated",
        )


def _expected(problem: "ValidationError", schema: Mapping[str, Any]) -> str:
    """Return what the schema says at the place that *problem* does not fit.

    Of a place that the library does not name as the schema does, only the kind is said: it drops
    empty names, and has names of digits as numbers.
    """
    part: Any = schema
    for step in problem.schema_path:
        if isinstance(part, Mapping) and str(step) in part:
            part = part[str(step)]
        elif isinstance(part, list) and isinstance(step, int) and step < len(part):
            part = part[step]
        else:
            return problem.kind.name
    return f"{problem.kind.name}: {json_text(part)}"[:_SHOWN_MAX]


def _validator(schema: Mapping[str, Any]) -> "Validator":
    from jsonschema_rs import Draft202012Validator, RegexOptions  # noqa: PLC0415  at first use

    patterns = RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES)
    return Draft202012Validator(dict(schema), retriever=_read_nothing, pattern_options=patterns)


def _read_nothing(uri: str) -> Any:
    raise ValueError(f"{uri} is not read: a schema stands by itself, with what it needs in $defs")


def _text(problem: Exception) -> str:
    """Return the first sentence of *problem*, without the values that it may quote at length."""
    return str(getattr(problem, "message", problem)).splitlines()[0][:_TEXT_MAX]
