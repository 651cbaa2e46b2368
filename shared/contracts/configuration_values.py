"""The forms of a value: JSON, a reference to a secret, or a feature flag. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from shared.contracts.configuration_merge import Values
from shared.contracts.configurations import FlagValue, SecretReference
from shared.contracts.shape import Value
from shared.contracts.validation import pointer, read
from shared.kernel.errors import Invalid, Violation

_FORMS: Final[dict[str, type[Value]]] = {"secret": SecretReference, "flag": FlagValue}
"""An object with one of these fields is of that form, and has no other field."""
_SECRET: Final = re.compile(
    r"(?:^|.*[a-z0-9_.:-])?(?:passwords?|passwd|pwd|secrets?|tokens?|credentials?|"
    r"(?:api|access|account|private|signing)[_.-]?keys?|connection[_.-]?strings?)",
    re.IGNORECASE,
)
"""The name of what is a secret: it ends with such a word (`tokenEndpoint` does not)."""


def value_violations(values: Values) -> Sequence[Violation]:
    """Return what may not stand in *values*: a malformed form, or a secret as plain text."""
    return [
        violation
        for key, value in values.items()
        for violation in _violations(key, value, pointer("values", key))
    ]


def is_secret_by_name(name: str) -> bool:
    """Return whether *name* is that of a secret, such as `db.password`."""
    return _SECRET.fullmatch(name) is not None


def _violations(name: str, value: Any, at: str) -> Iterator[Violation]:
    match value:
        case dict():
            forms = [form for field, form in _FORMS.items() if field in value]
            if forms:
                yield from _malformed(forms[0], value, at)
                return
            for field, part in value.items():
                inner = name if is_secret_by_name(name) else field
                yield from _violations(inner, part, at + pointer(field))
        case list():
            for index, part in enumerate(value):
                yield from _violations(name, part, at + pointer(index))
        case str() if value and is_secret_by_name(name):
            expected = 'a reference, {"secret": "<name>"}, or another name'
            yield Violation(
                "SecretAsText", at, f"{name} is a secret by its name: expected {expected}",
                expected, "a string",
            )  # fmt: skip
        case _:
            pass


def _malformed(form: type[Value], value: Any, at: str) -> Iterator[Violation]:
    try:
        read(form, value, at=at)
    except Invalid as problem:
        yield from problem.details
