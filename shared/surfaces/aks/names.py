"""The names, labels and annotations of what the platform has on a cluster.

Names are derived from ids alone, so every host finds the same objects, and no two things share one.
Labels select; the ids themselves, which are no label values, stand in annotations.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from shared.contracts.patterns import INSTALLATION_NAME
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.surfaces.boundaries import BoundarySpec
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent

MANAGER: Final = "factory-runtime"
"""The one field manager of all writes, and the prefix of labels and annotations."""
MANAGED: Final = "app.kubernetes.io/managed-by"
INSTALLATION: Final = f"{MANAGER}/installation"
ENVIRONMENT: Final = f"{MANAGER}/environment"
TENANT: Final = f"{MANAGER}/tenant"
MODULE: Final = f"{MANAGER}/module"
REVISION: Final = f"{MANAGER}/revision"
PREFIX: Final = f"{MANAGER}/path-prefix"
RECORD: Final = f"{MANAGER}/record"
"""`site`, `boundary` or `component`: which record a ConfigMap is."""
ENVIRONMENT_ID: Final = f"{MANAGER}/environment-id"
MARK: Final = f"{MANAGER}/mark"
"""The annotation by which a namespace is known until its uid is recorded."""
SPEC: Final = f"{MANAGER}/spec"
"""The annotation with the applied RevisionSpec, without its number of replicas."""
USES_IDENTITY: Final = "azure.workload.identity/use"
"""The label of pods that get a token of their ServiceAccount's identity."""
_NAME_MAX: Final = 63
"""Of a namespace, a Service and a label value: RFC 1123."""
_STEM_MAX: Final = 50
"""Of a component's name: `-r` and a revision of eleven digits fit behind it."""
_PLAIN: Final = re.compile(r"[a-z](?!.*(-r[0-9]+|-[0-9a-f]{8})$)[a-z0-9-]*")
"""A module whose own name is no revision's and no shortened one's, and begins with a letter, as a
Service must."""


def digest_of(*parts: str, length: int = 16) -> str:
    """Return hex digits that stand for *parts*; other parts have others."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


def component_name(module: str) -> str:
    """Return the name of a component's Service and route: the module's own wherever that can be."""
    if len(module) <= _STEM_MAX and _PLAIN.fullmatch(module):
        return module
    stem = module[: _STEM_MAX - 11].strip("-")
    return f"m-{stem}-{digest_of(module, length=8)}"


def revision_name(component: SurfaceComponent, revision: int) -> str:
    """Return the name of a revision's Deployment, Service and disruption budget."""
    return f"{component_name(component.module)}-r{revision}"


def selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


@dataclass(frozen=True)
class Installation:
    """One installation of the platform on a cluster; its name keeps two on one cluster apart."""

    name: str = MANAGER

    def __post_init__(self) -> None:
        """Refuse a name that leaves no room in a namespace's."""
        if re.fullmatch(INSTALLATION_NAME, self.name) is None:
            raise Invalid(
                "the name of an installation must have at most 30 lower-case letters, digits and"
                f" hyphens, and begin with a letter, got {self.name!r}"
            )

    @property
    def labels(self) -> dict[str, str]:
        return {MANAGED: MANAGER, INSTALLATION: self.name}

    def namespace(self, environment: EnvironmentId, tenant: TenantId) -> str:
        """Return the namespace of *tenant* in *environment*."""
        digest = digest_of(environment, tenant, length=10)
        room = _NAME_MAX - len(self.name) - len(digest) - 2
        return f"{self.name}-{tenant[:room].strip('-')}-{digest}"

    def of_environment(self, environment: EnvironmentId) -> dict[str, str]:
        return {**self.labels, ENVIRONMENT: digest_of(environment)}

    def of_component(self, component: SurfaceComponent) -> dict[str, str]:
        return {
            **self.of_environment(component.environment),
            TENANT: component.tenant,
            MODULE: component.module,
        }

    def of_revision(self, component: SurfaceComponent, revision: int) -> dict[str, str]:
        return {**self.of_component(component), REVISION: str(revision)}

    def component_of(
        self, environment: EnvironmentId, metadata: Mapping[str, Any]
    ) -> SurfaceComponent | None:
        """Return the component that *metadata* of an object names, if it is in its namespace.

        None of any other: whoever may write somewhere in the cluster may write these labels, and
        only what is in a namespace of the platform's own was judged by the policy of the cluster.
        """
        labels = metadata.get("labels") or {}
        tenant, module = str(labels.get(TENANT, "")), str(labels.get(MODULE, ""))
        if metadata.get("namespace") != self.namespace(environment, TenantId(tenant)):
            return None
        try:
            return SurfaceComponent(environment, TenantId(tenant), ModuleId(module))
        except Invalid:
            return None

    def site_record(self, environment: EnvironmentId) -> str:
        return f"site-{digest_of(environment, length=20)}"

    def boundary_record(self, environment: EnvironmentId, tenant: TenantId) -> str:
        return f"boundary-{digest_of(environment, tenant, length=20)}"

    def component_record(self, component: SurfaceComponent) -> str:
        key = (component.environment, component.tenant, component.module)
        return f"component-{digest_of(*key, length=20)}"


def environment_of(
    subject: RevisionSpec | SiteSpec | BoundarySpec | SurfaceComponent | EnvironmentId,
) -> EnvironmentId:
    """Return the environment that a write of *subject* is in."""
    match subject:
        case RevisionSpec():
            return subject.component.environment
        case SiteSpec() | BoundarySpec() | SurfaceComponent():
            return subject.environment
        case _:
            return subject
