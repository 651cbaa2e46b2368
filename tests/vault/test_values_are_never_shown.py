"""A value is text only where it is revealed, and in no file, error or log of the platform."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_core import PydanticSerializationError, to_json

from local_cloud.key_vault_endpoint.faults import Fault, FaultMoment
from shared.kernel.errors import Invalid, TooLarge, Unavailable
from shared.vault.port import VALUE_MAX_BYTES, Secret, SecretValue
from tests.kit.key_vault import VaultWire
from tests.vault.conftest import OpenedVault

CANARY = "canary-5f1c"
VALUE = SecretValue(CANARY)


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(repr, id="repr"),
        pytest.param(str, id="str"),
        pytest.param("{:>40}".format, id="format"),
        pytest.param(lambda value: json.dumps(value, default=str), id="json-of-anything"),
        pytest.param(lambda value: to_json(value, serialize_unknown=True).decode(), id="pydantic"),
        pytest.param(lambda value: repr(dir(value)), id="dir"),
    ],
)
def test_what_shows_anything_shows_no_value(shown: Callable[[object], str]) -> None:
    try:
        text = shown(VALUE)
    except TypeError as refused:  # a width is for text
        text = str(refused)

    assert CANARY not in text


@pytest.mark.parametrize(
    "serialize",
    [
        pytest.param(pickle.dumps, id="pickle"),
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(json.dumps, id="json"),
        pytest.param(to_json, id="pydantic"),
        pytest.param(vars, id="vars"),
        pytest.param(hash, id="hash"),
    ],
)
def test_what_keeps_a_value_is_refused(serialize: Callable[[object], object]) -> None:
    with pytest.raises((TypeError, PydanticSerializationError)) as refused:
        serialize(VALUE)

    assert CANARY not in str(refused.value)


def test_values_are_equal_by_their_text() -> None:
    assert SecretValue("é") == SecretValue("é")
    assert SecretValue("a") != SecretValue("b")
    assert SecretValue("a") != "a"


async def test_a_secret_that_was_read_shows_no_value(opened: OpenedVault) -> None:
    await opened.port.set("name", VALUE)

    secret = await opened.port.get("name")

    assert isinstance(secret, Secret)
    assert CANARY not in repr(secret)
    with pytest.raises(TypeError):
        dataclasses.asdict(secret)


def contents_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_no_file_and_no_log_has_a_value(
    opened: OpenedVault, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await opened.port.set("name", VALUE)
    await opened.port.get("name")
    await opened.port.delete("name")

    contents = contents_of(tmp_path)

    assert any(path.suffix == ".db" for path in contents)
    assert [path for path, content in contents.items() if CANARY.encode() in content] == []
    assert CANARY not in caplog.text


@pytest.mark.real
async def test_half_an_answer_is_in_no_error_and_no_log(
    wire: VaultWire, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await wire.vault.set("name", SecretValue(CANARY * 20))
    wire.endpoint.faults.add(Fault(FaultMoment.TRUNCATED), times=3)

    with pytest.raises(Unavailable) as refused:
        await wire.client.get("name")

    assert CANARY not in "".join(traceback.format_exception(refused.value))
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CANARY * VALUE_MAX_BYTES, id="too-long"),
        pytest.param(CANARY + "\ud800", id="no-text"),
    ],
)
async def test_a_refusal_has_nothing_of_the_value(opened: OpenedVault, text: str) -> None:
    with pytest.raises((Invalid, TooLarge)) as refused:
        await opened.port.set("name", SecretValue(text))

    error: BaseException | None = refused.value
    while error is not None:
        assert CANARY not in repr(error)
        error = error.__cause__ or error.__context__
