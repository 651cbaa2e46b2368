"""A dataclass of `shared.kernel.dataclass` is the standard library's, with its methods made later.

Each rule holds of both decorators: what is compared is what a caller sees.
"""

import ast
import copy
import dataclasses
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import pytest

from shared.kernel import dataclass as deferred

ROOT: Final = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@deferred.dataclass(frozen=True)
class Point:
    """Of the module, so that it can be pickled."""

    x: int
    y: int = 2


def family(dataclass: Callable[..., Any]) -> tuple[Any, Any]:
    """Return a class and one that derives from it, made by *dataclass*."""

    @dataclass(frozen=True)
    class Weight(Generic[T]):
        name: str
        percent: T
        tags: tuple[str, ...] = ()
        seen: list[str] = dataclasses.field(default_factory=list, compare=False, repr=False)
        unit: str = dataclasses.field(default="%", kw_only=True)

        def __post_init__(self) -> None:
            self.seen.append(self.name)

        @property
        def doubled(self) -> Any:
            return self.percent

    @dataclass(frozen=True, kw_only=True)
    class Step(Weight[T]):
        number: int

    return Weight, Step


OURS, THEIRS = family(deferred.dataclass), family(dataclasses.dataclass)
USES: Final[dict[str, Callable[[Any, Any], object]]] = {
    "repr": lambda weight, _: repr(weight("web", 1)),
    "repr-of-a-derived-one": lambda _, step: repr(step("web", 1, number=4)),
    "equal": lambda weight, _: weight("web", 1) == weight("web", 1, seen=["other"]),
    "another-value": lambda weight, _: weight("web", 1) == weight("web", 1, unit="m"),
    "another-class": lambda weight, step: weight("web", 1) == step("web", 1, number=4),
    "hash": lambda weight, _: hash(weight("web", 1)),
    "hash-of-a-derived-one": lambda _, step: hash(step("web", 1, number=4)),
    "post-init": lambda _, step: step("web", 1, number=4).seen,
    "replace": lambda _, step: repr(dataclasses.replace(step("web", 1, number=4), percent=5)),
    "as-dict": lambda _, step: dataclasses.asdict(step("web", 1, number=4)),
    "copy": lambda weight, _: repr(copy.deepcopy(weight("web", 1, ("a",)))),
    "fields": lambda _, step: [(f.name, f.kw_only, f.compare) for f in dataclasses.fields(step)],
    "match": lambda weight, _: weight.__match_args__,
    "too-few": lambda weight, _: weight("web"),
    "too-many": lambda weight, _: weight("web", 1, (), [], "m"),
    "unknown": lambda weight, _: weight("web", 1, colour="red"),
    "by-position": lambda _, step: step("web", 1, (), [], 4),
    "set": lambda weight, _: setattr(weight("web", 1), "name", "api"),
    "set-what-is-no-field": lambda weight, _: setattr(weight("web", 1), "colour", "red"),
    "set-an-inherited-field": lambda _, step: setattr(step("web", 1, number=4), "name", "api"),
    "delete": lambda weight, _: delattr(weight("web", 1), "name"),
    "delete-in-a-derived-one": lambda _, step: delattr(step("web", 1, number=4), "number"),
}


def outcome(use: Callable[[Any, Any], object], classes: Iterable[Any]) -> object:
    try:
        return use(*classes)
    except (TypeError, AttributeError) as problem:
        return type(problem), str(problem)


@pytest.mark.parametrize("use", USES)
def test_what_a_caller_sees_is_as_of_the_standard_library(use: str) -> None:
    assert outcome(USES[use], OURS) == outcome(USES[use], THEIRS)
    assert outcome(USES[use], OURS) == outcome(USES[use], THEIRS)  # now that it is compiled


def test_a_method_is_compiled_when_it_is_called_first() -> None:
    weight, _ = family(deferred.dataclass)
    before = vars(weight)["__init__"], vars(weight)["__eq__"]

    weight("web", 1)

    assert vars(weight)["__init__"] is not before[0]
    assert vars(weight)["__init__"].__code__.co_varnames[1:3] == ("name", "percent")
    assert vars(weight)["__eq__"] is before[1]


@pytest.mark.parametrize("decorator", [deferred.dataclass, dataclasses.dataclass])
@pytest.mark.parametrize("base", [0, 1], ids=["of-the-first", "of-a-derived-one"])
def test_what_derives_from_a_frozen_class_is_frozen(
    decorator: Callable[..., Any], base: int
) -> None:
    made = decorator(frozen=True, order=True)(type("Made", (OURS[base],), {}))

    with pytest.raises(dataclasses.FrozenInstanceError):
        made("web", 1, **{"number": 1} if base else {}).name = "api"
    with pytest.raises(TypeError, match="cannot inherit non-frozen"):
        decorator()(type("Thawed", (OURS[base],), {}))


def test_a_method_of_the_class_itself_stays() -> None:
    @deferred.dataclass(frozen=True)
    class Secret:
        text: str

        def __repr__(self) -> str:
            return "hidden"

    assert repr(Secret("a")) == "hidden"
    assert Secret("a") == Secret("a")


def test_a_value_is_pickled_and_read() -> None:
    assert pickle.loads(pickle.dumps(Point(1))) == Point(1, 2)


def test_services_take_this_decorator() -> None:
    """One of the standard library costs 0.5 ms at each cold start, whether it is used or not."""
    others = [
        str(path.relative_to(ROOT))
        for folder in ("shared", "function_apps")
        for path in (ROOT / folder).rglob("*.py")
        if path.relative_to(ROOT) != Path("shared/kernel/dataclass.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
        if "dataclass" in {name.name for name in node.names}
    ]

    assert others == []
