"""Mutating admission as clusters of companies have it: MutatingAdmissionPolicies of one namespace.

https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from shared.kernel.clock import SystemClock
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import DEPLOYMENTS, PODS, Kind
from shared.surfaces.aks.names import INSTALLATION
from tests.kit.cluster_objects import remove
from tests.kit.patience import PATIENCE_S

_GROUP: Final = "admissionregistration.k8s.io/v1"
_POLICIES: Final = Kind(
    _GROUP, "MutatingAdmissionPolicy", "mutatingadmissionpolicies", is_namespaced=False
)
_BINDINGS: Final = Kind(
    _GROUP, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", is_namespaced=False
)
_MARK: Final = "admitted"
"""An annotation that each policy adds: it shows that the policy is in force."""


class Admitted:
    """Writes CEL for the pods in objects of one *kind*: Deployments or Pods themselves."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.path = "/spec/template" if kind is DEPLOYMENTS else ""
        self.pod = "object.spec.template" if kind is DEPLOYMENTS else "object"
        self.type = "Object.spec.template.spec" if kind is DEPLOYMENTS else "Object.spec"

    def add(self, path: str, value: str, *, unless: str = "false") -> str:
        """Return a mutation that puts *value* at *path* of the pod."""
        patch = f"JSONPatch{{op: 'add', path: '{self.path}{path}', value: {value}}}"
        return f"{unless} ? [] : [{patch}]"

    def additions(self, sidecar_image: str) -> list[str]:
        """Return what changes nothing of what a release asks for."""
        spec, of = f"{self.pod}.spec", self.type
        rights = f"{of}.containers.securityContext"
        sidecar = (
            f"{of}.containers{{name: 'mesh', image: '{sidecar_image}', securityContext: {rights}{{"
            f"allowPrivilegeEscalation: false, capabilities: {rights}.capabilities{{"
            "drop: ['ALL']}}}"
        )
        tolerated = f"{of}.tolerations{{key: 'spot', operator: 'Exists'}}"
        has_tolerations = f"has({spec}.tolerations)"
        spread = (
            f"{of}.topologySpreadConstraints{{maxSkew: 1, topologyKey: 'zone',"
            " whenUnsatisfiable: 'ScheduleAnyway'}"
        )
        bounds = f"{of}.containers.resources{{limits: {{'memory': '200Mi'}}}}"
        return [
            self.add(
                "/spec/containers/-", sidecar, unless=f"{spec}.containers.exists(c, c.name=='mesh')"
            ),
            self.add("/metadata/labels/cost-center", "'42'"),
            self.add("/spec/containers/0/imagePullPolicy", "'Always'"),
            self.add("/spec/securityContext/runAsUser", "1234"),
            self.add("/spec/securityContext/fsGroup", "1234"),
            self.add(
                "/spec/containers/0/env/-",
                f"{of}.containers.env{{name: 'AGENT_HOST', value: 'here'}}",
                unless=f"{spec}.containers[0].env.exists(e, e.name=='AGENT_HOST')",
            ),
            self.add("/spec/containers/0/resources", bounds),
            self.add("/spec/tolerations", f"[{tolerated}]", unless=has_tolerations),
            self.add(
                "/spec/tolerations/-",
                tolerated,
                unless=f"!{has_tolerations} || {spec}.tolerations.exists(t, t.key=='spot')",
            ),
            self.add(
                "/spec/topologySpreadConstraints/-",
                spread,
                unless=f"{spec}.topologySpreadConstraints.exists(t, t.topologyKey=='zone')",
            ),
        ]


@asynccontextmanager
async def admission(
    api: ClusterApi, installation: str, admitted: Admitted, mutations: Sequence[str], probe: Object
) -> AsyncIterator[None]:
    """Mutate objects of *installation* meanwhile; yields when the policy is seen to be in force.

    *probe* is an object that may be created there; it is tried, and not made.
    """
    metadata = {"name": f"{installation}-{admitted.kind.plural}"}
    marked = f"JSONPatch{{op: 'add', path: '/metadata/annotations/{_MARK}', value: 'yes'}}"
    expressions = [f"[{marked}]", *mutations]
    group, _, version = admitted.kind.version.rpartition("/")
    rule = {
        "apiGroups": [group], "apiVersions": [version], "operations": ["CREATE", "UPDATE"],
        "resources": [admitted.kind.plural],
    }  # fmt: skip
    if admitted.kind is PODS:
        rule["operations"] = ["CREATE"]  # of a pod that runs hardly anything may change
    policy = {
        "apiVersion": _GROUP,
        "kind": _POLICIES.name,
        "metadata": metadata,
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [rule]},
            "mutations": [
                {"patchType": "JSONPatch", "jsonPatch": {"expression": each}}
                for each in expressions
            ],
        },
    }
    chosen = {"namespaceSelector": {"matchLabels": {INSTALLATION: installation}}}
    binding = {
        "apiVersion": _GROUP,
        "kind": _BINDINGS.name,
        "metadata": metadata,
        "spec": {"policyName": metadata["name"], "matchResources": chosen},
    }
    made = [(_POLICIES, await api.create(_POLICIES, policy))]
    try:
        made.append((_BINDINGS, await api.create(_BINDINGS, binding)))
        await _in_force(api, admitted.kind, probe)
        yield
    finally:
        for kind, each in reversed(made):
            await remove(api, kind, each["metadata"]["name"])


async def _in_force(api: ClusterApi, kind: Kind, probe: Object) -> None:
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + PATIENCE_S
    while True:
        tried = await api.create(kind, json.loads(json.dumps(probe)), dry_run=True)
        if _MARK in tried["metadata"]["annotations"]:
            return
        assert clock.monotonic_s() < give_up_at_s, "the policy never came into force"
        await clock.sleep(0.1)
