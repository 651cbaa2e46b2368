"""The refusals of secret_bindings, by name."""

from collections.abc import Sequence

from shared.kernel.errors import Conflict, Invalid, NotFound, Violation


class BindingNotFound(NotFound):
    """No such binding in the caller's tenant."""

    def __init__(self, binding_id: str) -> None:
        super().__init__(f"no secret binding {binding_id!r}")


class BindingExists(Conflict):
    """The module has a binding of that secret, with other content."""

    def __init__(self, binding_id: str, differing: Sequence[Violation]) -> None:
        names = ", ".join(each.target for each in differing)
        super().__init__(
            f"{binding_id} is there with another {names}: revoke it, and bind the secret again",
            details=differing,
        )


class TargetTaken(Conflict):
    """Another secret of the module is given in the same place."""

    def __init__(self, module_id: str, target: str, binding_id: str) -> None:
        super().__init__(
            f"{module_id} is given another secret as {target}, by {binding_id}: name another place",
            target="/target",
        )


class EnvironmentNotProvisioned(NotFound):
    """The environment of a binding is not one that was provisioned in the caller's tenant."""

    def __init__(self, environment_id: str, state: str) -> None:
        super().__init__(
            f"{environment_id} {state}; expected an environment that is provisioned",
            target="/environmentId",
        )


class VaultNotOfEnvironment(Invalid):
    """A vault that is not the environment's own belongs to somebody else."""

    def __init__(self, vault_uri: str, own: str) -> None:
        super().__init__(
            f"{vault_uri} is not the environment's own vault, {own}: leave vaultUri out, or say"
            " external, and then nothing is made or disabled there",
            target="/vaultUri",
        )


class VaultOfAnEnvironment(Invalid):
    """The vault of an environment is not external: what is in it is bound there."""

    def __init__(self, vault_uri: str) -> None:
        super().__init__(
            f"{vault_uri} is the vault of an environment: bind its secrets in that environment,"
            " without external",
            target="/vaultUri",
        )


class GeneratorNotSupported(Invalid):
    """No version can be made in the way that is asked for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, target="/generator")


class SecretHasNoVersion(Conflict):
    """The vault has no version of the secret that is enabled, and no generator makes one."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the vault has no enabled version of {name}: set one there, or name a generator; then"
            " bind it again"
        )


class ConsumersFull(Conflict):
    """A secret has as many consumers as it may have."""
