"""Commands about one binding at one instant, in every order of what they read and write.

However they meet, there is one active binding, one version in force, and no operation is left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from function_apps.secret_bindings.model.binding import Binding
from function_apps.secret_bindings.repository import BINDINGS
from shared.durable.operations import OPERATIONS
from shared.kernel.errors import Conflict
from shared.passwords.port import PasswordRefused, PasswordResource
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Document
from shared.vault.port import Vaults
from tests.kit.interleavings import Turns, in_every_order
from tests.kit.parameters import unless_whole
from tests.kit.stores import all_changes
from tests.kit.told import ENVIRONMENT, WEB
from tests.secret_bindings.bound import NAME, PASSWORD, RANDOM, SecretBindings, secret_bindings
from tests.secret_bindings.followers import Followers, consumers

Writers = Mapping[str, Coroutine[Any, Any, Any]]
Begin = Callable[[SecretBindings], Awaitable[Writers]]
OTHER: Final = "module-other"
CHANGES: Final = pytest.mark.parametrize(
    ("changes_max", "at_most"),
    [(1, None), pytest.param(2, unless_whole(120), marks=pytest.mark.long(minutes=1))],
    ids=["once", "twice"],
)
"""How often one of several long writers is left for another, and in how many orders."""
RESOURCE: Final = PasswordResource(ENVIRONMENT, "orders-db")


@dataclass(frozen=True)
class Met:
    """What the commands answered, and what is there once all that they started has ended."""

    on: SecretBindings
    answers: Mapping[str, Any]
    bindings: Sequence[Binding]

    @property
    def codes(self) -> list[str]:
        """What the refused commands were refused with; no other error is one."""
        problems = [each for each in self.answers.values() if isinstance(each, BaseException)]
        assert all(isinstance(each, Conflict) for each in problems), problems
        return [each.code for each in problems if isinstance(each, Conflict)]

    def told(self) -> list[str]:
        return [each["status"] for each in self.on.told("SecretBound")]


def _every_order(
    begin: Begin, *, changes_max: int = 2, at_most: int | None = None
) -> Iterator[tuple[str, Met]]:
    """Let the commands that *begin* returns meet in every order, and finish what they started."""

    async def met(turns: Turns) -> Met:
        on = await secret_bindings(around=turns.held)
        answers = await turns.run(await begin(on))
        await Followers(on).finish()
        stored = await all_changes(on.bench.storage.store("runtime", "secret_bindings"))
        operations = [each for _, each in OPERATIONS.readable(_of(OPERATIONS, stored))]
        assert [each.kind for each in operations if not each.is_terminal] == []
        return Met(on, answers, [each for _, each in BINDINGS.readable(_of(BINDINGS, stored))])

    return in_every_order(met, changes_max=changes_max, at_most=at_most)


def _of(codec: DocumentCodec[Any], stored: Sequence[Document]) -> Sequence[Document]:
    return [each for each in stored if each.body.get("type") == codec.type_name]


async def _twice(on: SecretBindings) -> Writers:
    return {"one": on.ask(generator=RANDOM), "two": on.ask(generator=RANDOM)}


async def _twice_after_a_revocation(on: SecretBindings) -> Writers:
    binding = await on.bind(generator=RANDOM)
    await on.revoke(binding["bindingId"])
    return await _twice(on)


@pytest.mark.parametrize("begin", [_twice, _twice_after_a_revocation])
def test_two_commands_for_one_natural_key_begin_one_binding(begin: Begin) -> None:
    for order, met in _every_order(begin):
        one, two = met.answers["one"], met.answers["two"]
        assert one["lastOperationId"] == two["lastOperationId"], order
        assert [each.status for each in met.bindings] == ["Bound"], order
        assert met.told()[-1:] == ["Bound"], order
        assert len(met.told()) == (1 if begin is _twice else 3), order


def test_of_two_commands_with_other_content_one_is_refused_with_what_differs() -> None:
    async def begin(on: SecretBindings) -> Writers:
        return {
            "one": on.ask(generator=RANDOM),
            "two": on.ask(generator=RANDOM, target="ELSEWHERE"),
        }

    for order, met in _every_order(begin):
        assert met.codes == ["BindingExists"], order
        (kept,) = (each for each in met.answers.values() if isinstance(each, Mapping))
        (bound,) = met.bindings
        assert (bound.status, bound.target) == ("Bound", kept["target"]), order


def test_a_place_is_given_to_one_of_two_secrets() -> None:
    async def begin(on: SecretBindings) -> Writers:
        return {
            "one": on.ask(generator=RANDOM),
            "two": on.ask(generator=RANDOM, secretName="api-key"),
        }

    for order, met in _every_order(begin):
        assert met.codes == ["TargetTaken"], order
        assert [each.status for each in met.bindings] == ["Bound"], order


def test_a_binding_that_is_revoked_beside_its_repeat_is_revoked_or_bound_anew() -> None:
    async def begin(on: SecretBindings) -> Writers:
        binding = await on.bind(generator=RANDOM)
        return {"revoke": on.revoke(binding["bindingId"]), "bind": on.ask(generator=RANDOM)}

    for order, met in _every_order(begin):
        assert met.codes == [], order
        is_anew = met.answers["bind"]["status"] == "Requested"
        assert met.told() == ["Bound", "Revoked", *(["Bound"] if is_anew else [])], order
        (binding,) = met.bindings
        assert binding.status == met.told()[-1], order


@pytest.mark.long
@CHANGES
def test_a_binding_that_is_revoked_and_asked_for_again_while_its_version_is_looked_for(
    changes_max: int, at_most: int | None
) -> None:
    async def begin(on: SecretBindings) -> Writers:
        asked = await on.ask(generator=PASSWORD)
        return {
            "work": on.run_started(),
            "revoke": on.revoke(asked["bindingId"]),
            "bind": on.ask(generator=PASSWORD),
        }

    for order, met in _every_order(begin, changes_max=changes_max, at_most=at_most):
        assert met.codes == [], order
        (binding,) = met.bindings
        is_anew = met.answers["bind"]["lastOperationId"] != met.answers["revoke"]["lastOperationId"]
        assert (binding.status == "Bound") == is_anew, order


def test_a_module_that_is_revoked_beside_a_rotation_is_none_of_its_consumers() -> None:
    async def begin(on: SecretBindings) -> Writers:
        _, binding = await consumers(on, WEB, generator=RANDOM)
        return {"revoke": on.revoke(binding), "rotate": on.rotate(binding, overlap="PT0S")}

    for order, met in _every_order(begin):
        assert met.codes in ([], ["BindingNotBound"]), order
        rotated = [] if met.codes else [("Verified", []), ("Revoked", [])]
        told = [(each["status"], each["consumers"]) for each in met.on.told("SecretRotated")]
        assert told == rotated, order


def test_two_commands_to_rotate_begin_one_rotation() -> None:
    async def begin(on: SecretBindings) -> Writers:
        binding = await on.bind(generator=RANDOM)
        identity = binding["bindingId"]
        return {
            "one": on.rotate(identity, overlap="PT0S"), "two": on.rotate(identity, overlap="PT0S")
        }  # fmt: skip

    for order, met in _every_order(begin):
        assert met.codes == [], order
        assert met.answers["one"]["rotationId"] == met.answers["two"]["rotationId"], order
        told = [each["status"] for each in met.on.told("SecretRotated")]
        assert told == ["Verified", "Revoked"], order


@dataclass(frozen=True)
class HeldVaults:
    """Vaults that hold writers before each request, as the store does."""

    vaults: Vaults
    turns: Turns

    def at(self, uri: str) -> Any:
        methods = {"versions", "get", "set", "set_enabled"}
        return self.turns.held(self.vaults.at(uri), methods)


def _joined(changes_max: int, at_most: int | None) -> Iterator[tuple[str, Any]]:
    """Bind another module while the secret is rotated, in every order, its server included."""

    async def met(turns: Turns) -> Any:
        on = await secret_bindings(around=turns.held)
        followers, binding = await consumers(on, WEB, generator=PASSWORD)
        old = (await on.vault.get(NAME)).value
        held: Any = HeldVaults(on.vaults, turns)
        passwords = turns.held(on.passwords, {"set", "test", "retire"})
        on.app = replace(on.app, vaults=held, passwords=passwords)
        await on.rotate(binding, overlap="PT0S")
        asked = await on.ask(moduleId=OTHER, generator=PASSWORD)
        rotation, binds = on.bench.starts.started[:]
        on.bench.starts.started.clear()
        serving = asyncio.ensure_future(followers.serve())
        answers = await turns.run({"rotation": on.run(*rotation), "binding": on.run(*binds)})
        serving.cancel()
        joined = await on.binding(asked["bindingId"])
        versions = {each.version: each.enabled for each in await on.vault.versions(NAME)}
        given = (await on.vault.get(NAME, joined["version"])).value
        await on.passwords.test(RESOURCE, given)
        with pytest.raises(PasswordRefused):
            await on.passwords.test(RESOURCE, old)
        return answers, joined["version"], versions, followers.versions

    return in_every_order(met, changes_max=changes_max, at_most=at_most)


@pytest.mark.long
@CHANGES
def test_a_module_that_is_bound_beside_a_rotation_has_the_new_version(
    changes_max: int, at_most: int | None
) -> None:
    for order, (answers, version, versions, running) in _joined(changes_max, at_most):
        assert answers == {"rotation": "Revoked", "binding": "Bound"}, order
        assert [each for each in versions if versions[each]] == [version], order
        assert running == {WEB: version}, order
