"""The settings of images are judged at the start, with the others, and no password is repeated."""

import json

import pytest

from shared.composition.images import image_registries
from shared.composition.settings import InvalidSetting, read_settings
from shared.images.registries import IDENTITY, Password
from shared.kernel.clock import SystemClock

PASSWORD = "pass-word"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("RUNTIME_IMAGE_RULES", '{"live": {"registries": []}}', "RUNTIME_IMAGE_RULES/live"),
        ("RUNTIME_IMAGE_RULES", "registry.example", "RUNTIME_IMAGE_RULES"),
        ("RUNTIME_REGISTRIES", f'{{"a.example": "{PASSWORD}"}}', "wrong at a.example"),
        ("RUNTIME_REGISTRIES", PASSWORD, "expected a JSON object"),
        ("RUNTIME_REGISTRY_NETWORKS", "registry.example", "RUNTIME_REGISTRY_NETWORKS"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_its_setting(name: str, value: str, says: str) -> None:
    with pytest.raises(InvalidSetting, match=name) as refused:
        read_settings({"RUNTIME_PROFILE": "local", name: value})

    assert says in refused.value.message
    assert PASSWORD not in refused.value.message


def test_registries_are_asked_as_the_settings_say() -> None:
    given = {"*.azurecr.io": "identity", "a.example": {"username": "ci", "password": PASSWORD}}
    settings = read_settings(
        {
            "RUNTIME_PROFILE": "local",
            "RUNTIME_REGISTRIES": json.dumps(given),
            "RUNTIME_REGISTRY_NETWORKS": "10.1.0.0/16",
        }
    )

    client = image_registries(settings, SystemClock(), lambda: pytest.fail("not asked yet"))

    registries, connection = client.authorization.registries, client.authorization.connection
    assert registries.credential("shop.azurecr.io") == IDENTITY
    assert registries.credential("a.example") == Password("ci", PASSWORD)
    assert [str(each) for each in connection.networks] == ["10.1.0.0/16"]
    assert connection.plain_loopback
    assert PASSWORD not in f"{settings!r}{client!r}"
