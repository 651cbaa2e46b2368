"""The URLs that a client is given: the value of its binding, and the management URLs."""

import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

PLACEHOLDER: Final = "INSTANCEID"
"""What the library replaces by an instance id, everywhere."""


@dataclass(frozen=True)
class ManagementUrls:
    """Addresses of one task hub. *webhooks* and *rpc* are URLs, *key* the system key or empty."""

    hub: str
    webhooks: str
    rpc: str
    key: str

    def binding_value(self, connection: str | None) -> str:
        """Return what a function's durable client is made from, as JSON text."""
        key = self._key
        value = {
            "taskHubName": self.hub,
            "connectionName": connection,
            "baseUrl": self.webhooks,
            "httpBaseUrl": None,
            "requiredQueryStringParameters": key,
            "rpcBaseUrl": self.rpc,
            "creationUrls": {
                "createNewInstancePostUri": self._creation(key),
                "createAndWaitOnNewInstancePostUri": self._creation(
                    "timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}"
                    + (f"&{key}" if key else "")
                ),
            },
            "managementUrls": self.management(PLACEHOLDER),
        }
        return json.dumps(value)

    def management(self, instance_id: str, *, with_rewind: bool = True) -> dict[str, str]:
        """Return the management URLs of an instance, by the names the library knows."""
        this = f"{self.webhooks}/instances/{quote(instance_id, safe='')}"
        key = f"&{self._key}" if self._key else ""
        query = f"taskHub={quote(self.hub, safe='')}&connection=Storage{key}"
        urls = {
            "id": instance_id,
            "statusQueryGetUri": f"{this}?{query}",
            "sendEventPostUri": f"{this}/raiseEvent/{{eventName}}?{query}",
            "terminatePostUri": f"{this}/terminate?reason={{text}}&{query}",
            "rewindPostUri": f"{this}/rewind?reason={{text}}&{query}",
            "purgeHistoryDeleteUri": f"{this}?{query}",
            "restartPostUri": f"{this}/restart?{query}",
            "suspendPostUri": f"{this}/suspend?reason={{text}}&{query}",
            "resumePostUri": f"{this}/resume?reason={{text}}&{query}",
        }
        if not with_rewind:
            del urls["rewindPostUri"]
        return urls

    @property
    def _key(self) -> str:
        return f"code={self.key}" if self.key else ""

    def _creation(self, query: str) -> str:
        path = f"{self.webhooks}/orchestrators/{{functionName}}[/{{instanceId}}]"
        return f"{path}?{query}" if query else path
