"""The content of configurations, in blobs of the tenant by its hash: of layers, and of merges."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Final

from function_apps.deployments.errors import ConfigurationRemoved
from function_apps.deployments.model.configuration import Configurations
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.configuration_merge import Values, hash_of, json_text
from shared.contracts.releases import ConfigurationPin
from shared.contracts.values import ModuleId, TenantId
from shared.kernel.errors import NotFound, Unavailable

CONTENTS: Final = "configurations/"
_RETRY_S: Final = 5.0


async def put_content(values: Values, tenant: TenantId, app: DeploymentsApp) -> str:
    """Keep *values* under their hash; return that. What is put again is not removed for a while."""
    content_hash = hash_of(values)

    async def chunks() -> AsyncIterator[bytes]:
        yield json_text(dict(values)).encode()

    await app.blobs.put(content_blob(content_hash, tenant), chunks())
    return content_hash


async def read_content(content_hash: str, tenant: TenantId, app: DeploymentsApp) -> Values:
    """Return the values of *content_hash*.

    Raises:
        NotFound: they are not stored.
        Unavailable: what is stored is damaged.
    """
    chunks = await app.blobs.open(content_blob(content_hash, tenant))
    text = b"".join([chunk async for chunk in chunks])
    if content_hash != f"sha256:{hashlib.sha256(text).hexdigest()}":
        raise Unavailable(f"the configuration {content_hash} is damaged: publish it again")
    values: Values = json.loads(text)
    return values


async def read_recorded(content_hash: str, tenant: TenantId, app: DeploymentsApp) -> Values:
    """Return the values of a layer that is recorded. Raises Unavailable: they are not there."""
    try:
        return await read_content(content_hash, tenant, app)
    except NotFound as absent:
        raise Unavailable(
            f"the configuration {content_hash} is recorded, and not there", retry_after_s=_RETRY_S
        ) from absent


async def read_pinned(
    pins: Mapping[ModuleId, ConfigurationPin], tenant: TenantId, app: DeploymentsApp
) -> Configurations:
    """Return what *pins* stand for. Raises ConfigurationRemoved, Unavailable."""
    values = {module: await read_merge(pin, tenant, app) for module, pin in pins.items()}
    return Configurations(pins, values)


async def read_merge(pin: ConfigurationPin, tenant: TenantId, app: DeploymentsApp) -> Values:
    """Return the values that *pin* stands for; none of one without a hash.

    Raises:
        ConfigurationRemoved: they are not stored any more.
        Unavailable.
    """
    if pin.hash is None:
        return {}
    try:
        return await read_content(pin.hash, tenant, app)
    except NotFound as absent:
        raise ConfigurationRemoved(pin.hash) from absent


def content_blob(content_hash: str, tenant: TenantId) -> str:
    return f"{CONTENTS}{tenant}/{content_hash.removeprefix('sha256:')}"
