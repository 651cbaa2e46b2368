"""The alert about a secret whose rotation failed: one at a time, while somebody has the secret."""

from collections.abc import Sequence
from datetime import datetime

from function_apps.secret_bindings.events import alert_cleared, alert_raised
from function_apps.secret_bindings.model.rotation import Rotation
from function_apps.secret_bindings.model.secret_head import SecretHead
from shared.messaging.outbox import Publish


def failure_alerts(
    failed: Rotation, before: SecretHead, after: SecretHead, now: datetime
) -> Sequence[Publish]:
    """Return how the alert changes as *failed* does not go on; empty where it stays as it is."""
    if after.alerted_at and not before.alerted_at:
        return [alert_raised(failed, now)]
    if before.alerted_at and not after.alerted_at:
        return [alert_cleared(failed, before.alerted_at, now)]
    return []
