"""What somebody put where a secret does not belong is found, and shown nowhere."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from function_apps.drift.repository import BASELINES
from shared.surfaces.aks.kinds import ROUTES
from shared.surfaces.aks.scalers import SCALED_OBJECTS
from shared.surfaces.spec import CommandProbe
from tests.drift.compared import DriftService, released_and_settled, virtual
from tests.drift.generated_environments import Environment, generated
from tests.kit.service import TENANT
from tests.kit.told import WEB, service_of

CANARY = "canary-3f9a"
SNAPSHOTS = "v1/runtime/drift/{environmentId}/snapshots"


def is_digest(word: str) -> bool:
    return word.startswith("hmac-sha256:")


async def _told_and_stored(made: DriftService) -> str:
    """Return all that anybody can read of the finding: answers, messages, snapshots, documents."""
    listed = (await made.get(SNAPSHOTS))["value"]
    newest, oldest = listed[0]["snapshotId"], listed[-1]["snapshotId"]
    snapshot = await made.get(f"{SNAPSHOTS}/{{snapshotId}}", {"since": oldest}, snapshotId=newest)
    sent = [message.body.decode() for _, message in made.bench.sent.messages]
    return json.dumps([await made.report(), listed, snapshot, sent])


@pytest.mark.parametrize(
    ("tampered", "path"),
    [
        pytest.param({"environ": {"MODE": CANARY}}, "environ/MODE", id="another-value"),
        pytest.param({"environ": {"MODE": "fast", "KEY": CANARY}}, "environ/KEY", id="a-new-one"),
        pytest.param({"command": ("serve", f"--key={CANARY}")}, "command", id="an-argument"),
        pytest.param(
            {"readiness": CommandProbe(command=("check", CANARY))}, "probes/readiness", id="a-probe"
        ),
    ],
)
@virtual
async def test_a_value_that_may_be_secret_is_shown_as_its_digest(
    tampered: dict[str, Any], path: str
) -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    given = {"environ": {"MODE": "fast"}, **tampered}
    made.tamper(**given)

    await made.scan(300)

    finding = await made.only()
    assert finding["path"] == path
    assert is_digest(finding["actual"])
    assert CANARY not in await _told_and_stored(made)


def _of_container(**fields: Any) -> Callable[[Environment], None]:
    """Return an edit that adds *fields* to the main container of a release, as people do it."""

    def change(pod: Any) -> None:
        main = next(each for each in pod["containers"] if each["name"] == "main")
        for name, value in fields.items():
            main[name] = [*main.get(name, ()), *value] if isinstance(value, list) else value

    def edit(made: Environment) -> None:
        assert made.cluster is not None
        made.cluster.edit(made.spec(WEB), change, "kubectl-edit")

    return edit


def _of_rule(name: str, value: Any) -> Callable[[Environment], None]:
    def edit(made: Environment) -> None:
        assert made.cluster is not None
        made.cluster.of_component(ROUTES, made.spec(WEB))["spec"]["rules"][0][name] = value

    return edit


def _scaled_object(made: Environment) -> None:
    assert made.cluster is not None
    name = made.cluster.workload(made.spec(WEB))["metadata"]["name"]
    trigger = {"type": "rabbitmq", "metadata": {"host": f"amqp://user:{CANARY}@queue:5672/"}}
    spec = {"scaleTargetRef": {"name": name}, "triggers": [trigger]}
    metadata = {"name": "mine", "namespace": made.cluster.namespace}
    made.cluster.api.put(SCALED_OBJECTS, {"metadata": metadata, "spec": spec})


_HEADERS = {"set": [{"name": "Authorization", "value": f"Basic {CANARY}"}]}
_EXEC = {"exec": {"command": ["leave", CANARY]}}


@pytest.mark.parametrize(
    ("edit", "paths"),
    [
        pytest.param(
            _of_container(env=[{"name": "DEBUG", "value": CANARY}]),
            {"environ/DEBUG", "instances"}, id="a-variable",
        ),
        pytest.param(
            _of_container(env=[{"name": "RUNTIME_UNIT", "value": CANARY}]),
            {"hash", "database", "mail", "instances"}, id="a-variable-of-ours",
        ),
        pytest.param(_of_container(args=[CANARY]), {"command", "instances"}, id="an-argument"),
        pytest.param(
            _of_container(lifecycle={"postStart": _EXEC}), {"instances"}, id="a-hook",
        ),
        pytest.param(
            _of_container(workingDir=f"/{CANARY}"), {"workingDir", "instances"}, id="any-field"
        ),
        pytest.param(
            _of_rule(
                "filters",
                [{"type": "RequestHeaderModifier", "requestHeaderModifier": _HEADERS}],
            ),
            {"filters"}, id="a-header-that-a-route-sets",
        ),
        pytest.param(
            _of_rule(
                "matches",
                [{"headers": [{"name": "Authorization", "value": CANARY}],
                  "path": {"type": "PathPrefix", "value": "/"}}],
            ),
            {"matches"}, id="a-header-that-a-route-asks-for",
        ),
        pytest.param(_scaled_object, set(), id="the-address-of-a-queue"),
    ],
)  # fmt: skip
@virtual
async def test_nothing_of_a_cluster_that_may_be_secret_is_shown(
    edit: Callable[[Environment], None], paths: set[str]
) -> None:
    made = await generated(3, "cluster")
    before = len((await made.get(SNAPSHOTS))["value"])
    edit(made)

    await made.scan(300)
    await made.scan(300)

    assert {each["path"] for each in await made.findings()} == paths
    assert len((await made.get(SNAPSHOTS))["value"]) > before
    assert CANARY not in await _told_and_stored(made)


@virtual
async def test_another_value_than_before_is_another_digest_and_what_was_released_is_shown() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    for value in ("slow", "odd"):
        made.tamper(environ={"MODE": value})
        await made.scan(300)

    finding = await made.only()

    first, second = made.told("RuntimeDriftDetected")
    assert finding["desired"] == "fast"
    assert first["actual"] != second["actual"] == finding["actual"]


@virtual
async def test_nobody_finds_a_short_password_by_its_digest() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "1234"})

    await made.scan(300)

    assert sha256(b"1234").hexdigest() not in await _told_and_stored(made)


@virtual
async def test_the_key_of_digests_stays_and_is_shown_nowhere() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    await made.scan(300)
    stored = await made.app.service.work.find(BASELINES, service_of(WEB), TENANT)
    before = await made.only()

    await made.release(2, environ={"MODE": "fast"})
    await made.settled()
    made.tamper(revision=2, environ={"MODE": "slow"})
    await made.scan(300)

    assert (await made.only())["actual"] == before["actual"]
    assert stored is not None
    assert len(stored.digest_key) >= 60
    assert stored.digest_key not in await _told_and_stored(made)


@virtual
async def test_what_was_adopted_by_a_digest_without_a_key_stays_adopted() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    digest = f"sha256:{sha256(b'slow').hexdigest()}"
    await made.store(adopted={"workload/environ/MODE": digest})

    await made.scan(300)

    assert await made.findings() == []
