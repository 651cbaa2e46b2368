"""`make mutate` changes the models of all services, and its figures are those of mutmut."""

import configparser
from pathlib import Path

import pytest

from shared.kernel.ids import APPS
from tools.mutation import REPOSITORY, Result, parts, write_settings


@pytest.mark.parametrize("name", parts())
def test_a_part_names_files_and_tests_that_exist(name: str) -> None:
    part = parts()[name]

    assert all(list(REPOSITORY.glob(each)) for each in part.files)
    assert all((REPOSITORY / each).exists() for each in part.tests)


def test_each_service_is_a_part() -> None:
    assert {app.replace("-", "_") for app in APPS} <= set(parts())


def test_mutants_are_made_of_the_parts_files_only(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()

    write_settings(tmp_path / "setup.cfg", parts()["relay"])

    settings = configparser.ConfigParser()
    settings.read(tmp_path / "setup.cfg", encoding="utf-8")
    assert settings["mutmut"]["only_mutate"].split() == ["shared/messaging/relay.py"]
    assert "docs" in settings["mutmut"]["also_copy"].split()


def test_a_mutant_without_a_test_counts_as_not_killed() -> None:
    assert Result("relay", noticed=80, survived=10, untested=10).killed == 0.8
