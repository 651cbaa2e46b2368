"""Which settings each kind takes in Azure; anything else is refused, never ignored."""

from collections.abc import Iterator, Mapping
from typing import Final

from shared.infrastructure.inputs import EnvironmentInputs
from shared.kernel.errors import PlanRefused, Violation

TARGET_SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "AKS": ("kubernetesVersion", "nodeCountMax", "nodeCountMin", "vmSize"),
    "ContainerApps": (),
    "Functions": (),
    "AppService": ("instances", "sku"),
}
DATA_SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "PostgreSql": ("sku", "storageGb", "tier", "version"),
    "SqlDatabase": ("sku", "tier"),
    "CosmosDb": (),
    "BlobStorage": ("replication",),
    "ServiceBus": ("sku",),
    "Redis": ("sku",),
}
NUMBERS: Final = ("instances", "nodeCountMax", "nodeCountMin", "storageGb")


def require_known(inputs: EnvironmentInputs) -> None:
    """Refuse what Azure cannot honour.

    Raises:
        PlanRefused: with one violation per thing.
    """
    found = [*_capacities(inputs), *_settings(inputs)]
    if found:
        all_ = "; ".join(map(str, found))
        raise PlanRefused(f"Azure cannot give what was asked for: {all_}", details=found)


def _capacities(inputs: EnvironmentInputs) -> Iterator[Violation]:
    for at, target in enumerate(inputs.compute_targets):
        if target.capacity:
            yield Violation(
                "CapacityNotLimited", f"/computeTargets/{at}/capacity",
                "no Azure compute target holds all workloads together to a limit",
                "no capacity; tenant bindings have quotas", ", ".join(sorted(target.capacity)),
            )  # fmt: skip


def _settings(inputs: EnvironmentInputs) -> Iterator[Violation]:
    for at, target in enumerate(inputs.compute_targets):
        place = f"/computeTargets/{at}/settings"
        yield from _judge(place, target.settings, TARGET_SETTINGS[target.kind])
    for at, data in enumerate(inputs.data_resources):
        place = f"/dataResources/{at}/settings"
        yield from _judge(place, data.settings, DATA_SETTINGS[data.kind])


def _judge(place: str, given: Mapping[str, str], known: tuple[str, ...]) -> Iterator[Violation]:
    for name, value in sorted(given.items()):
        if name not in known:
            expected = " | ".join(known) or "no setting"
            yield Violation("UnknownSetting", f"{place}/{name}", "not known", expected, name)
        elif name in NUMBERS and not (value.isascii() and value.isdecimal() and int(value) > 0):
            yield Violation("NotANumber", f"{place}/{name}", "not a count", "1 or more", value)
