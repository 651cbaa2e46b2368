"""The database, the tables and the blob containers in which the platform keeps everything."""

from typing import Final

DATABASE: Final = "runtime"
"""The one Cosmos DB database; it has a container, and one for leases, of each service."""

AUDIT: Final = "audit"
"""The audit trails of all services."""
HEALTH_SAMPLES: Final = "healthsamples"
CONFIGURATION_REPORTS: Final = "configurationreports"
"""What the instances that follow their configuration live say they run."""
SCALING_SAMPLES: Final = "scalingsamples"
"""Each evaluation of a scaling policy, with what it saw."""
DRIFT_SNAPSHOTS: Final = "driftsnapshots"
"""What a service was on its surface, whenever a scan found it otherwise than before."""
TABLES: Final = (AUDIT, HEALTH_SAMPLES, CONFIGURATION_REPORTS, SCALING_SAMPLES, DRIFT_SNAPSHOTS)

ARTIFACTS: Final = "artifacts"
"""The container that surfaces read archives from."""
AUDIT_HEADS: Final = "auditheads"
"""The heads of audit chains, apart from the chains; one service writes it."""
LOGS: Final = "logs"
"""The last lines of what was removed; one service reaches it."""
CONTAINERS: Final = (ARTIFACTS, AUDIT_HEADS, LOGS)
