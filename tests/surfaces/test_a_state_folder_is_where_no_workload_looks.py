"""A state folder is nowhere that the sandbox of a workload shows, or has something else at."""

import sys
from pathlib import Path
from typing import Final

import pytest

from local_agent.sandboxes import Means, unfit_place

NAMESPACES: Final = Means(is_namespaced=True, landlock=0)
LANDLOCK: Final = Means(is_namespaced=False, landlock=6)
NOTHING: Final = Means(is_namespaced=False, landlock=0)


@pytest.mark.parametrize("in_force", [NAMESPACES, LANDLOCK], ids=["namespaces", "landlock"])
@pytest.mark.parametrize(
    "place", ["/opt", "/usr/local", "/etc", "/nix", "/lib", "/dev/shm", "/sys", sys.base_prefix]
)
def test_not_below_what_every_workload_sees(place: str, in_force: Means) -> None:
    said = unfit_place(Path(place, "factory", "state"), in_force)

    assert said is not None
    assert said.startswith(f"{place}/factory/state is below ")


def test_not_by_a_link_either(tmp_path: Path) -> None:
    link = tmp_path / "state"
    link.symlink_to("/usr/share")

    assert unfit_place(link, NAMESPACES) is not None


@pytest.mark.parametrize("place", ["/tmp", "/var/tmp"])
def test_shared_folders_need_namespaces(place: str) -> None:
    state = Path(place, "state")

    assert unfit_place(state, NAMESPACES) is None
    assert unfit_place(state, LANDLOCK) is not None


@pytest.mark.parametrize(
    "place", ["/srv/state", "/home/ada/.factory", "/optional/state", "/root/s"]
)
def test_elsewhere_it_may_be(place: str) -> None:
    assert unfit_place(Path(place), NAMESPACES) is None
    assert unfit_place(Path(place), LANDLOCK) is None


def test_what_nothing_hides_is_as_bare_anywhere() -> None:
    assert unfit_place(Path("/opt/state"), NOTHING) is None
