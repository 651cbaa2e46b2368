"""`configuration.env` says each text as a shell reads it: what a program gets is the value."""

import subprocess
from pathlib import Path

import pytest

from function_apps.deployments.model.configuration import DOTENV_FILE, to_surface
from shared.contracts.configuration_merge import hash_of
from shared.contracts.releases import ConfigurationPin
from shared.contracts.values import ConfigurationDelivery

READ = 'set -a; . "$1"; printf "%s" "$text"'


@pytest.mark.parametrize(
    "text",
    [
        "plain", "", " spaces ", "it's", 'say "hi"', "it's\ntwo lines", "$HOME", "it's $HOME",
        "`id`", "it's `id`", "a\\b", "it's a\\b", "\ttab", "größe", "a\r\nb", "#x",
        "ends with \\",
    ],
)  # fmt: skip
def test_a_text_is_what_was_published(text: str, tmp_path: Path) -> None:
    values = {"text": text}
    pin = ConfigurationPin(module=1, hash=hash_of(values))
    given = to_surface(pin, values, (ConfigurationDelivery.DOTENV,))
    assert given is not None
    assert given.texts is not None
    file = tmp_path / DOTENV_FILE
    file.write_bytes(given.texts.files[DOTENV_FILE].encode())

    ran = subprocess.run(["/bin/sh", "-c", READ, "sh", file], check=True, capture_output=True)

    assert ran.stdout.decode() == text
