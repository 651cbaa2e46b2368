"""Components that run to their end: what they cannot have, and what a rollback leaves out."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from function_apps.deployments.model.deployment import Deployment
from shared.contracts.components import Component
from shared.contracts.deployments import EndReason
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ModuleId, Reason
from shared.kernel.errors import Violation

_REASON_MAX: Final = 2048


def refusals(component: Component, at: str) -> Iterator[Violation]:
    """Yield each field at *at* that a component cannot have which runs to its end."""
    kind = "runsOnce" if component.schedule is None else "schedule"
    probes = component.probes
    rows = (
        ("port", component.port),
        ("pathPrefix", component.path_prefix),
        ("release", component.release),
        ("probes/startup", probes.startup),
        ("probes/readiness", probes.readiness),
        ("probes/liveness", probes.liveness),
        ("replicas", None if component.replicas in {None, 0, 1} else component.replicas),
    )
    for name, value in rows:
        if value is not None:
            yield Violation(
                "NotForJobs",
                f"{at}/{name}",
                f"{component.module_id} has {kind}: one instance of it runs to its end, and takes"
                f" no requests, so it can have no {name}",
                "1" if name == "replicas" else "nothing",
                str(value)[:128],
            )


def left_out(rollback: Deployment) -> tuple[Reason, ...]:
    """Return which jobs *rollback*, of a release that is in force, leaves as they are."""
    if not rollback.jobs_left_out:
        return ()
    return (Reason(code="JobNotRunAgain", message=_sentence(rollback.jobs_left_out)),)


def with_left_out(reason: EndReason, previous: Sequence[ReleasedComponent]) -> EndReason:
    """Return *reason* of a release that went back, with the jobs that were not run for that."""
    modules = modules_of(previous)
    if not modules:
        return reason
    said = _sentence(modules)
    message = f"{reason.message[: _REASON_MAX - len(said) - 2]}; {said}"
    return reason.model_copy(update={"message": message})


def modules_of(components: Iterable[ReleasedComponent]) -> tuple[ModuleId, ...]:
    return tuple(each.module_id for each in components if each.runs_once is not None)


def _sentence(modules: Sequence[ModuleId]) -> str:
    return f"a rollback runs no job again: {', '.join(modules)}"
