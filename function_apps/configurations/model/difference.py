"""The difference between the values of two versions, key by key. Pure."""

from collections.abc import Iterator

from shared.contracts.configuration_merge import Values, json_text
from shared.contracts.configurations import KeyChange, KeyChangeKind


def changes(before: Values, after: Values) -> Iterator[KeyChange]:
    """Yield each key that was added, changed or removed, in the order of their names."""
    for key in sorted({*before, *after}):
        if key not in before:
            yield KeyChange(key=key, kind=KeyChangeKind.ADDED, after=after[key])
        elif key not in after:
            yield KeyChange(key=key, kind=KeyChangeKind.REMOVED, before=before[key])
        elif json_text(before[key]) != json_text(after[key]):
            yield KeyChange(
                key=key, kind=KeyChangeKind.CHANGED, before=before[key], after=after[key]
            )
