"""What asks registries of images, opened from the settings."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.composition.settings import Settings
from shared.images.registries import read_registries
from shared.images.registry_authorization import RegistryAuthorization
from shared.images.registry_client import RegistryClient
from shared.images.registry_connection import RegistryConnection
from shared.kernel.clock import Clock

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential


def image_registries(
    settings: Settings, clock: Clock, identity: "Callable[[], AsyncTokenCredential]"
) -> RegistryClient:
    """Return the client that *settings* describe; *identity* is that of the app."""
    given = settings.registries.get_secret_value() if settings.registries else ""
    return RegistryClient(
        RegistryAuthorization(
            RegistryConnection(settings.registry_networks, settings.is_local, settings.ca_file),
            read_registries(given, plain_loopback=settings.is_local),
            clock,
            identity,
        )
    )
