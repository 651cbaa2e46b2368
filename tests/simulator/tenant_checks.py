"""What must hold of tenants: where they are kept, what they may do, and what is left of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from shared.kernel.ids import EnvironmentId
from shared.persistence.store import Body

if TYPE_CHECKING:
    from tests.simulator.history import History

BEFORE_ROLLOUT: Final = frozenset({"Requested", "Provisioning", "Configuring"})
PROD_REPLICAS_MAX: Final = 2
"""Of the policy for prod."""
_ASKED_FOR: Final = frozenset({"release", "promotion"})
_NO_MOVE: Final[Mapping[str, Any]] = {}
Place = tuple[str, str]
"""A tenant and an environment."""


@dataclass
class TenantChecks:
    """What is known of each binding, and what each further commit is held to."""

    history: "History"
    bindings: dict[Place, Body] = field(default_factory=dict)
    moved_at: dict[Place, int] = field(default_factory=dict)
    """The revision of the binding by which the last move that ended had all started again."""
    started_by: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """The revision of the binding that a release has, by environment, module and revision."""
    _refusals: dict[Place, str] = field(default_factory=dict)
    """Why deployments takes nothing of a tenant, as it last recorded that."""
    _prod: set[str] = field(default_factory=set)

    def note_environment(self, body: Body) -> None:
        is_prod = body.get("stage") == "prod"
        (self._prod.add if is_prod else self._prod.discard)(body["environment_id"])

    def note_policy(self, body: Body) -> None:
        """Check that a policy of scaling is within that for prod."""
        if body["environment_id"] not in self._prod:
            return
        self.history.sometimes("a policy of scaling was applied in prod")
        self._check_size(body["content"]["max"], f"the policy {body['policy_id']}")

    def note_target(self, tenant: str, body: Body) -> None:
        """Note what deployments knows of the binding of *tenant*."""
        binding = body.get("binding") or {}
        status, proofs = binding.get("status"), binding.get("proofs", {})
        breached = [layer for layer, each in proofs.items() if each["verdict"] == "Breach"]
        why = "suspended" if status == "Suspended" else ""
        if breached and status != "Unbound":
            why = why or f"not kept apart by {breached}"
        self._refusals[tenant, body["environment_id"]] = why

    def note_deployment(self, tenant: str, before: str | None, body: Body) -> None:
        """Check that a deployment begins only where its tenant may deploy, and as prod has it."""
        environment, status = body["environment_id"], body["status"]
        for each in (body.get("unit") or {}).get("components", ()):
            key = (environment, each["moduleId"], each["releaseRevision"])
            self.started_by[key] = each.get("tenantBindingRevision") or 0
        begins = before in BEFORE_ROLLOUT and status not in {*BEFORE_ROLLOUT, "Failed", "Cancelled"}
        refused = self._refusals.get((tenant, environment))
        if refused and (before is None or begins):
            verb = "is taken" if before is None else f"is {status}"
            why = f"{body['deployment_id']} {verb}, and {tenant} is {refused} in {environment}"
            self.history.broke("15", why)
        if before is None and environment in self._prod and body["kind"] in _ASKED_FOR:
            for each in body["components"]:
                what = f"{each['moduleId']} of {body['deployment_id']}"
                self._check_size(each.get("replicas") or 1, what)

    def _check_size(self, number: int, what: str) -> None:
        if number > PROD_REPLICAS_MAX:
            why = f"{what} has {number} instances, and prod {PROD_REPLICAS_MAX} at most"
            self.history.broke("15", why)

    def note_binding(self, body: Body) -> None:
        """Check a step of a binding."""
        place = (body["tenant_id"], body["environment_id"])
        before = self.bindings.get(place)
        self.bindings[place] = body
        if before is None:
            return
        move, was = body.get("move") or _NO_MOVE, before.get("move") or _NO_MOVE
        if move.get("phase") == "Cleaning" and was.get("phase") != "Cleaning":
            self.moved_at[place] = move["binding_revision"]
            self._check_moved(place)
        if was and not move:
            self._note_end(was, body)
        if body["status"] == "Unbound" != before["status"]:
            self._check_gone(body)
        suspended_by = body.get("suspended_by") or {}
        if body["status"] == "Suspended" and suspended_by.get("tenant_id") != body["tenant_id"]:
            self.history.sometimes("the owner of an environment suspended a guest")

    def _note_end(self, move: Mapping[str, Any], body: Body) -> None:
        """Set the marks of how a move ended."""
        sign = "move in Cleaning" if move["phase"] == "Cleaning" else "move"
        if body["status"] == "Suspended":
            self.history.sometimes("a tenant was suspended while it was moved")
        elif body["status"] == "Unbinding":
            self.history.sometimes("a tenant was unbound while it was moved")
        elif body["status"] == "Enforced":
            ended = "a tenant was moved" if sign == "move in Cleaning" else "a move was taken back"
            self.history.sometimes(ended)

    def _check_moved(self, place: Place) -> None:
        """Check that nothing of a moved tenant runs as it was started before."""
        tenant, environment = place
        for module, number in self._running(tenant, environment):
            started = self.started_by.get((environment, module, number), 0)
            if started < self.moved_at[place]:
                why = (
                    f"revision {number} of {module} in {environment} was started by revision"
                    f" {started} of the binding, and {tenant} is moved by {self.moved_at[place]}"
                )
                self.history.broke("5", why)

    def _check_gone(self, body: Body) -> None:
        """Check that nothing is left of a guest that is unbound."""
        tenant, environment = body["tenant_id"], body["environment_id"]
        if tenant == body["owner_tenant_id"]:
            return
        site = self.history.cluster.site(EnvironmentId(environment))
        boundary = site.boundaries.get(tenant) if site else None
        left = [f"revision {number} of {module}" for module, number in self._running(*_of(body))]
        if boundary and boundary.spec:
            left.append("its boundary")
        if left:
            self.history.broke("15", f"{tenant} is unbound from {environment}, and has {left}")

    def _running(self, tenant: str, environment: str) -> Iterator[tuple[str, int]]:
        """Yield module and revision of all instances of *tenant* that are to stay."""
        site = self.history.cluster.site(EnvironmentId(environment))
        for component, state in (site.components if site else {}).items():
            if component.tenant == tenant:
                for number, each in state.revisions.items():
                    if each.instances and each.removed_at is None:
                        yield component.module, number

    def check_at_end(self) -> None:
        """Check that each move has ended, and what holds of each binding while all is quiet."""
        for place, body in self.bindings.items():
            if body["status"] == "Moving":
                self.history.broke("13", f"the move of {place} has not ended: {body}")
            elif body["status"] == "Unbound":
                self._check_gone(body)
            elif place in self.moved_at:
                self._check_moved(place)


def _of(body: Body) -> Place:
    return body["tenant_id"], body["environment_id"]
