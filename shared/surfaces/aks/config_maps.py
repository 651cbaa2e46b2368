"""The ConfigMap of a revision: the texts of its configuration, which nobody can change in it.

It is immutable, and its revision's own: who wants other values deletes it and makes another. So a
pod has what is in it, if it is older than the pod's container and as the spec made it.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from shared.kernel.clock import parse_instant
from shared.kernel.errors import Invalid
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.instances import began_at
from shared.surfaces.aks.kinds import CONFIG_MAPS
from shared.surfaces.aks.names import Installation, revision_name
from shared.surfaces.configuration import ConfigurationTexts, digests_of
from shared.surfaces.spec import RevisionSpec

_CLOCKS: Final = timedelta(seconds=5)
"""Its creation is the API server's time, a container's start its node's."""


def data_of(spec: RevisionSpec) -> Mapping[str, str]:
    """Return the texts of the configuration of *spec*, by name; none where it has none.

    Raises:
        Invalid: the spec names it only.
    """
    if spec.configuration is None:
        return {}
    texts = spec.configuration.texts
    if texts is None:
        raise Invalid(
            f"the configuration of {spec.component.module} has digests only: its texts are needed",
            target="/configuration",
        )
    return {**texts.variables, **texts.files}


async def live_config_maps(
    api: ClusterApi, installation: Installation, specs: Iterable[RevisionSpec]
) -> Mapping[int, Object]:
    """Return the ConfigMaps of *specs* by revision, as they are now; absent ones are left out."""
    found = {}
    for spec in specs:
        component, name = spec.component, revision_name(spec.component, spec.revision)
        namespace = installation.namespace(component.environment, component.tenant)
        if spec.configuration is not None:
            found[spec.revision] = await api.get(CONFIG_MAPS, name, namespace)
    return {revision: each for revision, each in found.items() if each is not None}


def digests_in(found: Object | None, spec: RevisionSpec) -> Mapping[str, str]:
    """Return the digest of each text that the ConfigMap *found* has, by its path.

    What the spec does not name is among them, as a variable.
    """
    found = found or {}
    texts: Mapping[str, str] = {**(found.get("binaryData") or {}), **(found.get("data") or {})}
    files = spec.configuration.files if spec.configuration else {}
    return digests_of(
        ConfigurationTexts(
            {name: str(text) for name, text in texts.items() if name not in files},
            {name: str(text) for name, text in texts.items() if name in files},
        )
    )


def is_older(found: Object | None, pod: Object) -> bool:
    """Return whether the ConfigMap *found* was there when the container of *pod* started."""
    if found is None:
        return False
    made_at = parse_instant(found["metadata"]["creationTimestamp"])
    return made_at <= began_at(pod) + _CLOCKS
