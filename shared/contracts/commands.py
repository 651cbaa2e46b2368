"""Every command that has a queue: its type, the one service that handles it, and who sends it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from shared.contracts import (
    catalog,
    configurations,
    deployments,
    drift,
    environments,
    gates,
    health,
    promotions,
    roll_outs,
    scaling,
    secret_bindings,
    secret_proofs,
    tenants,
)
from shared.contracts.entities import command_queue
from shared.contracts.shape import Command
from shared.contracts.values import Service
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class CommandType:
    """One row. A command without senders comes from people and other platforms."""

    payload: type[Command]
    handler: Service
    senders: frozenset[Service]

    @property
    def name(self) -> str:
        """The `eventType` of the envelope: the command type's name."""
        return self.payload.__name__

    @property
    def queue(self) -> str:
        return command_queue(self.handler)


_S = Service


def _row(payload: type[Command], handler: Service, senders: Iterable[Service] = ()) -> CommandType:
    return CommandType(payload, handler, frozenset(senders))


_ROWS: Final = (
    _row(environments.ProvisionEnvironment, _S.ENVIRONMENTS),
    _row(environments.UpdateEnvironment, _S.ENVIRONMENTS),
    _row(environments.RepairEnvironment, _S.ENVIRONMENTS, {_S.DRIFT}),
    _row(environments.DecommissionEnvironment, _S.ENVIRONMENTS),
    _row(deployments.Deploy, _S.DEPLOYMENTS, {_S.DRIFT}),
    _row(deployments.RollbackDeployment, _S.DEPLOYMENTS),
    _row(promotions.PromoteDeployment, _S.DEPLOYMENTS),
    _row(roll_outs.RollOutConfiguration, _S.DEPLOYMENTS, {_S.DEPLOYMENTS, _S.CONFIGURATIONS}),
    _row(roll_outs.RollOutSecretVersion, _S.DEPLOYMENTS, {_S.SECRET_BINDINGS}),
    _row(roll_outs.WithdrawSecretVersions, _S.DEPLOYMENTS, {_S.SECRET_BINDINGS}),
    _row(roll_outs.RelocateWorkload, _S.DEPLOYMENTS, {_S.TENANTS}),
    _row(roll_outs.ConfirmCutOver, _S.DEPLOYMENTS, {_S.TENANTS}),
    _row(roll_outs.RemediateDrift, _S.DEPLOYMENTS, {_S.DRIFT}),
    _row(configurations.PublishConfiguration, _S.CONFIGURATIONS, {_S.DRIFT}),
    _row(configurations.AdoptRelease, _S.CONFIGURATIONS, {_S.CONFIGURATIONS}),
    _row(secret_bindings.BindSecret, _S.SECRET_BINDINGS),
    _row(secret_bindings.RotateSecret, _S.SECRET_BINDINGS, {_S.SECRET_BINDINGS}),
    _row(secret_proofs.ProveRelease, _S.SECRET_BINDINGS, {_S.SECRET_BINDINGS}),
    _row(secret_proofs.ConfirmWithdrawal, _S.SECRET_BINDINGS, {_S.DEPLOYMENTS}),
    _row(tenants.BindTenant, _S.TENANTS),
    _row(tenants.MoveTenant, _S.TENANTS),
    _row(tenants.AdvanceMove, _S.TENANTS, {_S.TENANTS, _S.DEPLOYMENTS}),
    _row(tenants.UnbindTenant, _S.TENANTS),
    _row(gates.EvaluateGate, _S.HEALTH, {_S.DEPLOYMENTS}),
    _row(health.WatchRelease, _S.HEALTH, {_S.HEALTH}),
    _row(catalog.RecordRelease, _S.CATALOG, {_S.CATALOG}),
    _row(catalog.RetireService, _S.CATALOG, {_S.CATALOG}),
    _row(scaling.ApplyScalingPolicy, _S.SCALING, {_S.DRIFT}),
    _row(scaling.ScaleRelease, _S.SCALING, {_S.SCALING}),
    _row(scaling.HoldScaling, _S.SCALING, {_S.SCALING}),
    _row(drift.CompareRelease, _S.DRIFT, {_S.DRIFT}),
)

COMMANDS: Final[Mapping[str, CommandType]] = MappingProxyType({row.name: row for row in _ROWS})
