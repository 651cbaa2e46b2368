"""Apps and the agent of one machine may be of two releases for a while."""

import json
from pathlib import Path
from typing import Any

from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.local_process import RECORD, AgentRecord, read_record, write_record

HERE = AgentRecord(
    "t", 1, Capabilities("LocalProcess", {Feature.IMAGES: "it runs archives"}, 16), tuple(Feature)
)


def read(folder: Path, **changes: Any) -> AgentRecord | None:
    document = {**json.loads(write_record(HERE)), **changes}
    (folder / RECORD).write_text(json.dumps(document))
    return read_record(folder)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read(tmp_path) == HERE


def test_a_feature_that_only_the_agent_knows_is_passed_over(tmp_path: Path) -> None:
    capabilities = json.loads(write_record(HERE))["capabilities"]
    capabilities["lacks"]["flying"] = "it has no wings"

    found = read(tmp_path, capabilities=capabilities, knows=[*Feature, "flying"])

    assert found is not None
    assert found.capabilities == HERE.capabilities


def test_a_feature_that_only_the_app_knows_the_agent_lacks(tmp_path: Path) -> None:
    found = read(tmp_path, knows=[each for each in Feature if each is not Feature.RESTART])

    assert found is not None
    assert "earlier release" in found.capabilities.lacks[Feature.RESTART]


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    for damage in ({"capabilities": 5}, {"capabilities": {}}, {"knows": 5}, {"pid": "x"}):
        assert read(tmp_path, **damage) is None
