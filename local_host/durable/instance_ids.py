"""Which instances and entities there may be: those that the management endpoints can address."""

import re
from typing import Final

INSTANCE_ID_MAX: Final = 256
_FORBIDDEN: Final = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def id_refusal(instance_id: str) -> str | None:
    """Return why the extension starts no instance with *instance_id*, None when it does."""
    if len(instance_id) > INSTANCE_ID_MAX:
        return f"an instance id has at most {INSTANCE_ID_MAX} characters, got {len(instance_id)}"
    if instance_id.startswith("@"):
        return f"an instance id may not begin with @, got {instance_id!r}"
    if found := _FORBIDDEN.search(instance_id):
        return (
            f"an instance id may not contain / \\ # ? or control characters, got {found[0]!r} in "
            f"{instance_id!r}"
        )
    return None


def key_refusal(entity: str) -> str | None:
    """Return why the extension signals no *entity*, `@name@key`; None when it does."""
    if found := _FORBIDDEN.search(entity):
        return (
            f"an entity key may not contain / \\ # ? or control characters, got {found[0]!r} in "
            f"{entity!r}"
        )
    return None
