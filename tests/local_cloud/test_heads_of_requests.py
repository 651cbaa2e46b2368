"""The HTTP endpoints take tokens as long as the API does, and repeat nothing of longer ones."""

import logging
from pathlib import Path

import aiohttp
import pytest

from tests.kit.identity_cloud import IdentityCloud, identity_cloud

pytestmark = pytest.mark.real
SERVED = (
    "Cosmos DB",
    "Cosmos DB by identity",
    "Blob storage",
    "Blob storage by identity",
    "Table storage",
    "Table storage by identity",
    "Key Vault",
    "tokens",
)


async def answered(served: IdentityCloud, service: str, token: str) -> tuple[int, str]:
    """Return the status and the text that *service* answers to *token*."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            served.cloud.addresses()[service],
            headers={"Authorization": f"Bearer {token}", "X-IDENTITY-HEADER": token},
            ssl=False,
        ) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_long_token_is_read_and_a_longer_one_repeated_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with identity_cloud(tmp_path, monkeypatch) as served:
        read = {each: await answered(served, each, "a" * 16_000) for each in SERVED}
        refused = {each: await answered(served, each, "secret" * 8_000) for each in SERVED}

    assert not [each for each, (_, text) in read.items() if "head cannot be read" in text]
    assert {status for status, _ in refused.values()} == {400}
    assert {text for _, text in refused.values()} == {
        "the request's head cannot be read: LineTooLong"
    }
    assert "secretsecret" not in caplog.text
    assert "Traceback" not in caplog.text
