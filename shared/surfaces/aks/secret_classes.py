"""The SecretProviderClass of a revision: what the node's CSI driver mounts from Azure Key Vault.

The driver, with Azure's provider, gets each secret as the identity of the tenant when a pod starts,
and writes it into memory of that pod. The platform names secrets and never reads one. It has no
right to read the Secrets into which the driver copies what pods have as variables.

https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/getting-started/usage
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from shared.kernel.errors import Invalid
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import Kind
from shared.surfaces.aks.names import Installation, revision_name
from shared.surfaces.secret_references import SecretReference
from shared.surfaces.spec import RevisionSpec

GROUP: Final = "secrets-store.csi.x-k8s.io"
DRIVER: Final = "secrets-store.csi.k8s.io"
AUDIENCE: Final = "api://AzureADTokenExchange"
"""Of the tokens with which the provider becomes the identity of a ServiceAccount."""
CLASSES: Final = Kind(f"{GROUP}/v1", "SecretProviderClass", "secretproviderclasses")
_STATUSES: Final = Kind(
    f"{GROUP}/v1", "SecretProviderClassPodStatus", "secretproviderclasspodstatuses"
)
CSI_DRIVERS: Final = Kind("storage.k8s.io/v1", "CSIDriver", "csidrivers", is_namespaced=False)
_VAULT: Final = re.compile(
    r"https://(?P<name>[A-Za-z0-9-]{3,24})\.(?P<cloud>vault\.azure\.net|vault\.azure\.cn"
    r"|vault\.usgovcloudapi\.net)/?"
)
_CLOUDS: Final = {
    "vault.azure.net": {},
    "vault.azure.cn": {"cloudName": "AzureChinaCloud"},
    "vault.usgovcloudapi.net": {"cloudName": "AzureUSGovernmentCloud"},
}


def class_spec(
    spec: RevisionSpec, installation: Installation, identity: str, directory: str
) -> Object | None:
    """Return the `spec` of the class; None where *spec* has no secrets.

    *identity* is the client id of the tenant's identity, *directory* that of Entra (tenant id).

    Raises:
        Invalid: they are of two vaults, or of none of Azure.
    """
    if not spec.secrets:
        return None
    vaults = sorted({each.vault.removesuffix("/") for each in spec.secrets})
    match = _VAULT.fullmatch(vaults[0])
    if match is None or len(vaults) > 1:
        raise Invalid(
            f"secrets of {spec.component.module} must be of one Azure Key Vault on AKS, such as"
            f" https://NAME.vault.azure.net, got {', '.join(vaults)[:200]}",
            target="/secrets",
        )
    parameters = {
        "clientID": identity,
        "keyvaultName": match["name"],
        "tenantID": directory,
        **_CLOUDS[match["cloud"]],
        "objects": "".join(("array:\n", *map(_object, spec.secrets))),
    }
    synced = [
        {"objectName": each.variable, "key": each.variable}
        for each in spec.secrets
        if each.variable is not None
    ]
    secret = {
        "secretName": revision_name(spec.component, spec.revision),
        "type": "Opaque",
        "labels": installation.of_revision(spec.component, spec.revision),
        "data": synced,
    }
    return {
        "provider": "azure",
        "parameters": parameters,
        **({"secretObjects": [secret]} if synced else {}),
    }


def _object(secret: SecretReference) -> str:
    """Return the object of *secret* in the provider's YAML; names have no character to escape."""
    fields = {
        "objectName": secret.name,
        "objectType": "secret",
        "objectVersion": secret.version,
        "objectAlias": secret.variable or secret.file,
        "filePermission": "0444",
    }
    return "  - |\n" + "".join(f'    {name}: "{value}"\n' for name, value in fields.items())


async def live_class(api: ClusterApi, installation: Installation, spec: RevisionSpec) -> Object:
    """Return the `spec` of the class of *spec* as it is now; empty where there is none."""
    component, name = spec.component, revision_name(spec.component, spec.revision)
    namespace = installation.namespace(component.environment, component.tenant)
    found = await api.get(CLASSES, name, namespace) if spec.secrets else None
    live: Object = (found or {}).get("spec") or {}
    return live


def class_words(spec: RevisionSpec, live: Object, wanted: Object) -> Mapping[str, str]:
    """Return what the class *live* gives, by the paths of properties; of *wanted* it is to be.

    A secret's place has its source where the class says the same, else `another`.
    """
    parameters: Mapping[str, str] = live.get("parameters") or {}
    asked: Mapping[str, str] = wanted["parameters"]
    objects = str(parameters.get("objects", ""))
    words = {
        each.target: each.source if _object(each) in objects else "another"
        for each in spec.secrets
        if f'objectAlias: "{each.variable or each.file}"' in objects
    }
    if len(objects) > len(asked["objects"]):
        words["objects"] = "others too"
    for name in sorted({*parameters, *asked} - {"objects"}):
        if parameters.get(name) != asked.get(name):
            words[f"parameters/{name}"] = str(parameters.get(name, ""))
    for name in ("provider", "secretObjects"):
        if live.get(name) != wanted.get(name):
            words[name] = json.dumps(live.get(name))
    return words


async def mounted_versions(api: ClusterApi, pod: Object, spec: RevisionSpec) -> Mapping[str, str]:
    """Return the version of each secret that the driver mounted into *pod*, as it says itself."""
    if not spec.secrets:
        return {}
    metadata, name = pod["metadata"], revision_name(spec.component, spec.revision)
    found = await api.get(
        _STATUSES, f"{metadata['name']}-{metadata['namespace']}-{name}", metadata["namespace"]
    )
    owners = ((found or {}).get("metadata") or {}).get("ownerReferences") or []
    if found is None or metadata["uid"] not in {each.get("uid") for each in owners}:
        return {}
    objects = (found.get("status") or {}).get("objects") or []
    return {
        str(each["id"]).removeprefix("secret/"): str(each.get("version", "")) for each in objects
    }
