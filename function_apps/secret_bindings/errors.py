"""The refusals of secret_bindings, by name."""

from collections.abc import Sequence

from shared.kernel.errors import Conflict, Invalid, NotFound, Violation


class BindingNotFound(NotFound):
    """No such binding in the caller's tenant."""

    def __init__(self, binding_id: str) -> None:
        super().__init__(f"no secret binding {binding_id!r}")


class BindingExists(Conflict):
    """The module has a binding of that secret, with other content."""

    def __init__(
        self, name: str, module_id: str, binding_id: str, differing: Sequence[Violation]
    ) -> None:
        fields = ", ".join(each.target.removeprefix("/") for each in differing)
        super().__init__(
            f"{name} is bound to {module_id} already, by {binding_id}, with another {fields}:"
            " revoke that, and bind the secret again",
            details=differing,
        )


class TargetTaken(Conflict):
    """Another secret of the module is given in the same place."""

    def __init__(self, module_id: str, target: str, name: str, binding_id: str) -> None:
        super().__init__(
            f"{module_id} is given {name} as {target}, by {binding_id}: name another place",
            target="/target",
        )


class EnvironmentNotProvisioned(NotFound):
    """The environment of a binding is not one that was provisioned in the caller's tenant."""

    def __init__(self, environment_id: str, state: str) -> None:
        super().__init__(
            f"{environment_id} {state}; expected an environment that is provisioned",
            target="/environmentId",
        )


class TenantSuspended(Conflict):
    """The tenant's binding to the environment is suspended."""

    def __init__(self, environment_id: str, *, is_foreign: bool) -> None:
        whose = ", another tenant's: ask its owner to resume it, unless its own tenant suspended it"
        super().__init__(
            f"the tenant is suspended in {environment_id}{whose if is_foreign else ''};"
            " no secret is bound until it is resumed"
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


class BindingsFull(Conflict):
    """A module has as many secrets as it may have."""

    def __init__(self, module_id: str, most: int) -> None:
        super().__init__(
            f"{module_id} has {most} secrets, as many as a release unit records: revoke one first",
            target="/secretName",
        )


class VersionsFull(Conflict):
    """A secret has more enabled versions than one rotation disables."""

    def __init__(self, name: str, enabled: int, most: int) -> None:
        super().__init__(
            f"{name} has {enabled} enabled versions, and a rotation disables {most} at most:"
            " disable in the vault what nobody uses"
        )


class ConsumersFull(Conflict):
    """A secret has as many consumers as it may have."""


class SecretNameReserved(Invalid):
    """The secret is an administrator's login, which the platform keeps to itself."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is the login of an administrator of a data resource: bind a secret of another"
            " name, with a generator of kind databasePassword",
            target="/secretName",
        )


class RotationNotFound(NotFound):
    """No such rotation in the caller's tenant."""

    def __init__(self, rotation_id: str) -> None:
        super().__init__(f"no secret rotation {rotation_id!r}")


class BindingNotBound(Conflict):
    """Only the secret of a binding that is Bound is rotated."""

    def __init__(self, binding_id: str, status: str) -> None:
        super().__init__(f"{binding_id} is {status}: only the secret of a Bound one is rotated")


class RotationInFlight(Conflict):
    """One rotation of a secret at a time."""

    def __init__(
        self, name: str, rotation_id: str, operation_id: str, differing: Sequence[Violation]
    ) -> None:
        names = ", ".join(each.target.removeprefix("/") for each in differing)
        super().__init__(
            f"{name} is being rotated by {rotation_id}, with another {names}: wait for it, or"
            f" cancel {operation_id}",
            details=differing,
        )


class VersionInForce(Conflict):
    """The version that is asked for is in force, or the vault has no newer one."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            f"version {version} of {name} is in force already: set another in the vault",
            target="/version",
        )


class GeneratorMissing(Conflict):
    """No new version can be made: no binding of the secret names a generator."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} has no generator: set a version in the vault, and name it", target="/version"
        )


class VersionUnusable(Conflict):
    """The version that is asked for is not in the vault, or disabled, or several begin as it."""

    def __init__(
        self, name: str, version: str, more: str = "", what: str = "no enabled version"
    ) -> None:
        message = f"the vault has {what} {version} of {name}{more}"
        super().__init__(message, target="/version")


class ConsumerRolledBack(Conflict):
    """A consumer did not come up with the new version: its deployment says why."""

    def __init__(self, module_id: str, version: str, why: str) -> None:
        super().__init__(
            f"{module_id} did not come up with version {version}:"
            f" {why or 'look at its last deployment'}"
        )


class ProofMissing(Conflict):
    """A consumer did not prove the new version."""

    def __init__(self, module_id: str, version: str, after: str) -> None:
        super().__init__(f"{module_id} has not proved version {version} after {after}")


class ReleaseOnItsWay(Conflict):
    """deployments did not confirm that a module is given no older version."""

    def __init__(self, module_id: str, version: str, after: str) -> None:
        super().__init__(
            f"after {after} deployments has not confirmed that {module_id} is given no version"
            f" before {version}: a deployment that began before is on its way, or the event of its"
            " binding has not come"
        )


class LoginNotRetired(Conflict):
    """The login of an old version is not known, so the data resource cannot refuse it."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            f"version {version} of {name} is disabled, or gone: its login is not known, and the"
            " data resource takes it still"
        )


class GeneratorDiffers(Conflict):
    """The other consumers of a secret have versions that another generator makes."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"versions of {name} are made by another generator, for its other consumers: name the"
            " same, or none",
            target="/generator",
        )
