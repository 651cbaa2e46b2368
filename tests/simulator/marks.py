"""The rare paths that runs must reach: a run that never gets there says nothing about them."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

COUNTED: Final[Mapping[str, str]] = {
    "a rollout was rolled back": "deployments deployment RolledBack",
    "a rollout failed": "deployments deployment Failed",
    "a rollout was cancelled": "deployments deployment Cancelled",
    "a release was rolled back by hand": "operation RollbackDeployment Succeeded",
    "a gate was failed": "gate Fail",
    "a gate was inconclusive": "gate Inconclusive",
    "a rollout waited in the queue": "waits for queue",
    "a rollout waited for its environment": "waits for environment",
    "a rollout waited for a binding": "waits for binding",
    "a configuration was rolled out": "sent RollOutConfiguration",
    "a secret was rolled out": "sent RollOutSecretVersion",
    "a rotation ended": "secret_bindings rotation Revoked",
    "a rotation failed": "secret_bindings rotation Failed",
    "a tenant was suspended": "tenants tenantBinding Suspended",
    "a tenant was unbound": "tenants tenantBinding Unbound",
    "an environment was decommissioned": "environments environment Decommissioned",
    "a finding was opened": "drift finding Open",
    "a finding was repaired or ended": "drift finding Resolved",
    "a finding was suppressed": "drift finding Suppressed",
    "a finding was adopted": "drift finding Adopted",
    "drift asked for a repair": "sent RemediateDrift",
    "a policy was paused": "scaling policy Paused",
    "a policy scaled": "scaling policy Enforced",
    "a held release was refused": "409 Held",
    "a suspended tenant was refused": "409 TenantBindingSuspended",
    "a service was not healthy": "health target Unhealthy",
    "a workload was started again for a move": "sent RelocateWorkload",
    "drift asked for a repair of an environment": "sent RepairEnvironment",
    "an environment was repaired": "operation RepairEnvironment Succeeded",
    "a breach of isolation was found": "TenantIsolationProofCompleted Breach",
    "a deployment was refused for a breach": "409 IsolationBreached",
    "the policy for prod denied a change": "403 PolicyDenied",
}
"""Marks that a count of the history shows."""
SEEN: Final = (
    "an operation was superseded",
    "a message was delivered twice",
    "a message was delivered late",
    "a batch of a store conflicted",
    "the answer of a store was lost after its commit",
    "the answer of a surface was lost after its write",
    "a host was killed between a commit and its messages",
    "a host was killed between a message and the end of its row",
    "a host was killed before it wrote to a surface",
    "a host was killed after it wrote to a surface",
    "a host was killed within a commit of its own",
    "a stale writer was refused by a surface",
    "a secret was rotated during a rollout",
    "a configuration was published during a rollout",
    "an environment left during a rollout",
    "a tenant was suspended during a rollout",
    "a guest deployed beside the owner",
    "something was changed by hand during a rollout",
    "the surface could not be read during a rollout",
    "an instance crashed during a rollout",
    "a repeat was answered from its marker",
    "a message was parked",
    "a tenant was moved",
    "a move was taken back",
    "a tenant was suspended while it was moved",
    "a tenant was unbound while it was moved",
    "the owner of an environment suspended a guest",
    "a boundary was changed by hand",
    "a policy of scaling was applied in prod",
    "a provider measured an objective",
    "a provider of measurements had no answer",
)
"""Marks that the run sets itself where they happen."""
MARKS: Final = (*COUNTED, *SEEN)
ALL_MARKS_SEEDS: Final = 500
"""So many seeds reach each mark, or `make sim` fails."""


def marks_of(reached: Counter[str], seen: Counter[str]) -> Counter[str]:
    """Return how often each mark was reached in a run."""
    counted = {mark: reached[key] for mark, key in COUNTED.items()}
    return +Counter({**counted, **seen})
