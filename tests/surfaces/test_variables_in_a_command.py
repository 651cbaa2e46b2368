"""`$PORT`, `$HOME` and `$TMPDIR` in a command or variable; every other dollar is the workload's."""

import pytest

from local_agent.instance_folder import expand

GIVEN = {"PORT": "8080", "HOME": "/home", "TMPDIR": "/tmp"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("--port=$PORT", "--port=8080"),
        ("${PORT}", "8080"),
        ("${HOME}/a$TMPDIR", "/home/a/tmp"),
        ("$PORTS ${PORTS} ${PORT", "$PORTS ${PORTS} ${PORT"),
        ("kill $$; echo $1 $? $", "kill $$; echo $1 $? $"),
        ("$$PORT", "$8080"),
    ],
)
def test_three_variables_are_filled_in_and_other_dollars_stay(text: str, filled: str) -> None:
    assert expand(text, GIVEN) == filled


def test_a_variable_that_a_workload_does_not_have_stays() -> None:
    assert expand("$PORT", {}) == "$PORT"
