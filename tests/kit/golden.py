"""Histories of orchestrations, recorded from the running system, and replayed by later versions.

`python -m tests.kit.golden` records what is missing in `tests/golden/`, stored documents included;
files that are there stay, because instances that began under a released version go on under the
next one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local_host.durable import history, records
from local_host.durable.history import EventType
from local_host.durable.history_replay import HistoryReplay
from local_host.durable.library_replay import EpisodeOutcome, TextReplay
from local_host.durable.settings import DurableSettings
from shared.contracts.entities import FACTORY_EVENTS
from shared.contracts.tenants import TenantProvisioned
from tests.kit.costs import SERVICES
from tests.kit.git_sources import follow
from tests.kit.golden_documents import record_missing
from tests.kit.memory_cluster import Behaviour
from tests.kit.releases import (
    deploy,
    ended,
    provisioned,
    publish,
    scaled,
    set_objective,
    until_status,
    uploaded,
)
from tests.kit.sending import send
from tests.kit.tampered import tampered
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

FOLDER: Final = Path(__file__).resolve().parents[1] / "golden"


@dataclass(frozen=True)
class Recorded:
    """One instance from its start to its end. `given` is its input, JSON text."""

    name: str
    version: int
    instance: str
    execution: str
    given: str | None
    output: Any
    events: Sequence[Mapping[str, Any]]


def current() -> Mapping[str, int]:
    """Return each orchestration with the version that is registered now."""
    found: dict[str, int] = {}
    for name, module in SERVICES.items():
        table = getattr(module, "ORCHESTRATIONS", {})
        found |= {f"{name}_{each.__name__}": version for each, version in table.items()}
    return found


def goldens() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def load(path: Path) -> Recorded:
    return Recorded(**json.loads(path.read_text()))


class _Everything:
    """Every function is known: what exists today is not what is asked here."""

    def refusal_of(self, kind: EventType, name: str) -> str | None:
        return None


def handlers() -> Mapping[str, Any]:
    """Return what the library calls for each orchestration, as the host has indexed it."""

    async def main() -> Mapping[str, Any]:
        world = World()
        await world.boot()
        found = {each.name: each.handler for app in world.host.apps for each in app.functions}
        await world.stop()
        return found

    return run_virtual(main())


def replay(recorded: Recorded, handler: Any) -> tuple[EpisodeOutcome, str | None]:
    """Replay *recorded* whole; return what the code says now, and where it departs, if it does."""
    settings = DurableSettings()
    head = {
        "input": json.loads(recorded.given) if recorded.given else None,
        "instanceId": recorded.instance,
        "isReplaying": True,
        "parentInstanceId": None,
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 2,
        "longRunningTimerIntervalDuration": settings.long_timer_interval,
        "maximumShortTimerDuration": settings.short_timer_max,
        "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
    }
    events: list[Any] = [dict(each) for each in recorded.events]
    outcome = TextReplay(handler).feed(lambda: head, events)
    walk = HistoryReplay(recorded.execution, [recorded.instance], _Everything(), settings)
    walk.proceed(events, outcome.actions, is_amended=False)
    return outcome, outcome.defect or walk.refusal


async def _live(world: World) -> None:
    """Provision, publish, release twice, turn one back, and take everything down."""
    environment = await provisioned(world)
    path = f"/runtime/environments/{environment}"
    await publish(world, environment, 1, "module-web")
    await _bind(world, environment)
    await _bind_tenant(world, environment)
    body = {"scope": {"layer": "tenant"}, "values": {"greeting": "hello"}, "expectedVersion": 0}
    await world.call("POST", "/runtime/configurations", body)
    slow = await uploaded(world, "slow")
    world.surface.behaviours[slow] = Behaviour(latency_ms=400.0)
    await _rotate(world)
    for release in ("1", "2", "slow"):
        await ended(world, await deploy(world, environment, release))
        await set_objective(world)
    await scaled(world)
    await tampered(world, environment)
    await follow(world, environment)
    await world.call("DELETE", f"{path}?confirm=shop")
    await until_status(world, path, {"Decommissioned"})


async def _bind(world: World, environment: str) -> None:
    """Bind a secret that is made, and one that is not there."""
    body = {"environmentId": environment, "moduleId": "module-web", "delivery": "reference"}
    for name, generator in (("db-password", {"kind": "random"}), ("api-key", None)):
        asked = {**body, "secretName": name, "target": name, "generator": generator}
        await world.call("POST", "/runtime/secret-bindings", asked)
    await world.clock.sleep(5)


async def _bind_tenant(world: World, environment: str) -> None:
    """Bind the tenant, which was provisioned, unbind it, and bind it again."""
    said = {"tenantId": "acme", "name": "Acme", "isolationModel": "shared"}
    await send(FACTORY_EVENTS, TenantProvisioned.model_validate(said), 800)
    body = {"environmentId": environment}
    _, bound = await world.call("POST", "/runtime/tenant-bindings", body)
    path = f"/runtime/tenant-bindings/{bound['bindingId']}"
    await until_status(world, path, {"Enforced"})
    await world.call("DELETE", f"{path}?confirm=acme")
    await until_status(world, path, {"Unbound"})
    await world.call("POST", "/runtime/tenant-bindings", body)
    await until_status(world, path, {"Enforced"})


async def _rotate(world: World) -> None:
    """Rotate the secret that is bound: to one that is made, and to one that is not there."""
    _, bindings = await world.call("GET", "/runtime/secret-bindings?status=Bound")
    path = f"/runtime/secret-bindings/{bindings['value'][0]['bindingId']}/rotate"
    for order in ({}, {"version": "0" * 32}):
        await world.call("POST", path, order)
        await world.clock.sleep(60)


def _recorded(world: World) -> Iterator[Recorded]:
    query = "SELECT id, execution, name, input, output FROM durable_instances WHERE status = ?"
    rows = world.database.read(lambda c: c.execute(query, (records.COMPLETED,)).fetchall())
    for instance, execution, name, given, output in rows:
        pieces = world.database.read(lambda c, i=instance: records.history(c, "World", i))
        told = json.loads(output)
        yield Recorded(
            name, told["version"], instance, execution, given, told, history.decode(pieces)
        )


def _text(recorded: Recorded) -> str:
    """Return JSON with one event a line, so that a difference can be read."""
    fields = vars(recorded) | {"events": []}
    events = ",\n".join(json.dumps(each, separators=(",", ":")) for each in recorded.events)
    head = json.dumps(fields, indent=1).removesuffix("[]\n}")
    return f"{head}[\n{events}\n]\n}}\n"


def record() -> Sequence[Path]:
    """Write a golden for each orchestration, version and kind of outcome that has none."""

    async def main() -> tuple[list[Recorded], list[Path]]:
        world = World(requests_per_s=30)
        await world.boot()
        await _live(world)
        found, documents = list(_recorded(world)), await record_missing(world)
        await world.stop()
        return found, list(documents)

    histories, written = run_virtual(main())
    for each in sorted(histories, key=lambda each: len(each.events)):
        outcome = each.output["outcome"]
        kind = outcome if isinstance(outcome, str) else str(outcome.get("status", "ended"))
        path = FOLDER / f"{each.name}.v{each.version}.{kind.lower()}.json"
        if not path.exists():
            path.write_text(_text(each))
            written.append(path)
    return written


if __name__ == "__main__":
    for path in record():
        print(f"recorded {path.name}")  # noqa: T201  the command's output
