"""The inputs of an environment program: plain data that alone decides the resource graph.

The words are those of `shared.contracts`; they are repeated here as text because a program is
evaluated in a process of its own, where importing the published language would cost more than
evaluating.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.kernel.errors import Invalid, Violation

LOCAL_TARGET: Final = "LocalProcess"
AZURE_TARGETS: Final = ("AKS", "ContainerApps", "Functions", "AppService")
LOCAL_DATA: Final = ("LocalFolder",)
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

    @property
    def is_local(self) -> bool:
        """Return whether the local program takes these inputs; else the Azure program does."""
        return {target.kind for target in self.compute_targets} == {LOCAL_TARGET}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "EnvironmentInputs":
        """Return the inputs of which *document* holds the fields, as `asdict` returns them."""
        targets = tuple(ComputeTargetInput(**row) for row in document["compute_targets"])
        data = tuple(DataResourceInput(**row) for row in document["data_resources"])
        return EnvironmentInputs(**{**document, "compute_targets": targets, "data_resources": data})


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
        *_missing_or_mixed(set(targets.values())),
        *_unknown(kinds, LOCAL_DATA if inputs.is_local else AZURE_DATA),
        *_repeated(names, "name"),
    ]
    if violations:
        raise Invalid("the environment cannot be planned as described", details=violations)


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


def _missing_or_mixed(kinds: Collection[str]) -> list[Violation]:
    """Return why an environment cannot have compute targets of *kinds* together."""
    if not kinds:
        return [
            Violation(
                "ComputeTargetMissing", "/computeTargets", "workloads need somewhere to run",
                "at least one compute target", "none",
            )
        ]  # fmt: skip
    if LOCAL_TARGET in kinds and len(kinds) > 1:
        return [
            Violation(
                "MixedComputeTargets", "/computeTargets",
                "one environment is either on this machine or in Azure",
                f"only {LOCAL_TARGET}, or none of it", ", ".join(sorted(kinds)),
            )
        ]  # fmt: skip
    return []
