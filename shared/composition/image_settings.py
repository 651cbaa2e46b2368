"""The settings of container images, as a part of the app settings."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from shared.images.image_rules import IMAGE_RULES, read_image_rules
from shared.images.registries import REGISTRIES, read_registries
from shared.kernel.errors import Invalid, Violation

Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(str.split)]


class ImageSettings(BaseModel, defer_build=True):
    """Which images a release may run, and how their registries are asked."""

    image_rules: str = Field("", alias=IMAGE_RULES)
    """deployments: which registries images may come from and whether they must be signed, for each
    stage or environment, as JSON; without it no image is taken. See [images](images.md)."""
    registries: SecretStr | None = Field(None, alias=REGISTRIES)
    """deployments: how each registry of images is asked, as the app's identity or by a password,
    as JSON; others as nobody."""
    registry_networks: Networks = Field((), alias="RUNTIME_REGISTRY_NETWORKS")
    """Private ranges in which registries may be, such as `10.1.0.0/16`."""


def mistakes(given: Mapping[str, str], *, is_local: bool) -> Sequence[Violation]:
    """Return what is wrong inside the settings *given*, those of the local profile or not."""
    wrong: list[Violation] = []
    try:
        read_image_rules(given.get(IMAGE_RULES, ""))
    except Invalid as problem:
        wrong += problem.details
    try:
        read_registries(given.get(REGISTRIES, ""), plain_loopback=is_local)
    except Invalid as problem:
        wrong += problem.details
    return wrong
