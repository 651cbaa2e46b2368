"""Applies objects as one field manager, and says by name why the cluster does not take one."""

from http import HTTPStatus
from typing import Final

from shared.kernel.errors import Unavailable
from shared.surfaces.aks.cluster_api import ApiRefusal, ClusterApi, Kind, Object
from shared.surfaces.aks.names import MANAGER
from shared.surfaces.errors import FieldTaken, ObjectRefused

_OWNERS_MAX: Final = 5
_LATER_S: Final = 15.0
"""A role that is given now counts at once, but somebody must give it."""


class WriteConflict(Exception):
    """The object has changed since it was read, or was made or removed meanwhile: read it again."""


async def apply(api: ClusterApi, kind: Kind, manifest: Object) -> Object:
    """Apply *manifest* and return the object as it is then.

    What we wrote ourselves by other means (a scale) is taken over. What others own is theirs.

    Raises:
        FieldTaken: others own fields of it, with other values.
        WriteConflict, ObjectRefused, Unavailable.
    """
    try:
        try:
            return await api.apply(kind, manifest)
        except ApiRefusal as refusal:
            if refusal.is_of_fields and not _owned_by_others(refusal):
                return await api.apply(kind, manifest, force=True)
            raise
    except ApiRefusal as refusal:
        raise refused(refusal, f"{kind.name} {manifest['metadata']['name']}") from refusal


def refused(refusal: ApiRefusal, what: str) -> Exception:
    """Return the error of the port, or `WriteConflict`, for the *refusal* of a write of *what*."""
    if refusal.is_of_fields:
        owned = _owned_by_others(refusal)
        fields = "; ".join(f"{field} is owned by {owner}" for field, owner in owned[:_OWNERS_MAX])
        return FieldTaken(f"{what}: {fields}. Let its owner give the field up, or its value agree")
    if refusal.status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
        return WriteConflict(refusal.message)
    if refusal.status == HTTPStatus.FORBIDDEN and " cannot " in refusal.message:
        return Unavailable(
            f"the platform's role on the cluster does not allow it: {refusal.message}",
            retry_after_s=_LATER_S,
        )
    return ObjectRefused(f"the cluster refuses {what}: {refusal.message}")


def _owned_by_others(refusal: ApiRefusal) -> list[tuple[str, str]]:
    """Return each field that somebody else owns, with the owner."""
    owned = []
    for cause in refusal.causes:
        # conflict with "kubectl-edit" using apps/v1
        owner = cause.get("message", "").partition('"')[2].partition('"')[0] or "another manager"
        if owner != MANAGER:
            owned.append((cause.get("field", "a field"), owner))
    return owned
