"""What a revoked binding ends, and what goes on, in sentences."""

from collections.abc import Collection, Iterator

from cli.secret_bindings import Binding


def revocation_lines(
    revoked: Binding, env: str, others: Collection[Binding], rotations: Collection[str]
) -> Iterator[str]:
    """Yield what becomes of the module, the secret, and its *rotations* that are on their way.

    *others* are the other bindings in *env* of secrets of that name which are not revoked.
    """
    secret, module = revoked["secretName"], revoked["moduleId"]
    yield (
        f"{module} keeps {revoked['target']} until its next deployment, of whatever kind, which is"
        " not given it; every version stays in the vault"
    )
    for rotation in rotations:
        yield (
            f"the rotation of {secret} goes on, and disables its old versions: "
            f"`runtimectl secret rotation {rotation} --wait --until-revoked`"
        )
    if not any(each["vaultUri"] == revoked["vaultUri"] for each in others):
        yield (
            f"no module is bound to {secret} any more, so it is not rotated: for one that leaked,"
            f" bind it again (`runtimectl secret bind {secret} --env {env} --module {module}"
            f" --target {revoked['target']}{_more(revoked)}`), then rotate it"
        )


def _more(binding: Binding) -> str:
    """Return the other options that bind a secret as *binding* had it."""
    external = f" --vault {binding['vaultUri']} --external" if binding["external"] else ""
    return f" --delivery {binding['delivery']}{external}"
