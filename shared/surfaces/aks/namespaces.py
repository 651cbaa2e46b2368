"""The namespaces of tenants, and which of those that the cluster has the platform made itself.

Their names can be computed from ids and their labels be written by anybody, so who may create
namespaces can make one first, or again after somebody deleted ours. What counts is the uid, in the
record of the site. One whose writer was killed before it recorded the uid is known by its mark: a
digest with the uid of the record, which nobody reads but the platform.
"""

from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import NAMESPACES
from shared.surfaces.aks.names import MARK, Installation, digest_of
from shared.surfaces.aks.records import Records
from shared.surfaces.aks.server_side_apply import get_undeleted, refused
from shared.surfaces.errors import NamespaceTaken


@dataclass(frozen=True)
class Namespaces:
    """The namespaces of one installation."""

    api: ClusterApi
    installation: Installation
    records: Records

    async def find(self, environment: EnvironmentId, tenant: TenantId) -> Object | None:
        """Return the namespace of *tenant*, to be written in; None where there is none.

        Raises:
            NamespaceTaken: somebody else made it.
            WriteConflict.
            Unavailable: it is still being deleted.
        """
        name = self.installation.namespace(environment, tenant)
        found = await get_undeleted(self.api, NAMESPACES, name)
        if found is None:
            return None
        uid = found["metadata"]["uid"]
        if not await self.is_ours(environment, found):
            raise NamespaceTaken(
                f"the platform did not make the namespace {name} that is there (uid {uid}): look"
                " at what is in it and delete it, then try again; let nobody else create"
                " namespaces of such names"
            )
        await self.records.note_namespace(environment, name, uid)
        return found

    async def create(self, environment: EnvironmentId, manifest: Object) -> None:
        """Make the namespace of *manifest*, which was absent.

        Raises:
            ObjectRefused, Unavailable.
            WriteConflict: also if there is one meanwhile.
        """
        name = manifest["metadata"]["name"]
        mark = await self._mark(environment, name)
        marked = {**manifest["metadata"].get("annotations", {}), MARK: mark}
        metadata = {**manifest["metadata"], "annotations": marked}
        try:
            made = await self.api.create(NAMESPACES, {**manifest, "metadata": metadata})
        except ApiRefusal as refusal:
            raise refused(refusal, f"Namespace {name}") from refusal
        await self.records.note_namespace(environment, name, made["metadata"]["uid"])

    async def is_ours(self, environment: EnvironmentId, found: Object) -> bool:
        """Return whether the platform made the namespace *found*."""
        metadata = found["metadata"]
        record, _ = await self.records.site_and_uid(environment)
        if record is None:
            return False  # the mark of no record is one that anybody computes
        if record.namespaces.get(metadata["name"]) == metadata["uid"]:
            return True
        mark = (metadata.get("annotations") or {}).get(MARK)
        return mark is not None and mark == await self._mark(environment, metadata["name"])

    async def _mark(self, environment: EnvironmentId, name: str) -> str:
        """Return the mark of the next namespace *name*; each that is recorded has another."""
        record, uid = await self.records.site_and_uid(environment)
        before = "" if record is None else record.namespaces.get(name, "")
        return digest_of(uid, name, before, length=40)
