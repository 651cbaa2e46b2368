"""The secrets that modules lose, as their bindings were revoked, in words. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from function_apps.deployments.model.facts import SECRET, Facts
from shared.contracts.deployment_plans import secret_left_out
from shared.contracts.releases import ReleasedComponent, ReleasedSecret
from shared.contracts.values import ModuleId

Had = Mapping[ModuleId, Sequence[ReleasedSecret]]
"""The secrets that modules had, in what runs or in an earlier release."""


def secrets_of(components: Iterable[ReleasedComponent]) -> Had:
    """Return what each of *components* has."""
    return {each.module_id: each.secrets for each in components}


def not_given(running: Had, planned: Iterable[ReleasedComponent], facts: Facts) -> Sequence[str]:
    """Return a sentence for each secret that *running* has, and that *planned* gives no more.

    What it gives in its place, another secret or a variable of `environ`, is no loss.
    """
    return [
        f"{secret_left_out(module, secret.name)} as {secret.target} ({secret.delivery}) now, and"
        " is given it no more: its binding was revoked"
        for module, secret in _lost(running, planned, facts)
    ]


def not_brought_back(
    earlier: Had, back: Iterable[ReleasedComponent], facts: Facts, running: Had
) -> Sequence[str]:
    """Return a sentence for each secret that *earlier* had, and that *back* is started without.

    What is *running* with it is told of by `not_given`.
    """
    return [
        f"{module} does not get the secret {_named(secret)} back: its binding was revoked"
        for module, secret in _lost(earlier, back, facts)
        if secret.name not in {each.name for each in running.get(module, ())}
    ]


def _lost(
    had: Had, planned: Iterable[ReleasedComponent], facts: Facts
) -> Iterator[tuple[ModuleId, ReleasedSecret]]:
    of_secrets = [each for each in facts.values() if each.kind == SECRET]
    revoked = {(each.module, each.name) for each in of_secrets if not each.version}
    for component in planned:
        module = component.module_id
        places = {(each.delivery, each.target) for each in component.secrets}
        for secret in had.get(module, ()):
            is_given = (secret.delivery, secret.target) in places
            is_replaced = is_given or secret.target in component.environ
            if (module, secret.name) in revoked and not is_replaced:
                yield module, secret


def _named(secret: ReleasedSecret) -> str:
    return f"{secret.name} as {secret.target} ({secret.delivery})"
