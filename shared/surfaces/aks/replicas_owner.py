"""Gives the number of a revision's replicas to the cluster's own rules, and takes it back.

Who writes the number is one at each moment: the annotation changes together with the ownership of
the field, and the scaler is there only while the annotation says so.
"""

import copy
from collections.abc import Mapping

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.fence import Fence
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import AUTOSCALERS, DEPLOYMENTS, Kind
from shared.surfaces.aks.names import Installation, revision_name
from shared.surfaces.aks.observation import applied_spec
from shared.surfaces.aks.records import Records
from shared.surfaces.aks.scalers import (
    KEDA_PREFIX,
    MINIMUM,
    OWNER,
    SCALED_OBJECTS,
    Bounds,
    bounds_by_deployment,
    minimum_of,
    owner_of,
    scaler,
    scaler_kind,
)
from shared.surfaces.aks.server_side_apply import delete, put, refused
from shared.surfaces.aks.waits import wait_until
from shared.surfaces.errors import RevisionMissing
from shared.surfaces.scaling import ReplicasOwner, ScalingRules
from shared.surfaces.spec import SurfaceComponent


@dataclass(frozen=True)
class ClusterScaling:
    """The scaling rules of one installation on a cluster."""

    api: ClusterApi
    installation: Installation
    records: Records
    clock: Clock

    async def set_rules(
        self,
        component: SurfaceComponent,
        revision: int,
        rules: ScalingRules | None,
        fence: Fence,
        *,
        has_events: bool,
    ) -> None:
        """As `NativeScaling.set_scaling`; *has_events* where the cluster serves ScaledObjects.

        Raises also WriteConflict, FieldTaken, ObjectRefused, ApiAway.
        """
        await self.records.fenced(component, fence)
        namespace = self.installation.namespace(component.environment, component.tenant)
        present = await self.api.get(DEPLOYMENTS, revision_name(component, revision), namespace)
        if present is None:
            raise RevisionMissing(f"revision {revision} of {component.module} does not exist here")
        kinds = {AUTOSCALERS, SCALED_OBJECTS} if has_events else {AUTOSCALERS}
        if rules is None:
            await self._end_scalers(present, kinds)
            if owner_of(present) is ReplicasOwner.SURFACE:
                await self._give(present, None)
            return
        manifest = scaler(applied_spec(present), rules, self.installation, present)
        kind = scaler_kind(rules)
        found = await self.api.get(kind, present["metadata"]["name"], namespace)
        await put(self.api, kind, manifest, found, dry_run=True)  # refused before anything changes
        await self.records.fenced(component, fence)
        await self._end_scalers(present, kinds - {kind})
        within = max(rules.minimum, min(int(present["spec"]["replicas"]), rules.maximum))
        if within != present["spec"]["replicas"]:
            present = await self._merge(present, {"spec": {"replicas": within}})
        if _is_owned(present) or minimum_of(present) != rules.minimum:
            await self._give(present, ReplicasOwner.SURFACE, str(rules.minimum))
        await self.records.fenced(component, fence)
        await put(self.api, kind, manifest, found)

    async def bounds(self, namespace: str, *, has_events: bool) -> Mapping[str, Bounds]:
        """Return between which numbers each Deployment of *namespace* is scaled, by anybody."""
        autoscalers, _ = await self.api.list_all(
            AUTOSCALERS, {}, namespace=namespace, keep=lambda each: each
        )
        scaled: list[Object] = []
        if has_events:
            scaled, _ = await self.api.list_all(
                SCALED_OBJECTS, {}, namespace=namespace, keep=lambda each: each
            )
        return bounds_by_deployment(autoscalers, scaled)

    async def _give(
        self, deployment: Object, owner: ReplicasOwner | None, minimum: str | None = None
    ) -> None:
        """Let nobody own the number, which so stays as it is, and say who writes it from now on."""
        said = {OWNER: owner, MINIMUM: minimum}
        metadata = {"managedFields": _disowned(deployment), "annotations": said}
        await self._merge(deployment, {"metadata": metadata})

    async def _end_scalers(self, deployment: Object, kinds: set[Kind]) -> None:
        """Delete what scales *deployment*, and return when KEDA has ended what it made for that."""
        name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        for kind in kinds:
            found = await self.api.get(kind, name, namespace)
            if found is not None:
                await delete(self.api, kind, found)

        ending = [(kind, name) for kind in kinds]
        if SCALED_OBJECTS in kinds:
            ending.append((AUTOSCALERS, f"{KEDA_PREFIX}{name}"))

        async def has_none() -> bool:
            return not any([await self.api.get(kind, each, namespace) for kind, each in ending])

        await wait_until(has_none, self.clock, f"what scales {name} is still ending")

    async def _merge(self, found: Object, patch: Object) -> Object:
        metadata = found["metadata"]
        changed = {**patch.get("metadata", {}), "resourceVersion": metadata["resourceVersion"]}
        try:
            return await self.api.merge(
                DEPLOYMENTS,
                metadata["name"],
                metadata["namespace"],
                {**patch, "metadata": changed},
            )
        except ApiRefusal as refusal:
            raise refused(refusal, f"Deployment {metadata['name']}") from refusal


def _disowned(deployment: Object) -> list[Object]:
    """Return who manages which field of *deployment*, its number of replicas left out."""
    entries = copy.deepcopy(deployment["metadata"].get("managedFields", []))
    for entry in entries:
        spec = entry["fieldsV1"].get("f:spec", {})
        if spec.pop("f:replicas", None) is not None and not spec:
            del entry["fieldsV1"]["f:spec"]
    return [entry for entry in entries if entry["fieldsV1"]]


def _is_owned(deployment: Object) -> bool:
    """Return whether we own the number, so that an apply without it would make it 1."""
    return any(
        entry["operation"] == "Apply" and "f:replicas" in entry["fieldsV1"].get("f:spec", {})
        for entry in deployment["metadata"].get("managedFields", [])
    )
