"""`docs/azure-resources.md` has every resource and role of the template for Azure."""

import re

from local_cloud.roles import OPERATOR, assignments
from tools.azure_reference import PAGE, rewritten
from tools.azure_template import template


def test_the_page_is_what_its_tool_writes() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == rewritten(page), "run: python -m tools.azure_reference"


def test_every_name_of_the_template_is_in_it() -> None:
    page = PAGE.read_text(encoding="utf-8")
    kinds = re.compile(r"sqlDatabases|topics|queues|tables|store.*/containers")
    names = {
        each["name"].rpartition("/")[2].rstrip("')]")
        for each in template()["resources"]
        if kinds.search(each["type"])
        and "rules" not in each["type"]
        and "oleAssignments" not in each["type"]
    }

    assert {name for name in names if f"`{name}`" not in page} == set()


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_role_of_an_app_is_in_it() -> None:
    shown = set()
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        head, _, *rows = (_cells(line) for line in section.splitlines() if line.startswith("|"))
        for row in rows:
            names = re.findall(r"`([^`]+)`", " ".join(row[:2]))
            for roles, apps in zip(head, row, strict=True):
                shown |= {
                    (app, role, name)
                    for app in apps.split(", ")
                    for role in roles.split(", ")
                    for name in names
                }
    of_apps = [each for each in assignments() if each.identity != OPERATOR]

    assert [
        each
        for each in of_apps
        if (each.identity, each.role.value, each.scope.rpartition("/")[2]) not in shown
    ] == []
