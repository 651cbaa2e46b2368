"""Writes objects as one field manager, and says by name why the cluster does not take one."""

from http import HTTPStatus
from typing import Final

from shared.kernel.errors import Unavailable
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.instances import is_stopping
from shared.surfaces.aks.kinds import Kind
from shared.surfaces.aks.names import MANAGER
from shared.surfaces.errors import FieldTaken, ObjectRefused

_OWNERS_MAX: Final = 5
_GONE_S: Final = 2.0
_LATER_S: Final = 15.0
"""A role that is given now counts at once, but somebody must give it."""


class WriteConflict(Exception):
    """The object has changed since it was read, or was made or removed meanwhile: read it again."""


async def put(
    api: ClusterApi, kind: Kind, manifest: Object, found: Object | None, *, dry_run: bool = False
) -> Object:
    """Write *manifest* over *found*, in the state in which it was read; return the object then.

    None: it was absent, so it is created, and what somebody made meanwhile stays. What we wrote
    ourselves by other means (a scale, or the object when it was created) is taken over. What others
    own is theirs. A *dry_run* is judged whole by the cluster, and writes nothing.

    Raises:
        FieldTaken: others own fields of it, with other values.
        WriteConflict, ObjectRefused, Unavailable.
    """
    name = manifest["metadata"]["name"]
    if found is not None and is_stopping(found):
        raise WriteConflict(f"{kind.name} {name} is being deleted")
    try:
        if found is None:
            return await api.create(kind, manifest, dry_run=dry_run)
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        manifest = {**manifest, "metadata": {**manifest["metadata"], **version}}
        try:
            return await api.apply(kind, manifest, dry_run=dry_run)
        except ApiRefusal as refusal:
            if refusal.is_of_fields and not _owned_by_others(refusal):
                return await api.apply(kind, manifest, force=True, dry_run=dry_run)
            raise
    except ApiRefusal as refusal:
        raise refused(refusal, f"{kind.name} {name}") from refusal


async def delete(api: ClusterApi, kind: Kind, found: Object) -> None:
    """Delete *found* in the state in which it was read; absent is success.

    Raises:
        WriteConflict, ObjectRefused, Unavailable.
    """
    try:
        await api.delete(kind, found)
    except ApiRefusal as refusal:
        raise refused(refusal, f"{kind.name} {found['metadata']['name']}") from refusal


async def get_undeleted(
    api: ClusterApi, kind: Kind, name: str, namespace: str | None = None
) -> Object | None:
    """Return the object; None where there is none.

    Raises:
        Unavailable: it is being deleted, and whatever is written to it goes with it.
    """
    found = await api.get(kind, name, namespace)
    if found is not None and is_stopping(found):
        raise Unavailable(f"{kind.name} {name} is still being deleted", retry_after_s=_GONE_S)
    return found


def refused(refusal: ApiRefusal, what: str) -> Exception:
    """Return the error of the port, or `WriteConflict`, for the *refusal* of a write of *what*."""
    if refusal.is_of_fields:
        owned = _owned_by_others(refusal)
        fields = "; ".join(f"{field} is owned by {owner}" for field, owner in owned[:_OWNERS_MAX])
        return FieldTaken(f"{what}: {fields}. Let its owner give the field up, or its value agree")
    if refusal.status == HTTPStatus.NOT_FOUND and not refusal.names_an_object:
        return ObjectRefused(f"the cluster does not serve {what}: its definition is missing")
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
