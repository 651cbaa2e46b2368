"""The watch over one secret in its vault: what is to be told of it, and what was told. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.secret_bindings.model.secret_head import SecretHead
from shared.contracts.alerts import Alert, AlertChange, judge_alerts
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.vault.port import SecretProperties

DELETED: Final = Alert.SECRET_DELETED
DISABLED: Final = Alert.VERSION_DISABLED
EXPIRING: Final = Alert.SECRET_EXPIRES


@dataclass(frozen=True)
class SecretWatch:
    """`alerts` has since when each is raised. `revision` counts what was raised and cleared.

    `told_version` is the one whose end was told to its consumers.
    """

    secret: str
    tenant_id: str
    environment_id: str
    due_at: str | None
    """None while nobody is given the secret."""
    alerts: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0
    told_version: str | None = None
    secret_name: str = ""
    """Empty until the first look of this version."""


def begin(known: SecretWatch | None, head: SecretHead, now: datetime) -> SecretWatch:
    """Return the watch over a secret that has a consumer; *known* itself where there is one."""
    if known is None:
        return SecretWatch(
            head.secret, head.tenant_id, head.environment_id, isoformat(now),
            secret_name=head.secret_name,
        )  # fmt: skip
    return known if known.due_at else replace(known, due_at=isoformat(now))


def due_alerts(
    head: SecretHead,
    versions: Sequence[SecretProperties],
    now: datetime,
    *,
    expiring_within: timedelta,
) -> Mapping[Alert, str]:
    """Return what is wrong with a secret as its vault has it: the alerts, each with a sentence."""
    if not versions:
        return {DELETED: f"{head.secret_name} was deleted in its vault; its consumers keep it"}
    in_force = next((each for each in versions if each.version == head.version), None)
    if in_force is None or not in_force.enabled:
        state = "gone" if in_force is None else "disabled"
        return {DISABLED: f"version {head.version} of {head.secret_name} is in force and {state}"}
    expires_at = in_force.expires_at
    if expires_at is not None and expires_at <= now + expiring_within:
        at = isoformat(expires_at)
        return {EXPIRING: f"version {head.version} of {head.secret_name} expires at {at}"}
    return {}


def look(
    watch: SecretWatch, found: Mapping[Alert, str], now: datetime, again_at: datetime | None
) -> tuple[SecretWatch, Sequence[AlertChange]]:
    """Return *watch* after a look into the vault, and what that changes of its alerts."""
    at = isoformat(now)
    due = {name: [sentence] for name, sentence in found.items()}
    changes = judge_alerts(watch.alerts, due, at)
    alerts: dict[str, str] = {name: watch.alerts.get(name, at) for name in found}
    revision = watch.revision + len(changes)
    after = replace(
        watch, alerts=alerts, revision=revision, due_at=isoformat(again_at) if again_at else None
    )
    return after, changes


def version_set_by_hand(
    head: SecretHead, versions: Sequence[SecretProperties], tags: frozenset[str]
) -> str | None:
    """Return the newest version that somebody set since the one in force; None without one.

    Those that the platform made carry one of *tags*. What a rotation failed to bring is none, nor
    what is older.
    """
    known = {head.version, *head.failed_versions}
    since = [each.created_at for each in versions if each.version in known]
    for each in versions:
        is_newer = all(each.created_at > before for before in since)
        is_ours = not tags.isdisjoint(each.tags or {})
        if each.enabled and is_newer and not is_ours and each.version not in known:
            return each.version
    return None


def is_told(watch: SecretWatch, head: SecretHead) -> bool:
    """Return whether the consumers were told when the version in force ends."""
    return EXPIRING not in watch.alerts or watch.told_version == head.version
