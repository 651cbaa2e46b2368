"""What a pod follows its configuration with: where the API answers, and a token for it.

    /runtime/api/token    of the ServiceAccount of its revision, renewed by the kubelet

The account is of one revision, and its name says whose: pods cannot make accounts, and in a
namespace of the platform nobody else does. It has no right in the cluster.
https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.surfaces.aks.names import Installation
from shared.surfaces.spec import RevisionSpec, SurfaceComponent

FOLDER: Final = "/runtime/api"
TOKEN: Final = "token"  # noqa: S105  of a file
TOKEN_LIFE_S: Final = 600
"""The least that Kubernetes gives. The kubelet replaces it after four fifths of that."""
_SUBJECT: Final = re.compile(
    r"system:serviceaccount:(?P<namespace>[^:]+):r[1-9][0-9]*\.(?P<module>[^.:]+)"
    r"\.(?P<tenant>[^.:]+)\.(?P<environment>[^.:]+)"
)


@dataclass(frozen=True)
class PlatformWay:
    """The way out of a closed namespace to the platform: to *networks*, at one port."""

    networks: tuple[str, ...]
    port: int


@dataclass(frozen=True)
class PlatformAccess:
    """Where pods ask the API, and the audience of their tokens.

    The way from a closed namespace to *networks* is open, at the port of the API only.
    """

    url: str
    audience: str
    networks: tuple[str, ...] = ()

    @property
    def given(self) -> "PlatformAccess":
        """What pods have of it, by which they are compared later."""
        return replace(self, networks=())

    @property
    def way(self) -> PlatformWay | None:
        return PlatformWay(self.networks, self.port) if self.networks else None

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def environ(self) -> Mapping[str, str]:
        return {"RUNTIME_API_URL": self.url, "RUNTIME_API_TOKEN_FILE": f"{FOLDER}/{TOKEN}"}

    def volume(self, mode: int) -> dict[str, Any]:
        token = {"audience": self.audience, "expirationSeconds": TOKEN_LIFE_S, "path": TOKEN}
        projected = {"defaultMode": mode, "sources": [{"serviceAccountToken": token}]}
        return {"name": "api", "projected": projected}


def account_of(spec: RevisionSpec) -> str:
    """Return the name of the ServiceAccount of the pods of *spec* that follow."""
    component = spec.component
    return f"r{spec.revision}.{component.module}.{component.tenant}.{component.environment}"


def component_of_subject(installation: Installation, subject: str) -> SurfaceComponent | None:
    """Return whose account the *subject* of a token names; None where it is not the platform's.

    The name alone proves nothing. It counts in the namespace of the tenant and environment that it
    names, where only the platform makes accounts.
    """
    match = _SUBJECT.fullmatch(subject)
    if match is None:
        return None
    environment, tenant = EnvironmentId(match["environment"]), TenantId(match["tenant"])
    if match["namespace"] != installation.namespace(environment, tenant):
        return None
    try:
        return SurfaceComponent(environment, tenant, ModuleId(match["module"]))
    except Invalid:
        return None
