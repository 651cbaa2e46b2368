"""What a look into the vault finds of a secret, which alerts that changes, and who is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from function_apps.secret_bindings.errors import GeneratorNotSupported
from function_apps.secret_bindings.model.generators import require_supported
from function_apps.secret_bindings.model.secret_head import Consumer, SecretHead
from function_apps.secret_bindings.model.secret_watch import (
    DELETED,
    DISABLED,
    EXPIRING,
    SecretWatch,
    begin,
    due_alerts,
    is_told,
    look,
    version_set_by_hand,
)
from shared.contracts.alerts import AlertChange
from shared.contracts.secret_bindings import Generator, GeneratorKind
from shared.kernel.clock import isoformat
from shared.vault.port import SecretProperties

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HEAD = SecretHead("s", "tenant", "env", "vault", "db", False, "1", (Consumer("a", "web"),))
WATCH = SecretWatch("s", "tenant", "env", isoformat(NOW))
TAGS = frozenset({"rotation"})


def version(name: str, age: timedelta = DAY, **changes: object) -> SecretProperties:
    made = SecretProperties("db", name, NOW - age, NOW - age)
    return replace(made, **changes)  # type: ignore[arg-type]


def found(*versions: SecretProperties) -> dict[str, str]:
    return dict(due_alerts(HEAD, versions, NOW, expiring_within=DAY))


def test_a_version_in_force_that_is_there_alarms_nobody() -> None:
    assert found(version("2"), version("1")) == {}
    assert found(version("1", expires_at=NOW + DAY + timedelta(seconds=1))) == {}


def test_a_secret_without_versions_was_deleted() -> None:
    assert found() == {DELETED: "db was deleted in its vault; its consumers keep it"}


def test_a_version_in_force_that_nobody_can_read_is_gone_or_disabled() -> None:
    assert found(version("2")) == {DISABLED: "version 1 of db is in force and gone"}
    assert found(version("2"), version("1", enabled=False)) == {
        DISABLED: "version 1 of db is in force and disabled"
    }


def test_a_version_that_ends_soon_is_told_with_its_end() -> None:
    assert found(version("1", expires_at=NOW + DAY)) == {
        EXPIRING: f"version 1 of db expires at {isoformat(NOW + DAY)}"
    }


def test_an_alert_is_raised_once_and_cleared_with_its_time() -> None:
    at = isoformat(NOW)
    raised, changes = look(WATCH, {DELETED: "gone"}, NOW, NOW + DAY)

    assert (raised.alerts, raised.revision) == ({DELETED: at}, 1)
    assert raised.due_at == isoformat(NOW + DAY)
    assert changes == [AlertChange(DELETED, at, ("gone",))]
    same, none = look(raised, {DELETED: "gone"}, NOW + DAY, None)
    assert (same.alerts, same.revision, same.due_at, none) == ({DELETED: at}, 1, None, [])
    other, both = look(raised, {DISABLED: "off"}, NOW + DAY, None)
    assert (other.alerts, other.revision) == ({DISABLED: isoformat(NOW + DAY)}, 3)
    assert both == [
        AlertChange(DISABLED, isoformat(NOW + DAY), ("off",)),
        AlertChange(DELETED, at, cleared_at=isoformat(NOW + DAY)),
    ]  # fmt: skip


def test_a_watch_begins_with_the_first_consumer_and_again_with_a_later_one() -> None:
    assert begin(None, HEAD, NOW) == replace(WATCH, secret_name=HEAD.secret_name)
    assert begin(WATCH, HEAD, NOW + DAY) is WATCH
    assert begin(replace(WATCH, due_at=None, revision=4), HEAD, NOW) == replace(WATCH, revision=4)


@pytest.mark.parametrize(
    ("versions", "by_hand"),
    [
        pytest.param([version("2", DAY / 2), version("1")], "2", id="a-newer-one"),
        pytest.param([version("2"), version("1")], None, id="one-as-old-as-that-in-force"),
        pytest.param([version("0", 2 * DAY), version("1")], None, id="an-older-one"),
        pytest.param([version("2", DAY / 2, enabled=False), version("1")], None, id="disabled"),
        pytest.param(
            [version("2", DAY / 2, tags={"rotation": "r"}), version("1")], None, id="ours"
        ),
        pytest.param(
            [version("2", DAY / 2, tags={"team": "x"}), version("1")], "2", id="tags-of-others"
        ),
        pytest.param([version("failed", DAY / 2), version("1")], None, id="of-a-failed-rotation"),
        pytest.param([version("0", 2 * DAY)], "0", id="any-where-that-in-force-is-gone"),
        pytest.param([version("1")], None, id="only-that-in-force"),
    ],
)
def test_a_version_that_somebody_set_is_followed(
    versions: list[SecretProperties], by_hand: str | None
) -> None:
    assert version_set_by_hand(replace(HEAD, failed_version="failed"), versions, TAGS) == by_hand


def test_consumers_are_told_of_the_end_of_each_version_once() -> None:
    ends = replace(WATCH, alerts={EXPIRING: "now"})

    assert is_told(WATCH, HEAD)
    assert not is_told(ends, HEAD)
    assert is_told(replace(ends, told_version="1"), HEAD)
    assert not is_told(replace(ends, told_version="0"), HEAD)


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (GeneratorKind.STORAGE_KEY, {}, "databasePassword, keyPair, random, webhook"),
        (GeneratorKind.RANDOM, {"b": "1", "a": "2"}, "no settings a, b: expected none"),
        (GeneratorKind.WEBHOOK, {"x": "1"}, "no settings x: expected url, key"),
        (GeneratorKind.WEBHOOK, {}, "settings of webhook lack url, key"),
        (GeneratorKind.DATABASE_PASSWORD, {"user": "x"}, "lack resource"),
    ],
)
def test_a_generator_that_cannot_be_used_is_refused_by_name(
    kind: GeneratorKind, given: dict[str, str], words: str
) -> None:
    with pytest.raises(GeneratorNotSupported) as refused:
        require_supported(Generator(kind=kind, settings=given))
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (GeneratorKind.RANDOM, {}),
        (GeneratorKind.WEBHOOK, {"url": "x", "key": "y"}),
        (GeneratorKind.DATABASE_PASSWORD, {"resource": "x"}),
        (GeneratorKind.DATABASE_PASSWORD, {"resource": "x", "user": "y"}),
    ],
)
def test_a_generator_with_its_settings_is_taken(kind: GeneratorKind, given: dict[str, str]) -> None:
    require_supported(Generator(kind=kind, settings=given))
    require_supported(None)
