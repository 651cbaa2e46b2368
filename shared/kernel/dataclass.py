"""Frozen dataclasses whose methods are compiled when they are first called.

The standard library compiles the text of six methods for each class when the class is made. An app
makes 184 to 265 of them at its cold start, and of most it calls none before its first request. Here
a class has its fields at once, and a method when it is called: the standard library's own, compiled
from the same fields. See ADR 0831.

A type checker sees `dataclasses.dataclass`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any, Final

__all__ = ["dataclass"]

_DEFERRED: Final[Mapping[str, Mapping[str, bool]]] = {
    "__init__": {"init": True, "frozen": True},
    "__repr__": {"repr": True},
    "__eq__": {"eq": True},
    "__hash__": {"unsafe_hash": True},
}
"""The methods, and by what the standard library makes each of them alone."""
_NONE: Final = {"init": False, "repr": False, "eq": False}
_FROZEN: Final = vars(dataclasses.make_dataclass("Frozen", (), frozen=True))["__dataclass_params__"]
"""How the standard library says of a class that it is frozen: no thawed one may derive from it."""

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type[Any] | None = None, /, **options: Any) -> Any:
        """Decorate as `dataclasses.dataclass` does; of frozen classes methods are made later."""
        if cls is None:
            return lambda decorated: _decorated(decorated, options)
        return _decorated(cls, options)


def _decorated(cls: type[Any], options: Mapping[str, Any]) -> type[Any]:
    frozen = options.get("frozen", False) and not options.keys() - {"frozen", "kw_only"}
    if not frozen or not vars(cls).keys().isdisjoint(_DEFERRED):
        return dataclasses.dataclass(**options)(cls)
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else the signature is worked out, to be the docstring
    if dataclasses.is_dataclass(cls):
        # Only the standard library may say that a class is as frozen as its bases.
        dataclasses.dataclass(**_NONE, **options)(cls)
    else:
        dataclasses.dataclass(**_NONE, kw_only=options.get("kw_only", False))(cls)
        cls.__dataclass_params__ = _FROZEN
        _freeze(cls)
    for name in _DEFERRED:
        setattr(cls, name, _compiled_when_called(cls, name))
    return cls


def _freeze(cls: type[Any]) -> None:
    """Let nobody set or delete the fields of *cls*; a class derived from it may have others."""
    names = frozenset(field.name for field in dataclasses.fields(cls))

    def __setattr__(self: object, name: str, value: object) -> None:  # noqa: N807  set below
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: object, name: str) -> None:  # noqa: N807  set below
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    for method in (__setattr__, __delattr__):
        setattr(cls, method.__name__, method)


def _compiled_when_called(cls: type[Any], name: str) -> Callable[..., Any]:
    """Return a method that puts the standard library's in its place, and calls that."""

    def first(self: object, *given: object, **named: object) -> object:
        fields = [(field.name, field.type, field) for field in dataclasses.fields(cls)]
        after = {"__post_init__": None} if hasattr(cls, "__post_init__") else {}
        options: dict[str, Any] = {**_NONE, **_DEFERRED[name]}
        made = dataclasses.make_dataclass(cls.__qualname__, fields, namespace=after, **options)
        method = vars(made)[name]
        setattr(cls, name, method)
        return method(self, *given, **named)

    return first
