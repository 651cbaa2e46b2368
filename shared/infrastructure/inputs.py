"""What an environment program is given: plain data, from which the resource graph follows alone.

The words are those of `shared.contracts`; they are repeated here as text because a program is
evaluated in a process of its own, where importing the published language would cost more than
evaluating.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
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
"""What cannot change while anything of the stack is there: the answer is another environment."""


class Variant(StrEnum):
    """The two environment programs."""

    LOCAL = "local"
    AZURE = "azure"


@dataclass(frozen=True)
class ComputeTargetInput:
    """A surface for workloads, at most one of each kind; `capacity` is what all may take."""

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
    """One environment. `trace_id` is that of its first request; a later one changes nothing."""

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
    def variant(self) -> Variant:
        """Return which program these inputs are for: the local one when every target is."""
        kinds = {target.kind for target in self.compute_targets}
        return Variant.LOCAL if kinds == {LOCAL_TARGET} else Variant.AZURE

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        document["compute_targets"] = list(document["compute_targets"])
        document["data_resources"] = list(document["data_resources"])
        return document

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "EnvironmentInputs":
        """Return the inputs that `to_json` made *document* from."""
        targets = tuple(ComputeTargetInput(**row) for row in document["compute_targets"])
        data = tuple(DataResourceInput(**row) for row in document["data_resources"])
        return EnvironmentInputs(**{**document, "compute_targets": targets, "data_resources": data})


def data_resource_name(name: str) -> str:
    """Return the name that the data resource *name* has among a stack's resources."""
    return f"data-{name}"


def require_valid(inputs: EnvironmentInputs) -> None:
    """Check what no program could honour.

    Raises:
        Invalid: with one violation per thing that is wrong.
    """
    violations = [*_choices(inputs), *_targets(inputs), *_data(inputs)]
    if violations:
        raise Invalid("the environment cannot be planned as described", details=violations)


def _choices(inputs: EnvironmentInputs) -> list[Violation]:
    rules = (
        ("/stage", inputs.stage, STAGES),
        ("/isolationModel", inputs.isolation_model, ISOLATION_MODELS),
    )
    return [
        _not_one_of(target, value, known) for target, value, known in rules if value not in known
    ]


def _targets(inputs: EnvironmentInputs) -> list[Violation]:
    kinds = [target.kind for target in inputs.compute_targets]
    known = (LOCAL_TARGET, *AZURE_TARGETS)
    violations = [
        _not_one_of(f"/computeTargets/{at}/kind", kind, known)
        for at, kind in enumerate(kinds)
        if kind not in known
    ]
    violations += [
        Violation(
            "NameTaken", f"/computeTargets/{at}/kind", "an environment has each kind at most once",
            "another kind", kind,
        )
        for at, kind in enumerate(kinds)
        if kind in kinds[:at]
    ]  # fmt: skip
    if not kinds:
        violations.append(
            Violation(
                "ComputeTargetMissing", "/computeTargets", "workloads need somewhere to run",
                "at least one compute target", "none",
            )
        )  # fmt: skip
    if LOCAL_TARGET in kinds and set(kinds) != {LOCAL_TARGET}:
        violations.append(
            Violation(
                "MixedComputeTargets", "/computeTargets",
                "one environment is either on this machine or in Azure",
                f"only {LOCAL_TARGET}, or none of it", ", ".join(sorted(set(kinds))),
            )
        )  # fmt: skip
    return violations


def _data(inputs: EnvironmentInputs) -> list[Violation]:
    known = LOCAL_DATA if inputs.variant is Variant.LOCAL else AZURE_DATA
    names = [resource.name for resource in inputs.data_resources]
    violations = [
        _not_one_of(f"/dataResources/{at}/kind", resource.kind, known)
        for at, resource in enumerate(inputs.data_resources)
        if resource.kind not in known
    ]
    violations += [
        Violation(
            "NameTaken", f"/dataResources/{at}/name", "an environment has each name at most once",
            "another name", name,
        )
        for at, name in enumerate(names)
        if name in names[:at]
    ]  # fmt: skip
    return violations


def _not_one_of(target: str, received: str, known: tuple[str, ...]) -> Violation:
    return Violation("UnknownValue", target, "not a known value", " | ".join(known), received)
