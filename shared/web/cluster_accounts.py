"""Whose workload a token of a cluster's ServiceAccount is of.

Only tokens that a kubelet gave a pod count, of an account that the platform made for that module:
https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
"""

from collections.abc import Mapping
from typing import Any

from shared.kernel.context import Workload
from shared.kernel.errors import Unauthenticated
from shared.kernel.ids import TenantId
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.platform_access import component_of_subject


def workload_of_account(claims: Mapping[str, Any], installation: str) -> tuple[TenantId, Workload]:
    """Return the tenant and the workload, with its instance, that *claims* of a cluster name.

    Raises:
        Unauthenticated: it is of no account of *installation*, or of no pod.
    """
    subject = claims.get("sub")
    component = component_of_subject(Installation(installation), str(subject))
    if component is None:
        raise Unauthenticated(
            f"{subject!r:.200} is no ServiceAccount that the platform made for a module in its"
            " namespace",
            code="UnmappedToken",
            target="sub",
        )
    pod = _pod(claims)
    if pod is None:
        raise Unauthenticated(
            "the token is not bound to a pod (kubernetes.io)",
            code="UnmappedToken",
            target="kubernetes.io",
        )
    return component.tenant, Workload(component.environment, component.module, pod)


def _pod(claims: Mapping[str, Any]) -> str | None:
    bound = claims.get("kubernetes.io")
    pod = bound.get("pod") if isinstance(bound, dict) else None
    name = pod.get("name") if isinstance(pod, dict) else None
    return name if isinstance(name, str) and name else None
