import pytest

from function_apps.environments.errors import EnvironmentExists
from shared.kernel.errors import Violation


@pytest.mark.parametrize(
    ("fields", "way"),
    [
        pytest.param(
            ("/region",),
            "region cannot change; decommission the environment and create it again",
            id="region",
        ),
        pytest.param(("/stage", "/tags"), "stage cannot change", id="stage-and-tags"),
        pytest.param(("/tags",), "update the environment", id="tags"),
    ],
)
def test_a_conflict_says_whether_an_update_or_a_new_environment_helps(
    fields: tuple[str, ...], way: str
) -> None:
    differing = [Violation("Differs", field, "differs", "a", "b") for field in fields]

    assert way in EnvironmentExists("env-w5ekllr23tyb", differing).message
