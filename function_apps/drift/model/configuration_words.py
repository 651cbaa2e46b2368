"""The word of a value of configuration: what is kept, compared and shown of it. Pure.

A number, a boolean, null or a reference to a secret as JSON; anything else, and a number under the
name of a secret, by the digest of its JSON. So drift keeps nobody's texts.
"""

import hashlib
import math
from typing import Any, Final

from pydantic import ValidationError

from shared.contracts.configuration_merge import Values, json_text
from shared.contracts.configuration_values import is_secret_by_name
from shared.contracts.configurations import SecretReference

_NUMBER_MAX: Final = 64
"""Characters of a number that is shown."""


def words_of(values: Values) -> dict[str, str]:
    """Return the word of each of *values*."""
    return {key: _word(key, value) for key, value in values.items()}


def _word(key: str, value: Any) -> str:
    plain = _plain(value)
    text = json_text(plain)
    if plain is None or isinstance(plain, bool) or _is_reference(plain):
        return text
    is_number = isinstance(plain, int | float) and len(text) <= _NUMBER_MAX
    if is_number and not is_secret_by_name(key):
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _is_reference(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    try:
        SecretReference.model_validate(value)
    except ValidationError:
        return False
    return True


def _plain(value: Any) -> Any:
    """Return *value* with one way to write each number: `1.0` is 1, as JSON has it."""
    match value:
        case dict():
            return {key: _plain(part) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case float() if math.isfinite(value) and value.is_integer():
            return int(value)
        case _:
            return value
