"""Makes a Python function of an expression: from the values of its aliases to its own value."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.environment import Environment
from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.functions import CURRENT, FUNCTIONS
from local_cloud.cosmos_endpoint.query.signatures import Function
from local_cloud.cosmos_endpoint.query.syntax import (
    Aggregate,
    Alias,
    ArrayLiteral,
    Call,
    Constant,
    Expression,
    Member,
    ObjectLiteral,
    Select,
    Subquery,
)
from local_cloud.cosmos_endpoint.query.values import UNDEFINED, is_number

Scope = Mapping[str, Any]
"""The value of each alias; aggregates of the group under their own names, see `aggregate_name`."""
Evaluate = Callable[[Scope], Any]
RunSubquery = Callable[[Select], Callable[[Scope], Sequence[Any]]]


_NEW_PATTERN_STEPS: Final = 50_000
"""Of work, for a pattern that differs from row to row: making one takes up to 0.2 s."""


def _steps_of(name: str, arguments: Sequence[Expression]) -> int:
    """Return the work of a call beside that for the length of its arguments."""
    has_pattern = name in {"LIKE", "REGEXMATCH"}
    is_one = all(isinstance(argument, Constant) for argument in arguments[1:])
    return _NEW_PATTERN_STEPS if has_pattern and not is_one else 0


def aggregate_name(index: int) -> str:
    """Return under which name a scope has the aggregate *index*; no alias is called so."""
    return f"aggregate {index}"


class Compiler:
    """Compiles the expressions of one select; `aggregates` are those that it met."""

    def __init__(self, environment: Environment, subquery: RunSubquery) -> None:
        self._environment = environment
        self._subquery = subquery
        self.aggregates: list[tuple[str, Evaluate]] = []

    def compiled(self, expression: Expression) -> Evaluate:  # noqa: PLR0911  one for each kind
        """Return the function that evaluates *expression*; it may raise SqlRefused."""
        match expression:
            case Constant(value):
                return lambda _: value
            case Alias(name):
                return lambda scope: scope.get(name, UNDEFINED)
            case Member(base, Constant(str(name))):
                return _member(self.compiled(base), name)
            case Member(base, key):
                return _indexed(self.compiled(base), self.compiled(key))
            case Call(name, arguments):
                steps = _steps_of(name, arguments)
                return self._call(name, list(map(self.compiled, arguments)), steps)
            case ArrayLiteral(items):
                return self._array(list(map(self.compiled, items)))
            case ObjectLiteral(names, values):
                return self._object(list(zip(names, map(self.compiled, values), strict=True)))
            case Aggregate(kind, argument, _):
                name = aggregate_name(len(self.aggregates))
                self.aggregates.append((kind, self.compiled(argument)))
                return lambda scope: scope[name]
            case Subquery(kind, select):
                return self._of_subquery(kind, self._subquery(select))

    def _call(self, name: str, arguments: list[Evaluate], steps: int) -> Evaluate:
        match name:
            case "AND" | "OR":
                return _joined(arguments, decisive=name == "OR")
            case "??":
                return _coalesced(arguments)
            case "?:" | "IIF":
                return _chosen(*arguments)
            case "RAND":
                return lambda _: self._environment.random()
            case _ if name in CURRENT:
                value = self._environment.current(name)
                return lambda _: value
            case _:
                return self._applied(FUNCTIONS[name], arguments, steps)

    def _applied(self, function: Function, arguments: list[Evaluate], steps: int) -> Evaluate:
        apply, spend = function.apply, self._environment.spend
        strict = not function.takes_undefined

        def evaluate(scope: Scope) -> Any:
            values = [argument(scope) for argument in arguments]
            if steps:
                spend(steps)
            for value in values:
                if value is UNDEFINED and strict:
                    return UNDEFINED
                if isinstance(value, list | str) and len(value) > 64:  # noqa: PLR2004  short is free
                    spend(len(value) // 16)
            return apply(*values)

        return evaluate

    def _array(self, items: list[Evaluate]) -> Evaluate:
        checked = self._environment.checked

        def evaluate(scope: Scope) -> Any:
            values = [item(scope) for item in items]
            return checked([value for value in values if value is not UNDEFINED])

        return evaluate

    def _object(self, fields: list[tuple[str, Evaluate]]) -> Evaluate:
        checked = self._environment.checked

        def evaluate(scope: Scope) -> Any:
            values = [(name, value(scope)) for name, value in fields]
            return checked({name: value for name, value in values if value is not UNDEFINED})

        return evaluate

    def _of_subquery(self, kind: str, run: Callable[[Scope], Sequence[Any]]) -> Evaluate:
        checked = self._environment.checked
        if kind == "EXISTS":
            return lambda scope: bool(run(scope))
        if kind == "ARRAY":
            return lambda scope: checked(list(run(scope)))
        return lambda scope: _only(run(scope))


def _member(base: Evaluate, name: str) -> Evaluate:
    def evaluate(scope: Scope) -> Any:
        value = base(scope)
        return value.get(name, UNDEFINED) if isinstance(value, dict) else UNDEFINED

    return evaluate


def _indexed(base: Evaluate, key: Evaluate) -> Evaluate:
    def evaluate(scope: Scope) -> Any:
        value, index = base(scope), key(scope)
        if isinstance(value, dict) and isinstance(index, str):
            return value.get(index, UNDEFINED)
        if not isinstance(value, list) or not is_number(index) or index % 1 or index < 0:
            return UNDEFINED
        return value[int(index)] if index < len(value) else UNDEFINED

    return evaluate


def _joined(arguments: list[Evaluate], *, decisive: bool) -> Evaluate:
    """Return AND or OR: one *decisive* value settles it, then one that is no boolean does."""

    def evaluate(scope: Scope) -> Any:
        result: Any = not decisive
        for argument in arguments:
            value = argument(scope)
            if value is decisive:
                return decisive
            if not isinstance(value, bool):
                result = UNDEFINED
        return result

    return evaluate


def _coalesced(arguments: list[Evaluate]) -> Evaluate:
    def evaluate(scope: Scope) -> Any:
        for argument in arguments:
            value = argument(scope)
            if value is not UNDEFINED:
                return value
        return UNDEFINED

    return evaluate


def _chosen(condition: Evaluate, first: Evaluate, second: Evaluate) -> Evaluate:
    return lambda scope: first(scope) if condition(scope) is True else second(scope)


def _only(values: Sequence[Any]) -> Any:
    if len(values) > 1:
        raise SqlRefused(
            "The cardinality of a scalar subquery result set cannot be greater than one."
        )
    return values[0] if values else UNDEFINED
