"""The effect of a rollback: whether what it brings back differs from what runs. Pure.

A version of a secret that is disabled does not come back, and the place of a tenant never does: a
rollback of nothing else would start the same again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from function_apps.deployments.errors import NothingToTakeBack
from function_apps.deployments.model import bound_secrets, release_unit, replicas
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.facts import Facts
from shared.contracts.releases import ReleasedComponent, ReleasedSecret
from shared.contracts.values import ModuleId

_NAMED_MAX: Final = 5


def require_effect(
    rollback: Deployment,
    back: Sequence[ReleasedComponent],
    running: Sequence[ReleasedComponent],
    facts: Facts,
) -> None:
    """Refuse *rollback*, which brings *back* and takes nothing away, if that is what runs.

    It keeps as many instances as run: fewer of the same are no difference. A job that ran is not
    run again, so that another one is none either. Other kinds of deployments are not refused.

    Raises:
        NothingToTakeBack.
    """
    undone = rollback.rolled_back_deployment_id
    if undone is None or rollback.remove or _is_other(back, running, facts):
        return
    disabled, revoked = _left_out(back, rollback.secrets)
    raise NothingToTakeBack(undone, disabled, revoked)


def others_of(wanted: Deployment, undone: Deployment) -> Sequence[str]:
    """Return the sentence about modules of *wanted* that *undone* did not change; they stay."""
    components = wanted.unit.components if wanted.unit else ()
    others = sorted({each.module_id for each in components} - {*undone.modules})
    if not others:
        return []
    named = ", ".join(others[:_NAMED_MAX]) + (", …" if len(others) > _NAMED_MAX else "")
    what = f"what {undone.deployment_id} did not change of {wanted.release_ref}"
    return [f"{what} stays as it is: {named}"]


def differs(release: Deployment, running: Sequence[ReleasedComponent], facts: Facts) -> bool:
    """Return whether the modules that run would be others as *release* had them."""
    return _is_other(_given_again(release, running, facts), running, facts)


def _given_again(
    release: Deployment, running: Sequence[ReleasedComponent], facts: Facts
) -> Iterator[ReleasedComponent]:
    for module in (each.module_id for each in running):
        component = release.candidate(module)
        own = [fact for fact in facts.values() if fact.module == module]
        if component is not None and component.runs_once is None:
            yield bound_secrets.with_enabled(component, own, 0)


def _is_other(
    back: Iterable[ReleasedComponent], running: Iterable[ReleasedComponent], facts: Facts
) -> bool:
    now = {each.module_id: each for each in running}
    return any(
        each.module_id not in now
        or _content(each) != _content(now[each.module_id])
        or replicas.brings_more(each, now[each.module_id], facts)
        for each in back
    )


def _content(component: ReleasedComponent) -> object:
    """Return what *component* is but for its revision, and its number of instances."""
    asked = release_unit.requested_component(component)
    return (
        asked.model_copy(update={"replicas": None}),
        component.configuration.hash,
        sorted(component.secrets, key=bound_secrets.BY_NAME),
    )


def _left_out(
    back: Iterable[ReleasedComponent], recorded: Mapping[ModuleId, Sequence[ReleasedSecret]]
) -> tuple[Sequence[str], Sequence[str]]:
    """Return each secret that comes back in another version than is recorded, with that; or not."""
    disabled: list[str] = []
    revoked: list[str] = []
    for component in back:
        for secret in recorded.get(component.module_id, ()):
            given = component.secret_versions.get(secret.name)
            if given is None:
                revoked.append(secret.name)
            elif given != secret.version:
                disabled.append(f"{secret.version} of {secret.name}")
    return disabled, revoked
