"""Every command that has a queue: its name, the one service that handles it, and who sends it.

The name is that of its type, which is not imported: see `events`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from shared.contracts.entities import command_queue
from shared.contracts.values import Service
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class CommandType:
    """One row. A command without senders comes from people and other platforms."""

    name: str
    """The `eventType` of the envelope: the command type's name."""
    handler: Service
    senders: frozenset[Service]

    @property
    def queue(self) -> str:
        return command_queue(self.handler)


_S = Service


def _row(name: str, handler: Service, senders: Iterable[Service] = ()) -> CommandType:
    return CommandType(name, handler, frozenset(senders))


_ROWS: Final = (
    _row("ProvisionEnvironment", _S.ENVIRONMENTS),
    _row("UpdateEnvironment", _S.ENVIRONMENTS),
    _row("RepairEnvironment", _S.ENVIRONMENTS, {_S.DRIFT}),
    _row("DecommissionEnvironment", _S.ENVIRONMENTS),
    _row("Deploy", _S.DEPLOYMENTS, {_S.DRIFT}),
    _row("RollbackDeployment", _S.DEPLOYMENTS),
    _row("PromoteDeployment", _S.DEPLOYMENTS),
    _row("RollOutConfiguration", _S.DEPLOYMENTS, {_S.DEPLOYMENTS, _S.CONFIGURATIONS}),
    _row("RollOutSecretVersion", _S.DEPLOYMENTS, {_S.SECRET_BINDINGS}),
    _row("WithdrawSecretVersions", _S.DEPLOYMENTS, {_S.SECRET_BINDINGS}),
    _row("RelocateWorkload", _S.DEPLOYMENTS, {_S.TENANTS}),
    _row("ConfirmCutOver", _S.DEPLOYMENTS, {_S.TENANTS}),
    _row("RemediateDrift", _S.DEPLOYMENTS, {_S.DRIFT}),
    _row("PublishConfiguration", _S.CONFIGURATIONS, {_S.DRIFT}),
    _row("AdoptRelease", _S.CONFIGURATIONS, {_S.CONFIGURATIONS}),
    _row("BindSecret", _S.SECRET_BINDINGS),
    _row("RotateSecret", _S.SECRET_BINDINGS, {_S.SECRET_BINDINGS}),
    _row("ProveRelease", _S.SECRET_BINDINGS, {_S.SECRET_BINDINGS}),
    _row("ConfirmWithdrawal", _S.SECRET_BINDINGS, {_S.DEPLOYMENTS}),
    _row("BindTenant", _S.TENANTS),
    _row("MoveTenant", _S.TENANTS),
    _row("AdvanceMove", _S.TENANTS, {_S.TENANTS, _S.DEPLOYMENTS}),
    _row("UnbindTenant", _S.TENANTS),
    _row("EvaluateGate", _S.HEALTH, {_S.DEPLOYMENTS}),
    _row("WatchRelease", _S.HEALTH, {_S.HEALTH}),
    _row("RecordRelease", _S.CATALOG, {_S.CATALOG}),
    _row("RetireService", _S.CATALOG, {_S.CATALOG}),
    _row("ApplyScalingPolicy", _S.SCALING, {_S.DRIFT}),
    _row("ScaleRelease", _S.SCALING, {_S.SCALING}),
    _row("HoldScaling", _S.SCALING, {_S.SCALING}),
    _row("CompareRelease", _S.DRIFT, {_S.DRIFT}),
)

COMMANDS: Final[Mapping[str, CommandType]] = MappingProxyType({row.name: row for row in _ROWS})
