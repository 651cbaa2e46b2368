"""Restarts of the instances of one service: which are news, and which are a crash loop.

They are counted as Kubernetes counts them: by the surface, for each instance, from its first start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from shared.contracts.health import HealthDefaults
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass
from shared.surfaces.observed_state import Instance

_NAMED_MAX: Final = 3
"""Of the instances of a service, in a reason: they usually restart for the same one."""


@dataclass(frozen=True)
class InstanceRestarts:
    """The restarts of one instance, and when health noticed the last of them, oldest first."""

    restarts: int
    last_exit: str = ""
    noticed_at: tuple[str, ...] = ()
    is_crash_loop: bool = False


_NONE: Final = InstanceRestarts(0)
Restarts = Mapping[str, InstanceRestarts]
"""By the name of the instance."""


def record_restarts(
    before: Restarts,
    instances: Sequence[Instance],
    now: datetime,
    rules: HealthDefaults,
    released_at: str = "",
) -> Restarts:
    """Return the restarts of *instances* as they are now.

    Those of an instance that was not known before are news if the last came after *released_at*,
    when its release was in force.
    """
    return {
        each.id: _recorded(before.get(each.id) or _first(each, released_at), each, now, rules)
        for each in instances
    }


def _first(instance: Instance, released_at: str) -> InstanceRestarts:
    is_news = isoformat(instance.started_at) > released_at
    return _NONE if is_news else InstanceRestarts(instance.restarts)


def _recorded(
    known: InstanceRestarts, instance: Instance, now: datetime, rules: HealthDefaults
) -> InstanceRestarts:
    if instance.restarts < known.restarts:
        return InstanceRestarts(instance.restarts, instance.last_exit)
    news = (isoformat(now),) * min(instance.restarts - known.restarts, rules.crash_loop_restarts)
    if not news:
        return replace(known, is_crash_loop=known.is_crash_loop and not _is_over(known, now, rules))
    noticed_at = (*known.noticed_at, *news)[-rules.crash_loop_restarts :]
    is_often = (
        len(noticed_at) >= rules.crash_loop_restarts
        and now - parse_instant(noticed_at[0]) <= rules.crash_loop_within
    )
    is_crash_loop = is_often or (known.is_crash_loop and not _is_over(known, now, rules))
    return InstanceRestarts(instance.restarts, instance.last_exit, noticed_at, is_crash_loop)


def _is_over(restarts: InstanceRestarts, now: datetime, rules: HealthDefaults) -> bool:
    """Return whether an instance in a crash loop has stayed up."""
    return now - parse_instant(restarts.noticed_at[-1]) >= rules.crash_loop_over


def restarted(before: Restarts, after: Restarts) -> Restarts:
    """Return those of *after* that restarted since *before*."""
    return {
        name: each
        for name, each in after.items()
        if each.noticed_at and each.restarts > before.get(name, _NONE).restarts
    }


def has_crash_loop(restarts: Restarts) -> bool:
    return any(each.is_crash_loop for each in restarts.values())


def has_restart_near(restarts: Restarts, at: datetime, within: timedelta) -> bool:
    """Return whether a restart was noticed at most *within* before or after *at*."""
    return any(
        abs(parse_instant(noticed) - at) <= within
        for each in restarts.values()
        for noticed in each.noticed_at
    )


def _is_recent(restarts: InstanceRestarts, now: datetime, rules: HealthDefaults) -> bool:
    if restarts.is_crash_loop:
        return True
    last = restarts.noticed_at[-1:]
    return bool(last) and now - parse_instant(last[0]) <= rules.crash_loop_within


def describe_restarts(restarts: Restarts, now: datetime, rules: HealthDefaults) -> str:
    """Return the latest restarts and the crash loops in words; empty when there are none."""
    recent = {name: each for name, each in restarts.items() if _is_recent(each, now, rules)}
    by_need = sorted(recent, key=lambda name: (not recent[name].is_crash_loop, name))
    sentences = [_sentence(name, recent[name]) for name in by_need[:_NAMED_MAX]]
    if len(by_need) > _NAMED_MAX:
        sentences.append(f"{len(by_need) - _NAMED_MAX} other instances restarted too")
    return "; ".join(sentences)


def _sentence(name: str, restarts: InstanceRestarts) -> str:
    times = "once" if restarts.restarts == 1 else f"{restarts.restarts} times"
    loop = " and is in a crash loop" if restarts.is_crash_loop else ""
    return f"{name} restarted {times}{loop}, last: {restarts.last_exit}"
