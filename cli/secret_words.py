"""Sentences about bindings: what one would change, what runs meanwhile, what its end ends."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from cli.secret_bindings import Binding

UNREADABLE: Final = "rotations on their way are not shown: you may not read operations"


def plan_words(plan: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """Return what binding as *body* asks would change, by the answer of a dry run."""
    version = f" (version {plan['version'][:12]})" if plan["version"] else ""
    match plan["change"]:
        case "Nothing":
            return f"is {plan['status']} as it is asked for{version}: nothing would change"
        case _ if plan["refusals"]:
            return "would not be bound"
        case "BindAgain":
            return f"is {plan['status']}: it would be bound again{version}"
        case _:
            return f"would be bound{version or _expected_version(body)}"


def _expected_version(body: Mapping[str, Any]) -> str:
    """Return where the first version of a new binding comes from."""
    if body.get("generator"):
        return ", with the version of its vault, or one that its generator makes"
    return ", if its vault gives it a version"


def left_behind(rotation: Mapping[str, Any], bindings: Sequence[Binding]) -> Iterator[str]:
    """Yield which modules of *bindings* run another version than they are given next.

    So it is after a rollback: they follow *rotation*, which is on its way, again.
    """
    given = {each["bindingId"]: each["version"] for each in bindings}
    for consumer in rotation["consumers"]:
        runs, to = consumer["version"], given.get(consumer["bindingId"])
        if runs and to and runs != to:
            yield (
                f"{consumer['moduleId']} runs {runs[:12]} of {rotation['secretName']}, and is"
                f" given {to[:12]} next: it follows the rotation once more"
            )


def revocation_lines(
    revoked: Binding, env: str, others: Collection[Binding], rotations: Collection[str] | None
) -> Iterator[str]:
    """Yield what becomes of the module, the secret, and its *rotations* that are on their way.

    *others* are the other bindings in *env* of secrets of that name which are not revoked. Of
    *rotations* None is that the caller may not read which there are.
    """
    secret, module = revoked["secretName"], revoked["moduleId"]
    yield (
        f"{module} keeps {revoked['target']} until its next deployment, of whatever kind, which is"
        " not given it; every version stays in the vault"
    )
    if rotations is None:
        yield f"a rotation of {secret}, if one is on its way, goes on; {UNREADABLE}"
    for rotation in rotations or ():
        yield (
            f"the rotation of {secret} goes on, and disables its old versions: "
            f"`runtimectl secret rotation {rotation} --wait --until-revoked`"
        )
    if not any(each["vaultUri"] == revoked["vaultUri"] for each in others):
        yield (
            f"no module is bound to {secret} any more, so no rotation of it begins: for one that"
            f" leaked, bind it again (`runtimectl secret bind {secret} --env {env}"
            f" --module {module} --target {revoked['target']}{_more(revoked)}`"
            f"{_only_in_a_file(revoked)}), then rotate it"
        )


def _more(binding: Binding) -> str:
    """Return the other options that bind a secret as *binding* had it."""
    generator = binding.get("generator") or {}
    settings, rotation = generator.get("settings") or {}, binding.get("rotation") or {}
    options = {
        "delivery": binding["delivery"],
        "vault": binding["vaultUri"] if binding["external"] else None,
        "generator": generator.get("kind"),
        "resource": settings.get("resource"),
        "rotate-every": rotation.get("every"),
    }
    said = [f"--{name} {value}" for name, value in options.items() if value]
    said += ["--external"] if binding["external"] else []
    return " ".join(["", *said])


def _only_in_a_file(binding: Binding) -> str:
    """Return that no option has all of what *binding* had, if that is so."""
    from shared.contracts.secret_bindings import SecretBinding  # noqa: PLC0415  slow to import

    had = SecretBinding.model_validate(binding).model_dump(by_alias=True, exclude_defaults=True)
    generator, rotation = had.get("generator") or {}, had["rotation"]
    more = {*generator, *generator.get("settings", ()), *rotation}
    if more <= {"kind", "settings", "resource", "every"}:
        return ""
    return "; the rest of its generator, or of its rotation, only `secrets:` of a release file has"
