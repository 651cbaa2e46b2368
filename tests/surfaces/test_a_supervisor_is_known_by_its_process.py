"""A folder has a supervisor while exactly the process that announced itself runs."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from local_agent.process_identity import ProcessIdentity, this_process
from local_agent.supervisor import has_supervisor

US = this_process()


@pytest.mark.parametrize(
    ("announced", "expected"),
    [
        pytest.param(US, True, id="this-process"),
        pytest.param(replace(US, ticks=US.ticks + 1), False, id="an-earlier-process-of-that-pid"),
        pytest.param(replace(US, boot="earlier"), False, id="a-process-before-a-reboot"),
    ],
)
def test_only_the_process_that_announced_itself_supervises(
    tmp_path: Path, announced: ProcessIdentity, *, expected: bool
) -> None:
    (tmp_path / "supervisor.json").write_text(json.dumps(asdict(announced)))

    assert has_supervisor(tmp_path) is expected


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("{ half a docum", id="half-written"),
        pytest.param('{"pid": 1, "ticks": 1, "boot": "b"}', id="as-release-0.2.0-wrote-it"),
    ],
)
def test_an_announcement_that_cannot_be_understood_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "supervisor.json").write_text(content)

    assert not has_supervisor(tmp_path)
