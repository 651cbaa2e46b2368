"""The effect of a rollback: whether what it brings back differs from what runs. Pure.

A version of a secret that is disabled does not come back, and the place of a tenant never does: a
rollback of nothing else would start the same again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from function_apps.deployments.errors import NothingToTakeBack
from function_apps.deployments.model import bound_secrets, release_unit
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.facts import Facts
from shared.contracts.releases import ReleasedComponent, ReleasedSecret
from shared.contracts.values import ModuleId


def require_effect(
    rollback: Deployment, back: Sequence[ReleasedComponent], running: Sequence[ReleasedComponent]
) -> None:
    """Refuse *rollback*, which brings *back*, if that is what runs of its modules.

    How many instances it has by now is no difference. Other kinds of deployments are not refused.

    Raises:
        NothingToTakeBack.
    """
    undone = rollback.rolled_back_deployment_id
    if undone is not None and _contents(back) == _contents(running):
        raise NothingToTakeBack(undone, tuple(_left_out(back, rollback.secrets)))


def differs(release: Deployment, running: Sequence[ReleasedComponent], facts: Facts) -> bool:
    """Return whether the modules that run would be others as *release* had them."""
    return _contents(_given_again(release, running, facts)) != _contents(running)


def _given_again(
    release: Deployment, running: Sequence[ReleasedComponent], facts: Facts
) -> Iterator[ReleasedComponent]:
    for module in (each.module_id for each in running):
        component = release.candidate(module)
        own = [fact for fact in facts.values() if fact.module == module]
        if component is not None:
            yield bound_secrets.with_enabled(component, own, 0)


def _contents(components: Iterable[ReleasedComponent]) -> Mapping[ModuleId, object]:
    """Return what each component is but for its revision, and the number that it has by now."""
    return {
        each.module_id: (
            release_unit.requested_component(each),
            each.configuration.hash,
            sorted(each.secrets, key=bound_secrets.BY_NAME),
        )
        for each in components
    }


def _left_out(
    back: Iterable[ReleasedComponent], recorded: Mapping[ModuleId, Sequence[ReleasedSecret]]
) -> Iterator[str]:
    """Yield each secret that comes back in another version than is recorded, with that."""
    for component in back:
        for secret in recorded.get(component.module_id, ()):
            if component.secret_versions.get(secret.name) not in {None, secret.version}:
                yield f"{secret.version} of {secret.name}"
