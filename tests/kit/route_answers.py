"""Holds an answer that a test makes up to the response models of its route."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from shared.web.routes import Route
from tests.kit.apps import TRIGGERS


def require_answer(request: str, body: Any) -> None:
    """Fail where a route does not answer *body* to *request*, such as `GET /v1/runtime/services`.

    A test may leave fields out, which is seen where a command reads them. It may have none that the
    route has not, and no value of another form. A list has what one of its resources is read as;
    None is no answer.
    """
    method, _, url = request.partition(" ")
    path = urlsplit(url).path
    if body is None:
        return
    bodies = body if isinstance(body, list) else [body]
    models = _models(method, f"{path}/one" if isinstance(body, list) else path)
    for each in bodies:
        wrong = [_departure(model, each) for model in models]
        assert not wrong or not all(wrong), f"{request}: {'; or '.join(wrong)}"


def _departure(model: type[BaseModel], body: Any) -> str:
    """Return what of *body* is not as *model* has it; empty where all is."""
    names = {field.alias or name for name, field in model.model_fields.items()}
    if isinstance(body, Mapping) and (strange := sorted(body.keys() - names)):
        return f"{model.__name__} has no {', '.join(strange)}"
    try:
        model.model_validate(body)
    except ValidationError as refused:
        errors = [each for each in refused.errors() if each["type"] != "missing"]
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors)
    return ""


@cache
def _models(method: str, path: str) -> Sequence[type[BaseModel]]:
    return [
        model
        for route in _routes(method, path)
        if route.answer is not None
        for model in (route.answer, *route.also.values())
    ]


def _routes(method: str, path: str) -> Sequence[Route]:
    return [
        route
        for module in TRIGGERS.values()
        for route in module.ROUTES
        if route.method == method
        and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", f"/{route.template}"), path)
    ]
