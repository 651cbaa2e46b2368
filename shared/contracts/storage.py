"""The tables and the blob containers of the platform's storage account."""

from typing import Final

AUDIT: Final = "audit"
"""The audit trails of all services."""
HEALTH_SAMPLES: Final = "healthsamples"
TABLES: Final = (AUDIT, HEALTH_SAMPLES)

ARTIFACTS: Final = "artifacts"
"""The container that surfaces read archives from."""
CONTAINERS: Final = (ARTIFACTS,)
