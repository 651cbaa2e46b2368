"""Crash sweeps: kill a world at every point in turn; the end is that of the undisturbed run."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

from function_apps.tenants.resources import erasure_shown
from shared.kernel.operation import SUPERSEDED
from shared.messaging.outbox import OUTBOX_TYPE
from shared.persistence.store import Document
from tests.kit.mortal import Fate
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

Scenario = Callable[[World], Awaitable[None]]
"""What a client does. It may be run again from its start, as a client would that got no answer."""

_TIMES: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_MEASUREMENTS: Final = re.compile(r"\b\d+(?:\.\d+)?(?= (?:ms|requests)\b)")
"""In the sentence of a verdict."""
_IDS: Final = (
    (re.compile(r"evt-[0-9a-f-]{36}"), "evt"),
    (
        re.compile(r"(op-[a-z-]+-[a-z2-7]{12}(?:-[a-z2-7]{10})?|dep-[a-z2-7]{12})-[0-9a-z]{16}"),
        r"\1",
    ),
    (re.compile(r"(gate-[a-z2-7]{12}-[a-z2-7]{10})-[0-9a-z]{16}"), r"\1"),
    (re.compile(r"(dl-[a-z-]+)-[0-9]+"), r"\1"),
    (re.compile(r"(idem)/[0-9a-f]{40}"), r"\1"),
    (re.compile(r"[0-9a-z-]{12} (\d+)$"), r"run \1"),  # a run's id follows from the trace id
    (re.compile(r"(trace|corr)-[0-9a-f-]{32,36}"), r"\1"),
)
POINTS_MIN: Final = 20
_MEASURED: Final = frozenset({"evidence", "latencyMs", "pid", "requests", "samples"})
"""What was measured at some time: equal runs differ in these."""


def normal(value: Any) -> Any:
    """Return *value* without times, measurements, and the random part of ids."""
    match value:
        case dict():
            found = [
                (normal(key), normal(each)) for key, each in value.items() if key not in _MEASURED
            ]
            names = {name for name, _ in found}
            # Two ids may differ in their random part only: then their values are compared in order.
            return dict(found) if len(names) == len(found) else sorted(found, key=str)
        case list() | tuple():
            return [normal(each) for each in value]
        case str():
            text = _MEASUREMENTS.sub("N", _TIMES.sub("T", value))
            for pattern, replacement in _IDS:
                text = pattern.sub(replacement, text)
            return text
        case _:
            return value


async def end_state(world: World) -> list[str]:
    """Return every document of every service, and what is live, as comparable text."""
    found = []
    heard = set()
    for name in sorted(world.services):
        documents = await world.documents(name)
        operations = operations_of(documents)
        for document in documents:
            place = [name, *document.partition.values, document.id]
            if is_of_its_time(document):
                continue
            body = comparable(document)
            if "operation_id" in body:
                body["operation_id"] = operations[body["operation_id"]]
            text = json.dumps([normal(place), normal(body)], sort_keys=True)
            if document.id.startswith("inbox/"):
                # How often the inventory told what it saw is of its time.
                heard.add(text)
            else:
                found.append(text)
    resources = world.infrastructure.resources.values()
    found += [json.dumps(["resource", resource.name]) for resource in resources]
    found.append(json.dumps(["began", *sorted(world.surface.started)]))
    sites = [*world.surface.sites.items(), *world.cluster.sites.items()]
    for environment, site in sites:
        bounded = sorted(tenant for tenant, each in site.boundaries.items() if each.spec)
        found.append(json.dumps(["site", environment, site.spec is not None, bounded]))
        for component, live in site.components.items():
            revisions = {number: len(each.instances) for number, each in live.revisions.items()}
            active = sorted(number for number, each in live.revisions.items() if each.is_active)
            rules = sorted(number for number, each in live.revisions.items() if each.scaling)
            shown = ["live", component.module, revisions, live.weights, active, rules]
            found.append(json.dumps(shown, sort_keys=True))
    return sorted([*found, *heard])


def operations_of(documents: Sequence[Document]) -> Mapping[str, str]:
    """Return how each operation stands, by its id: what it does, its status, its error's code."""
    bodies = [each.body for each in documents if each.body.get("type") == "operation"]
    return {
        body["operation_id"]: " ".join(
            filter(None, (body["kind"], body["status"], (body["error"] or {}).get("code")))
        )
        for body in bodies
    }


def is_of_its_time(document: Document) -> bool:
    """Return whether *document* is there because of when things happened, not what happened.

    Each request leaves a row, also one repeated for want of an answer; scans and heartbeats come
    at their times.
    """
    body = document.body
    is_observation = body.get("cause_kind") == "observation"
    return document.id.startswith("request/") or (body.get("type") == "history" and is_observation)


def comparable(document: Document) -> dict[str, Any]:
    """Return the body without what counts or quotes observations."""
    body = dict(document.body)
    if body.get("type") == "operation" and (body["error"] or {}).get("code") == SUPERSEDED:
        # How far it had come is of its time.
        return {key: body[key] for key in ("kind", "status")} | {"error": {"code": SUPERSEDED}}
    if body.get("type") == "operation" and body["kind"] == "DecommissionEnvironment":
        # It names what it deletes, which is as far as an update that it overtook had come.
        return {key: value for key, value in body.items() if key != "steps"}
    if body.get("type") == "deployment" and any(len(each["gates"]) > 1 for each in body["steps"]):
        # How many of the gates of a step had answered when the first failed is of its time.
        body.pop("revision")
    if body.get("type") == "scan":
        # What was ready then is of its time, and so are revisions of deployments, as above.
        body.pop("coverage")
        heard = body.get("deployments", {}).items()
        body["deployments"] = {key: {**each, "revision": None} for key, each in heard}
    if body.get("type") == "tenantBinding" and (body["erasure"] or {}).get("signed"):
        # A signature is another one each time: what it signs is compared.
        report = erasure_shown(body["erasure"]["signed"])
        body["erasure"] = report.model_dump(mode="json", exclude={"signature"})
    if body.get("type") == "baseline":
        # The key is drawn for each service, and what a snapshot hides is a digest by it. News of
        # the inventory are counted only until the release is heard of, whichever comes first.
        of_its_time = {"digest_key", "snapshot", "inventory_revision"}
        return {key: value for key, value in body.items() if key not in of_its_time}
    if body.get("type") == "target" or document.id == "target":
        return {"release_revision": body["release_revision"], "status": body["status"]}
    if body.get("type") == "service":
        release = body["rows"]["release"] or {}
        return {
            "component": release.get("component"),
            "release_revision": release.get("release_revision"),
            "status": body["status"],
        }
    return body


async def settled(world: World) -> None:
    """Wait until no outbox has a row, every operation has ended, and two more minutes passed."""

    async def quiet() -> bool:
        for name in world.services:
            for document in await world.documents(name):
                kind = document.body.get("type")
                open_operation = kind == "operation" and document.body["status"] in {
                    "NotStarted",
                    "Running",
                }
                if kind == OUTBOX_TYPE or open_operation:
                    return False
        return True

    await world.until(quiet, within_s=7200, every_s=5)
    await world.clock.sleep(120)
    await world.until(quiet, within_s=600, every_s=5)


def undisturbed(
    scenario: Scenario, *, seed: int = 1, is_unruly: bool = False
) -> tuple[list[str], list[str]]:
    """Run *scenario* once; return the points at which it can be killed, and its end state."""

    async def main() -> tuple[list[str], list[str]]:
        world = World(seed=seed, requests_per_s=30, is_unruly=is_unruly)
        await world.boot()
        booted = world.fate.count
        await scenario(world)
        points = world.fate.points[booted:]
        await settled(world)
        state = await end_state(world)
        await world.stop()
        return points, state

    return run_virtual(main())


def killed_at(scenario: Scenario, point: int) -> tuple[str, list[str]]:
    """Run *scenario*, killed at *point* (from 1), then again; return where, and its end state."""

    async def main() -> tuple[str, list[str]]:
        world = World(requests_per_s=30)
        await world.boot()
        fate: Fate = world.fate
        fate.kill_at = fate.count + point
        running = asyncio.ensure_future(scenario(world))
        dying = asyncio.ensure_future(fate.died.wait())
        await asyncio.wait({running, dying}, return_when=asyncio.FIRST_COMPLETED)
        where = fate.points[-1] if fate.is_dead else "never"
        dying.cancel()
        if fate.is_dead:
            running.cancel()
            with suppress(BaseException):
                await running
            await world.kill()
            await world.boot()
            await scenario(world)
        await settled(world)
        state = await end_state(world)
        await world.stop()
        return where, state

    return run_virtual(main())


def differences(expected: Sequence[str], found: Sequence[str]) -> list[str]:
    missing, surplus = Counter(expected), Counter(found)
    common = missing & surplus
    return [
        *(f"- {each}" for each in (missing - common).elements()),
        *(f"+ {each}" for each in (surplus - common).elements()),
    ]


@cache
def reference(scenario: Scenario) -> tuple[list[str], list[str]]:
    """Return what `undisturbed` does, once a process."""
    return undisturbed(scenario)


def wrong_ends(scenario: Scenario, points_max: int | None) -> dict[str, list[str]]:
    """Kill *scenario* evenly at so many points, or at each; return the ends that differ."""
    points, expected = reference(scenario)
    assert len(points) > POINTS_MIN, "hardly anything happened"
    every = max(1, -(-len(points) // points_max)) if points_max else 1
    wrong = {}
    for point in range(1, len(points) + 1, every):
        where, found = killed_at(scenario, point)
        if found != expected:
            wrong[f"{point}: {where}"] = differences(expected, found)
    return wrong
