"""The HTTP API of an infrastructure engine in another process: all of `InfrastructureEngine`."""

from typing import Final

from shared.infrastructure import errors
from shared.infrastructure.port import InfrastructureEngine
from shared.rpc.api import Api

ENGINE_API: Final = Api((InfrastructureEngine,), vars(errors).values())
