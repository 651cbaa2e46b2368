"""OpenAPI 3.1 from the route table, so that the document and the checks cannot differ."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from shared.web.routes import Route

_REF: Final = "#/components/schemas/{model}"
_DURATION: Final = r"^-?P(?=.)(\d+(\.\d+)?[YMWD])*(T(?=.)(\d+(\.\d+)?[HMS])*)?$"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "traceId"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "target": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
                "traceId": {"type": "string"},
            },
        }
    },
}


class _Schema(GenerateJsonSchema):
    def timedelta_schema(self, _schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        """Return ISO 8601's durations: the format `duration` (RFC 3339) knows no fractions."""
        return {"type": "string", "pattern": _DURATION, "examples": ["PT0.5S", "PT5M"]}


def document(service: str, routes: Sequence[Route]) -> Mapping[str, Any]:
    """Return the OpenAPI document of one service."""
    models = sorted(
        {
            model
            for route in routes
            for model in (route.body, route.answer, *route.also.values())
            if model
        },
        key=lambda model: model.__name__,
    )
    _, definitions = models_json_schema(
        [(model, "validation") for model in models],
        by_alias=True,
        ref_template=_REF,
        schema_generator=_Schema,
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(f"/{route.template}", {})[route.method.lower()] = _operation(
            service, route
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Factory Runtime: {service}", "version": "v1"},
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Error": _ERROR},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def joined(documents: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return one document for several services, as the gateway serves it."""
    first = documents[0]
    paths = {path: item for document in documents for path, item in document["paths"].items()}
    schemas: dict[str, Any] = {}
    for document in documents:
        schemas |= document["components"]["schemas"]
    return {
        **first,
        "info": {"title": "Factory Runtime", "version": "v1"},
        "paths": paths,
        "components": {**first["components"], "schemas": schemas},
    }


_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    "description": "A repeat under the same key gets the first answer, for seven days."
    " A key belongs to a route and an environment: for another environment it is another key.",
}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "Entity tags, of which the resource must have one, or *; else 412.",
}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "Entity tags, of which the resource must have none; * where none may be there"
    " yet. Else 412.",
}


def _operation(service: str, route: Route) -> Mapping[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{service.replace('-', '_')}_{route.operation_name}",
        "tags": [service],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(route.template)
        ]
        + [{"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query]
        + ([_IDEMPOTENCY_KEY, _IF_MATCH, _IF_NONE_MATCH] if route.method != "GET" else []),
        "responses": {
            **{
                str(status): {
                    "description": "Success",
                    **(_json(answer.__name__) if answer else {}),
                }
                for status, answer in {route.status: route.answer, **route.also}.items()
            },
            "default": {"description": "Error", **_json("Error")},
        },
    }
    if summary := route.described:
        operation["summary"] = summary
    if route.permission is not None:
        operation["security"] = [{"bearer": []}]
        operation["x-scope"] = route.permission
    if route.body is not None:
        body = _json(route.body.__name__)
        operation["requestBody"] = {"required": not route.optional_body, **body}
    if route.takes_bytes:
        binary = {"schema": {"type": "string", "format": "binary"}}
        content = {"application/octet-stream": binary}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _json(model: str) -> Mapping[str, Any]:
    schema = {"$ref": _REF.format(model=model)}
    return {"content": {"application/json": {"schema": schema}}}
