"""Rewrites `docs/release-file.md`: its example, and every field from the contracts.

A field's meaning is the docstring below it, a table's is the first paragraph of its class.
"""

import ast
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from pydantic import BaseModel

from cli.configuration_files import FIELDS
from cli.release_template import TEMPLATE
from cli.state_folder import REPOSITORY
from shared.contracts.components import Component, ConfigurationChoice, Hook
from shared.contracts.deployments import Deploy
from shared.contracts.gate_metrics import GateMetrics
from shared.contracts.gates import Gate, GateLimits
from shared.contracts.patterns import words_of
from shared.contracts.releases import ReleaseQuestion, RunOnce, Schedule
from shared.contracts.secret_bindings import BindSecret, Generator, RotationPolicy
from shared.contracts.strategies import Strategy, TrafficStep
from shared.contracts.values import Probe, Probes, Resources

PAGE: Final = REPOSITORY / "docs" / "release-file.md"
TABLES: Final[Sequence[tuple[type[BaseModel], str]]] = (
    (Deploy, "The release"),
    (Component, "components[]"),
    (Probes, "components[].probes"),
    (Probe, "A probe"),
    (Resources, "components[].resources"),
    (ReleaseQuestion, "components[].release"),
    (RunOnce, "components[].runsOnce"),
    (Schedule, "components[].schedule"),
    (Strategy, "strategy"),
    (TrafficStep, "strategy.steps[]"),
    (Gate, "gate"),
    (GateLimits, "gate.limits"),
    (GateMetrics, "gate.metrics"),
    (ConfigurationChoice, "configuration, as a mapping"),
    (Hook, "hooks[]"),
)
SECRETS: Final[Sequence[tuple[type[BaseModel], str]]] = (
    (BindSecret, "secrets[]"),
    (Generator, "secrets[].generator"),
    (RotationPolicy, "secrets[].rotation"),
)
_IN_FILES: Final[Mapping[str, str]] = {"moduleId": "module", "secretName": "name"}
"""Of a secret: fields that are called otherwise in a file."""
_OF_THE_RELEASE: Final = frozenset({"environmentId", "dryRun"})
"""Of a secret: fields that the command gives, and no file."""
_MARK: Final = "<!-- from the contracts -->\n"
_BOUNDS: Final = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "more than"),
    ("maximum", "at most"),
)
_TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
}
_EXAMPLE: Final = {
    "module": "module-shop",
    "slug": "shop",
    "version": "1.0.0",
    "artifact": '"build/shop.zip"',
    "command": '["python3", "serve.py", "$PORT"]',
    "port": 8080,
    "readiness": '"/"',
    "file": "release.yaml",
}


def rewritten(page: str) -> str:
    """Return *page* with its example, and what follows the mark, as the contracts have it."""
    example = f"```yaml\n{TEMPLATE.format(**_EXAMPLE)}```\n"
    page = re.sub(r"```yaml\n.*?```\n", lambda _: example, page, count=1, flags=re.DOTALL)
    head, mark, _ = page.partition(_MARK)
    tables = [_table(model, title) for model, title in TABLES]
    tables += [_layer_table(), *(_table(model, title, _IN_FILES) for model, title in SECRETS)]
    return head + mark + "".join(f"\n{table}" for table in tables)


def _layer_table() -> str:
    lines = ["### configuration[], as a list\n", "| field | takes | |", "|---|---|---|"]
    lines += [f"| `{name}` | {takes} | {means} |" for name, (_, takes, means) in FIELDS.items()]
    return "\n".join(lines) + "\n"


def _table(model: type[BaseModel], title: str, in_files: Mapping[str, str] | None = None) -> str:
    schema, docs = model.model_json_schema(), docs_of(model)
    lines = [f"### {title}\n", "| field | takes | default | |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        alias = field.alias or name
        if in_files is not None and alias in _OF_THE_RELEASE:
            continue
        shown = schema["properties"][alias]
        default = "**needed**" if alias in schema.get("required", ()) else _default(shown)
        takes = _takes(shown, schema.get("$defs", {}))
        cells = (f"`{(in_files or {}).get(alias, alias)}`", takes, default, docs.get(name, ""))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def docs_of(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the docstrings below the fields of *model*, as one line each."""
    (definition,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    docs = {}
    for field, below in pairwise(definition.body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            text = ast.literal_eval(below.value)
            docs[ast.unparse(field.target)] = " ".join(text.split())
    return docs


def _takes(shown: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    if options := [each for each in shown.get("anyOf", ()) if each.get("type") != "null"]:
        shown = options[0]
    if reference := shown.get("$ref"):
        shown = types[reference.rpartition("/")[2]]
    match shown:
        case {"enum": words}:
            return ", ".join(f"`{word}`" for word in words)
        case {"pattern": expression}:
            return words_of(expression)
        case {"format": "duration"}:
            return "duration"
        case {"type": "array", "items": items}:
            return f"list of {_takes(items, types)}; at most {shown['maxItems']}"
        case _:
            bounds = [f"{words} {shown[key]:,}" for key, words in _BOUNDS if key in shown]
            return ", ".join([_TYPES[shown["type"]], *bounds])


def _default(shown: Mapping[str, Any]) -> str:
    value = shown.get("default")
    if value in (None, [], {}, ""):
        return ""
    return f"`{json.dumps(value)}`".replace('"', "")


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
