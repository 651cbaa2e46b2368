"""What somebody put where a secret does not belong is found, and shown nowhere."""

import json
from hashlib import sha256
from typing import Any

import pytest

from shared.surfaces.spec import CommandProbe
from tests.drift.compared import Drift, released_and_settled, virtual

CANARY = "canary-3f9a"
SNAPSHOTS = "v1/runtime/drift/{environmentId}/snapshots"


def digest_of(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()}"


async def _told_and_stored(made: Drift) -> str:
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
    assert finding["actual"].startswith("sha256:")
    assert CANARY not in await _told_and_stored(made)


@virtual
async def test_another_value_than_before_is_another_digest_and_what_was_released_is_shown() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    for value in ("slow", "odd"):
        made.tamper(environ={"MODE": value})
        await made.scan(300)

    finding = await made.only()

    assert (finding["desired"], finding["actual"]) == ("fast", digest_of("odd"))
    first, second = made.told("RuntimeDriftDetected")
    assert (first["actual"], second["actual"]) == (digest_of("slow"), digest_of("odd"))
