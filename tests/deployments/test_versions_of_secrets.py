"""Of a secret, its binding and rotations tell in any order; the next unit gets the last word."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import pytest

from function_apps.deployments.errors import FactsFull
from function_apps.deployments.model.facts import (
    DISABLED_MAX,
    FACTS_MAX,
    SECRET,
    SECRETS_MAX,
    Facts,
    SecretFact,
    record_secret,
    secret_key,
)
from function_apps.deployments.repository import TARGETS

SHOP, NAME = "module-shop", "password"


def told(version: str, revision: int, *, name: str = NAME) -> SecretFact:
    """Return what a binding says; a revoked one has no version."""
    return SecretFact(SECRET, revision, SHOP, name, version)


def rotated(version: str, number: int, *, name: str = NAME) -> SecretFact:
    return SecretFact(SECRET, 4, SHOP, name, version, rotation=number)


def after(*words: SecretFact) -> Facts:
    nothing: Facts = {}
    return reduce(lambda known, word: record_secret(known, word) or known, words, nothing)


@pytest.mark.parametrize(
    ("words", "version"),
    [
        pytest.param([told("1", 1), rotated("2", 1)], "2", id="in-order"),
        pytest.param([rotated("2", 1), told("1", 1)], "2", id="its-binding-is-late"),
        pytest.param([rotated("b", 1), told("a", 1)], "b", id="its-binding-is-late-by-name"),
        pytest.param([told("1", 1), rotated("3", 2), rotated("2", 1)], "3", id="rotation-is-late"),
        pytest.param([told("5", 1), rotated("3", 1)], "3", id="rotated-to-an-earlier-version"),
        pytest.param([told("1", 1), rotated("2", 1), told("3", 2)], "3", id="bound-anew"),
        pytest.param([told("1", 1), told("", 3), rotated("2", 1)], "", id="revoked"),
        pytest.param([told("", 3), told("1", 1)], "", id="revoked-before-it-was-bound"),
        pytest.param([told("1", 1), told("", 3), told("7", 4)], "7", id="bound-after-revoked"),
    ],
)
def test_the_last_word_of_a_secret_counts_in_whatever_order_it_comes(
    words: Sequence[SecretFact], version: str
) -> None:
    assert after(*words)[secret_key(SHOP, NAME)].version == version


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]], ids=str)
def test_a_version_that_is_disabled_stays_so_in_whatever_order_it_is_told(
    order: Sequence[int],
) -> None:
    words = [
        told("1", 1),
        replace(rotated("2", 1), disabled=("1",)),
        replace(rotated("3", 2), disabled=("1", "2")),
    ]

    known = after(*(words[place] for place in order))[secret_key(SHOP, NAME)]

    assert known.version == "3"
    assert {*known.disabled} == {"1", "2"}


def test_of_versions_that_are_disabled_the_last_ones_are_known() -> None:
    many = tuple(f"v{number}" for number in range(DISABLED_MAX + 5))
    rounds = (replace(rotated("x", n), disabled=many[: n + 1]) for n in range(1, len(many)))

    known = after(told("1", 1), *rounds)[secret_key(SHOP, NAME)]

    assert known.disabled == many[-DISABLED_MAX:]


def test_a_rotation_in_the_vault_of_before_is_none_of_the_secret() -> None:
    here, there = "https://a.test/", "https://b.test/"
    moved = replace(told("7", 2), vault=there)

    known = after(
        replace(told("1", 1), vault=here),
        replace(rotated("2", 4), vault=here),
        moved,
        replace(rotated("3", 5), vault=here),
        replace(rotated("8", 1), vault=there),
    )

    assert known[secret_key(SHOP, NAME)].version == "8"


def test_a_known_secret_is_rotated_for_ever() -> None:
    rotations = (rotated(f"v{number}", number) for number in range(1, FACTS_MAX + 20))

    assert len(after(told("1", 1), *rotations)) == 1


def test_a_known_secret_is_rotated_and_revoked_where_there_is_no_room_for_another() -> None:
    full = after(*(told("1", 1, name=f"s{number}") for number in range(SECRETS_MAX)))

    assert record_secret(full, rotated("2", 1, name="s0"))
    assert record_secret(full, told("", 2, name="s0"))
    with pytest.raises(FactsFull, match=SHOP):
        record_secret(full, told("1", 1, name="new"))


def test_a_secret_that_was_revoked_leaves_its_room_to_another() -> None:
    full = after(*(told("1", 1, name=f"s{number}") for number in range(SECRETS_MAX)))
    revoked = record_secret(full, told("", 2, name="s0"))

    assert revoked
    assert record_secret(revoked, told("1", 1, name="new"))


def test_secrets_that_were_stored_by_binding_and_rotation_are_read_by_name() -> None:
    stored = {
        "schema": 2,
        "environment_id": "env-ngbperzq3ney",
        "facts": {
            "sec-ngbperzq3ney-abcdefghijkl": {
                "kind": SECRET, "revision": 3, "module": SHOP, "name": NAME, "value": "1",
            },
            "rot-ngbperzq3ney-abcdefghijkl-2": {
                "kind": SECRET, "revision": 4, "module": SHOP, "name": NAME, "value": "2",
            },
        },
    }  # fmt: skip

    (fact,) = TARGETS.decode(stored).facts.values()

    assert (fact.version, fact.rotation) == ("2", 2)
