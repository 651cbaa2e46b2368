"""How a tenant is kept apart in an environment, in the words that surfaces have too."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.contracts.shape import Value


class IsolationLayer(StrEnum):
    COMPUTE = "compute"
    NETWORK = "network"
    DATA = "data"
    SECRETS = "secrets"
    QUOTA = "quota"
    IDENTITY = "identity"


class Quota(Value):
    """Over all namespaces of the tenant in the environment; an absent field has no bound."""

    cpu: Annotated[float | None, Field(gt=0, le=100_000, multiple_of=0.001)] = None
    """Cores, in thousandths as a cluster counts them."""
    memory_mib: Annotated[int | None, Field(ge=16, le=100_000_000)] = None
    instances: Annotated[int | None, Field(ge=1, le=100_000)] = None
    requests_per_second: Annotated[float | None, Field(gt=0, le=1e7)] = None
