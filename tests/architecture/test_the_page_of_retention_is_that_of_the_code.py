"""docs/retention.md lists every kind of document with what keeps it, as the codecs say."""

import re
from pathlib import Path
from typing import Final

import pytest
from annotated_types import Ge, Le

from shared.composition.retention_settings import RetentionSettings
from shared.contracts.retention import Kept, Retention
from shared.contracts.storage import CONTAINERS, TABLES
from tests.kit.golden import handlers
from tests.kit.golden_documents import codecs

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "retention.md").read_text()
ROWS: Final = {
    f"{match['service']}_{match['type']}": match
    for match in re.finditer(
        r"^\| (?P<service>\w+) `(?P<type>\w+)` \| (?P<kind>[\w ]+) \| (?P<goes>.+) \|$",
        PAGE,
        re.MULTILINE,
    )
}


def test_every_kind_of_document_has_a_row() -> None:
    assert set(ROWS) == set(codecs())


@pytest.mark.parametrize("name", codecs())
def test_a_row_says_how_long_its_documents_are_kept(name: str) -> None:
    kept = codecs()[name].kept

    assert ROWS[name]["kind"] == ("none" if kept is None else kept.value)
    assert ("time to live" in ROWS[name]["goes"]) == (kept is not None)


@pytest.mark.parametrize("kept", Kept)
def test_a_kind_is_kept_as_long_as_its_row_says(kept: Kept) -> None:
    assert f"| {kept.value} | {Retention().span(kept).days} days |" in PAGE


def test_every_setting_stands_on_the_page() -> None:
    names = {field.alias for field in RetentionSettings.model_fields.values()}

    assert names == {*re.findall(r"`(RUNTIME_\w+)`", PAGE)}


@pytest.mark.parametrize("name", RetentionSettings.model_fields)
def test_a_setting_stands_with_its_bounds(name: str) -> None:
    field = RetentionSettings.model_fields[name]
    (least,) = [each.ge for each in field.metadata if isinstance(each, Ge)]
    (most,) = [each.le for each in field.metadata if isinstance(each, Le)]

    assert f"`{field.alias}`, {least} to {most:,} |" in PAGE


def test_every_table_and_container_of_blobs_stands_on_the_page() -> None:
    for name in (*TABLES, *CONTAINERS):
        assert f"`{name}`" in PAGE, name


def test_the_timers_that_it_names_are_there() -> None:
    named = {*re.findall(r"timer `(\w+)`", PAGE)}

    assert named
    assert named <= {*handlers()}
