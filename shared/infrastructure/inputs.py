"""The inputs of an environment program: plain data that alone decides the resource graph.

The words are those of `shared.contracts`; they are repeated here as text because a program is
evaluated in a process of its own, where importing the published language would cost more than
evaluating.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Violation

LOCAL_TARGET: Final = "LocalProcess"
CLUSTER_TARGET: Final = "AKS"
AZURE_TARGETS: Final = (CLUSTER_TARGET, "ContainerApps", "Functions", "AppService")
LOCAL_SERVERS: Final = ("LocalPostgres", "LocalValkey")
LOCAL_DATA: Final = ("LocalFolder", *LOCAL_SERVERS)
AZURE_DATA: Final = (
    "PostgreSql", "SqlDatabase", "CosmosDb", "BlobStorage", "ServiceBus", "Redis",
)  # fmt: skip
STAGES: Final = ("dev", "test", "staging", "prod")
ISOLATION_MODELS: Final = ("silo", "pool", "shared")

FIXED_INPUTS: Final = ("tenant_id", "project_id", "environment_id", "name", "stage", "region")
"""Inputs that cannot change while the stack has resources; make another environment instead."""


@dataclass(frozen=True)
class ComputeTargetInput:
    """A surface for workloads, at most one of each kind; `capacity` limits all of them together."""

    kind: str
    capacity: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataResourceInput:
    """Somewhere workloads keep data. `protected`: no update may delete or replace it."""

    name: str
    kind: str
    protected: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EnvironmentInputs:
    """One environment. A `trace_id` of a later request than the first changes nothing."""

    tenant_id: str
    project_id: str
    environment_id: str
    name: str
    stage: str
    region: str
    isolation_model: str
    trace_id: str
    compute_targets: tuple[ComputeTargetInput, ...]
    data_resources: tuple[DataResourceInput, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    generation: int = 1
    """Grows when a decommissioned environment is requested again; a deleted vault keeps its name
    for months, so the next one needs another."""
    has_cluster: bool = False
    """Set by the engine: the installation has a cluster, in which an AKS target is a site. Without
    one such a target is a cluster of its own, in Azure."""

    @property
    def kinds(self) -> frozenset[str]:
        """Return the kinds of its compute targets."""
        return frozenset(target.kind for target in self.compute_targets)

    @property
    def is_local(self) -> bool:
        """Return whether the local program takes these inputs; else the Azure program does."""
        return bool(self.kinds) and self.kinds <= site_kinds(has_cluster=self.has_cluster)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "EnvironmentInputs":
        """Return the inputs of which *document* holds the fields, as `asdict` returns them."""
        targets = tuple(ComputeTargetInput(**row) for row in document["compute_targets"])
        data = tuple(DataResourceInput(**row) for row in document["data_resources"])
        return EnvironmentInputs(**{**document, "compute_targets": targets, "data_resources": data})


def site_kinds(*, has_cluster: bool) -> frozenset[str]:
    """Return the kinds of compute targets that are sites of what the installation runs on."""
    return frozenset({LOCAL_TARGET, CLUSTER_TARGET} if has_cluster else {LOCAL_TARGET})


def data_resource_name(name: str) -> str:
    """Return the name that the data resource *name* has among a stack's resources."""
    return f"data-{name}"


def require_valid(inputs: EnvironmentInputs) -> None:
    """Refuse inputs that no program could honour.

    Raises:
        Invalid: with one violation per thing that is wrong.
    """
    compute, data = inputs.compute_targets, inputs.data_resources
    targets = {f"/computeTargets/{at}/kind": target.kind for at, target in enumerate(compute)}
    kinds = {f"/dataResources/{at}/kind": resource.kind for at, resource in enumerate(data)}
    names = {f"/dataResources/{at}/name": resource.name for at, resource in enumerate(data)}
    violations = [
        *_unknown({"/stage": inputs.stage}, STAGES),
        *_unknown({"/isolationModel": inputs.isolation_model}, ISOLATION_MODELS),
        *_unknown(targets, (LOCAL_TARGET, *AZURE_TARGETS)),
        *_repeated(targets, "kind"),
        *_missing_or_mixed(inputs),
        *_unknown(kinds, LOCAL_DATA if inputs.is_local else AZURE_DATA),
        *_repeated(names, "name"),
        *_without_a_place(kinds, inputs),
    ]
    if violations:
        all_ = "; ".join(map(str, violations))
        message = f"the environment cannot be planned as described: {all_}"
        raise Invalid(message, details=violations)


def _unknown(values: Mapping[str, str], known: Sequence[str]) -> list[Violation]:
    return [
        Violation("UnknownValue", target, "not a known value", " | ".join(known), value)
        for target, value in values.items()
        if value not in known
    ]


def _repeated(values: Mapping[str, str], noun: str) -> list[Violation]:
    received = list(values.values())
    return [
        Violation(
            "NameTaken", target, f"an environment has each {noun} at most once",
            f"another {noun}", value,
        )
        for at, (target, value) in enumerate(values.items())
        if value in received[:at]
    ]  # fmt: skip


def _missing_or_mixed(inputs: EnvironmentInputs) -> list[Violation]:
    """Return why an environment cannot have its compute targets together."""
    kinds = inputs.kinds
    if not kinds:
        return [
            Violation(
                "ComputeTargetMissing", "/computeTargets", "workloads need somewhere to run",
                "at least one compute target", "none",
            )
        ]  # fmt: skip
    if LOCAL_TARGET in kinds and not inputs.is_local:
        beside = site_kinds(has_cluster=inputs.has_cluster) - {LOCAL_TARGET}
        message = "one environment is either on this machine or in Azure"
        if CLUSTER_TARGET in kinds and not beside:
            message += f", and this installation has no cluster for {CLUSTER_TARGET}"
        expected = f"only {' and '.join((LOCAL_TARGET, *beside))}, or no {LOCAL_TARGET}"
        received = ", ".join(sorted(kinds))
        return [Violation("MixedComputeTargets", "/computeTargets", message, expected, received)]
    return []


def _without_a_place(kinds: Mapping[str, str], inputs: EnvironmentInputs) -> list[Violation]:
    """Return which data resources no compute target of the local program has."""
    if not inputs.is_local or LOCAL_TARGET in inputs.kinds:
        return []
    return [
        Violation(
            "DataWithoutTarget", target, f"a {kind} is of this machine, where nothing would run",
            f"a compute target {LOCAL_TARGET} as well, or none of them", kind,
        )
        for target, kind in kinds.items()
        if kind in LOCAL_DATA
    ]  # fmt: skip
