"""The port and the folders, in a command or variable; every other dollar is the workload's."""

import pytest

from shared.surfaces.variables import expand

GIVEN = {
    "PORT": "8080",
    "HOME": "/home",
    "TMPDIR": "/tmp",
    "RUNTIME_DATA_UP": "/data/up",
    "RUNTIME_DATA_UP_2": "/data/up-2",
    "RUNTIME_VERSION": "1",
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("--port=$PORT", "--port=8080"),
        ("${PORT}", "8080"),
        ("${HOME}/a$TMPDIR", "/home/a/tmp"),
        ("$PORTS ${PORTS} ${PORT", "$PORTS ${PORTS} ${PORT"),
        ("kill $$; echo $1 $? $", "kill $$; echo $1 $? $"),
        ("$$PORT", "$8080"),
        ("$RUNTIME_DATA_UP/a ${RUNTIME_DATA_UP_2}", "/data/up/a /data/up-2"),
        ("$RUNTIME_DATA_UPs $RUNTIME_DATA_NO", "$RUNTIME_DATA_UPs $RUNTIME_DATA_NO"),
        ("$RUNTIME_VERSION ${RUNTIME_DATA_UP:-/tmp}", "$RUNTIME_VERSION ${RUNTIME_DATA_UP:-/tmp}"),
    ],
)
def test_variables_are_filled_in_and_other_dollars_stay(text: str, filled: str) -> None:
    assert expand(text, GIVEN) == filled


def test_a_variable_that_a_workload_does_not_have_stays() -> None:
    assert expand("$PORT", {}) == "$PORT"
