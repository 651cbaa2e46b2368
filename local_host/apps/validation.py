"""Refuses at boot what the Azure worker and host refuse, and says what to write instead.

The signature rules are the Python worker's (one function that breaks them fails its whole app);
which types suit a binding is asked of the library's own converters. The rules of names are the
host's (they cost the one function).
https://learn.microsoft.com/azure/azure-functions/functions-reference-python
"""

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from local_host.model import Binding

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,127}", re.IGNORECASE | re.ASCII)
_BINDING_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,127}", re.IGNORECASE | re.ASCII)
_RESERVED_NAME: Final = "host"
_RETURN: Final = "$return"
_TYPING_GENERIC: Final = type(typing.List[int])  # noqa: UP006  the worker knows this spelling only
_NOT_GENERIC: Final = frozenset({typing.Union, tuple, typing.ClassVar, Callable, typing.Literal})


def name_refusal(name: str) -> str | None:
    """Return why the host refuses a function called *name*, None when it does not."""
    if NAME.fullmatch(name) and name.lower() != _RESERVED_NAME:
        return None
    return (
        f"{name!r} is no function name: write a letter, then at most 127 letters, digits,"
        " _ or -, and not 'host'"
    )


def binding_refusal(bindings: Sequence[Binding]) -> str | None:
    """Return why the host refuses the name of one of *bindings*, None when it does not.

    The rule is `Utility.ValidateBinding` of azure-functions-host.
    """
    for name in (binding.name for binding in bindings):
        if name != _RETURN and not _BINDING_NAME.fullmatch(name):
            return (
                f"the binding name {name} is invalid: write a letter, then at most 127 letters and"
                f" digits{_without_marks(name)}"
            )
    return None


def _without_marks(name: str) -> str:
    better = re.sub(r"[^A-Za-z0-9]|^[0-9]+", "", name)
    return f", {better} say" if _BINDING_NAME.fullmatch(better) else ""


def async_refusal(handler: Callable[..., Any]) -> str | None:
    """Return why an orchestrator or entity could never run, None when it can."""
    code = getattr(handler, "orchestrator_function", None) or getattr(
        handler, "entity_function", None
    )
    if inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code):
        kind = "an orchestrator" if hasattr(handler, "orchestrator_function") else "an entity"
        waits = ", yield where it awaits," if kind == "an orchestrator" else ""
        return (
            f"it is {kind} but async, which the Durable library cannot run: write def"
            f" {code.__name__}{waits} and call services in activities"
        )
    return None


def signature_refusals(handler: Callable[..., Any], bindings: Sequence[Binding]) -> Iterator[str]:
    """Yield the reasons why *handler* cannot be loaded with *bindings*."""
    for binding in bindings:
        if binding.direction == "inout":
            yield f"binding {binding.name!r} has direction inout: write one in and one out binding"
    if any(b.name == _RETURN and b.direction == "in" for b in bindings):
        yield "the binding $return must have direction out"
    try:
        hints = typing.get_type_hints(handler)
    except Exception as problem:  # noqa: BLE001  whatever a hint's evaluation raises
        yield f"its type hints cannot be resolved: {type(problem).__name__}: {problem}"
        return
    parameters = dict(inspect.signature(handler).parameters)
    bound = {binding.name: binding for binding in bindings if binding.name != _RETURN}
    yield from _context_refusals(parameters, bound, hints)
    yield from _name_refusals(parameters, bound)
    for name in parameters:
        if name in bound and name in hints:
            yield from _hint_refusals(bound[name], hints[name])
    yield from _return_refusals(bindings, hints)
    yield from _client_refusals(handler, bindings)


def _context_refusals(
    parameters: dict[str, inspect.Parameter], bound: Mapping[str, Binding], hints: dict[str, Any]
) -> Iterator[str]:
    if "context" not in parameters or "context" in bound:
        return
    del parameters["context"]
    hint = hints.get("context")
    if "context" in hints and (not isinstance(hint, type) or hint.__name__ != "Context"):
        yield f"context is annotated {_shown(hint)}: write context: func.Context"


def _name_refusals(
    parameters: Mapping[str, inspect.Parameter], bound: Mapping[str, Binding]
) -> Iterator[str]:
    if unbound := [name for name in parameters if name not in bound]:
        yield (
            f"parameter {', '.join(unbound)} belongs to no binding:"
            f" the bindings are named {', '.join(bound) or '(none)'}"
        )
    for name, binding in bound.items():
        if name not in parameters:
            yield (
                f"the {binding.type} binding is named {name!r} but the function has no such"
                f" parameter: its parameters are {', '.join(parameters) or '(none)'}"
            )


def _hint_refusals(binding: Binding, hint: Any) -> Iterator[str]:
    is_out = _is_out(hint)
    wanted = hint
    if is_out:
        inner = typing.get_args(hint)
        if len(inner) != 1:
            yield f"{binding.name}: func.Out needs one type: write func.Out[str]"
            return
        wanted = inner[0]
    if not _is_loadable(wanted):
        yield (
            f"{binding.name} is annotated {_shown(wanted)}, which the worker refuses:"
            f" write {_instead(wanted)}"
        )
    elif binding.direction == "out" and not is_out:
        yield f"{binding.name} is an output: write {binding.name}: func.Out[{_shown(hint)}]"
    elif binding.direction == "in" and is_out:
        yield f"{binding.name} is an input, so it cannot be func.Out"
    elif not _suits(binding, wanted):
        yield (
            f"{binding.name} is annotated {_shown(wanted)}, which does not suit {binding.type}:"
            f" write {_EXPECTED.get(binding.type, 'str or bytes')}, or no annotation"
        )


_EXPECTED: Final = {
    "httpTrigger": "func.HttpRequest",
    "http": "func.Out[func.HttpResponse]",
    "timerTrigger": "func.TimerRequest",
    "serviceBusTrigger": "func.ServiceBusMessage (List[func.ServiceBusMessage] for many)",
    "serviceBus": "func.Out[str]",
    "cosmosDBTrigger": "func.DocumentList",
    "cosmosDB": "func.DocumentList, or func.Out[func.Document]",
    "warmupTrigger": "func.WarmUpContext",
}


def _is_out(hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    return isinstance(origin, type) and origin.__name__ == "Out"


def _is_loadable(hint: Any) -> bool:
    if isinstance(hint, type):
        return True
    return isinstance(hint, _TYPING_GENERIC) and typing.get_origin(hint) not in _NOT_GENERIC


def _suits(binding: Binding, hint: Any) -> bool:
    from azure.functions import get_binding_registry  # noqa: PLC0415  with the app, not before

    if hint in (str, bytes):
        return True
    converter = get_binding_registry().get(binding.type)  # type: ignore[no-untyped-call]
    try:
        if converter is None:
            return issubclass(hint, (str, bytes))
        if binding.direction == "out":
            return bool(converter.check_output_type_annotation(hint))
        return bool(converter.check_input_type_annotation(hint))
    except TypeError:  # a typing generic where a class is asked for
        return False


_SPELLED_BY_TYPING: Final = frozenset(
    {"Dict", "Iterable", "List", "Mapping", "MutableMapping", "Sequence", "Set"}
)


def _instead(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        members = [m for m in typing.get_args(hint) if m is not type(None)]
        return f"one class ({', '.join(_shown(m) for m in members)}), or no annotation"
    name = origin.__name__ if isinstance(origin, type) else ""
    spelled = {"dict": "Dict", "list": "List", "set": "Set"}.get(name, name)
    if spelled in _SPELLED_BY_TYPING:
        inner = ", ".join(_shown(argument) for argument in typing.get_args(hint))
        return f"typing.{spelled}[{inner}], a plain class, or no annotation"
    return "a plain class such as str or dict, or no annotation"


def _return_refusals(bindings: Sequence[Binding], hints: Mapping[str, Any]) -> Iterator[str]:
    output = next((b for b in bindings if b.name == _RETURN), None)
    if output is None or output.type.lower() != "http" or "return" not in hints:
        return
    hint = hints["return"]
    if not isinstance(hint, type) or _is_out(hint):
        problem = f"its return is annotated {_shown(hint)}"
    elif not _suits(output, hint):
        problem = f"its return is annotated {_shown(hint)}, which is no HTTP response"
    else:
        return
    yield f"{problem}: write -> func.HttpResponse, -> str, or no annotation"


def _client_refusals(handler: Callable[..., Any], bindings: Sequence[Binding]) -> Iterator[str]:
    user_code = getattr(handler, "client_function", None)
    if user_code is None or not any(b.type.lower() == "durableclient" for b in bindings):
        return
    if not inspect.iscoroutinefunction(user_code):
        yield (
            "it takes a durable client but is a plain function, so every call would fail:"
            f" write async def {user_code.__name__}"
        )


def _shown(hint: Any) -> str:
    if isinstance(hint, type):
        return "None" if hint is type(None) else hint.__name__
    return str(hint).replace("typing.", "")
