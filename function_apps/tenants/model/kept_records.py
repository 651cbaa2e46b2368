"""The records that the platform keeps of a tenant that was unbound, why, and for how long. Pure.

The page docs/retention.md says the same of every document; a test holds both to the codecs.
"""

from collections.abc import Sequence
from typing import Final

from shared.contracts.retention import Kept, Retention
from shared.contracts.storage import (
    ARTIFACTS,
    AUDIT,
    AUDIT_HEADS,
    CONFIGURATION_REPORTS,
    DRIFT_SNAPSHOTS,
    HEALTH_SAMPLES,
    LOGS,
    SCALING_SAMPLES,
)
from shared.contracts.tenants import KeptRecord
from shared.kernel.dataclass import dataclass

EVERY_SERVICE: Final = "every service"


@dataclass(frozen=True)
class Record:
    """`kinds` are types of documents, or names of tables and of containers of blobs."""

    service: str
    kinds: tuple[str, ...]
    kept: Kept | None
    reason: str


_REVISION: Final = "remembers a revision, so that no late message brings back what has ended"
DOCUMENTS: Final = (
    Record("environments", ("environment",), None,
           "the tombstone of its name; of another tenant's environment it is its owner's"),
    Record("environments", ("isolation",), None, _REVISION),
    Record("tenants", ("tenantBinding",), None,
           "the specification asks for it for life; it has this report"),
    Record("tenants", ("environment",), None, _REVISION),
    Record("tenants", ("tenant",), None, "what the control plane said of the tenant"),
    Record("deployments", ("operation",), Kept.ENDED,
           "what was done, by whom, and how it went; those of every service"),
    Record("deployments", ("deployment",), Kept.ENDED,
           "what ran and what proved it; a timer removes those of an environment that is gone"),
    Record("deployments", ("deploymentTarget", "tenantConfiguration"), None,
           "numbers the release revisions of modules, and their fences"),
    Record("catalog", ("service", "history"), Kept.RETIRED,
           "what ran when; a timer removes both together"),
    Record("catalog", ("watch",), None, _REVISION),
    Record("health", ("target", "objective"), Kept.RETIRED, "its samples are found by it"),
    Record("health", ("gate",), Kept.RESULT, "the judgment that a release went on by"),
    Record("configurations", ("configuration", "version"), None,
           "a layer numbers its versions; a timer removes what was replaced, and the layers of an"
           " environment that ended, as many days later as operations are kept"),
    Record("configurations", ("adoption",), Kept.RETIRED, "which instance had which version"),
    Record("configurations", ("environment",), None, _REVISION),
    Record("secret_bindings", ("binding", "rotation", "watch"), Kept.ENDED,
           "who was given which version of a secret; no values"),
    Record("secret_bindings", ("secret",), None,
           "numbers the rotations of a secret; no values. A timer removes it as many days after its"
           " environment ended as operations are kept"),
    Record("secret_bindings", ("environment", "tenant"), None, _REVISION),
    Record("scaling", ("policy",), None, "numbers the contents of the policy of a service"),
    Record("scaling", ("scaledService",), Kept.RETIRED, "its samples are found by it"),
    Record("drift", ("scan",), None, _REVISION),
    Record("drift", ("baseline",), Kept.RETIRED, "what was released"),
    Record("drift", ("finding",), Kept.ENDED, "what was found, and what was decided about it"),
    Record("drift", ("publishedLayer",), Kept.MESSAGE,
           "which layers of configuration are in force"),
    Record("drift", ("gitSource", "followedEnvironments"), None,
           "which repository says what to run, until the tenant removes it"),
)  # fmt: skip
"""The types of all services, each once."""
OTHERS: Final = (
    Record(EVERY_SERVICE, (AUDIT,), None,
           "who did what when; each entry of the chain proves the one before it, so that none can"
           " be taken out. The specification asks for 7 years"),
    Record("deployments", (AUDIT_HEADS,), None,
           "at which record each chain was sealed when; 7 years at least"),
    Record(EVERY_SERVICE, ("parked messages",), Kept.MESSAGE, "so that they can be replayed"),
    Record("health", (HEALTH_SAMPLES,), Kept.RESULT, "results of probes"),
    Record("scaling", (SCALING_SAMPLES,), Kept.MESSAGE, "measured load"),
    Record("drift", (DRIFT_SNAPSHOTS,), Kept.MESSAGE, "what services were seen to be"),
    Record("configurations", (CONFIGURATION_REPORTS,), Kept.MESSAGE,
           "what instances said that they had; removed far sooner"),
    Record("deployments", (ARTIFACTS,), Kept.ENDED,
           "programs and configurations of releases, as long as a deployment that is kept needs"
           " them, and 7 days at least"),
    Record("deployments", (LOGS,), Kept.RESULT,
           "what its workloads wrote last, before their releases were removed"),
)  # fmt: skip


def kept_records(retention: Retention) -> Sequence[KeptRecord]:
    """Return what is kept, each for as long as *retention* says."""
    return [
        KeptRecord(
            service=each.service,
            kinds=each.kinds,
            days=None if each.kept is None else retention.span(each.kept).days,
            reason=each.reason,
        )
        for each in (*DOCUMENTS, *OTHERS)
    ]
