"""Rewrites the table of `docs/settings.md`: every app setting, from the model that reads them."""

from typing import Final

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cli.state_folder import REPOSITORY
from shared.composition.settings import Settings
from tools.release_reference import docs_of

PAGE: Final = REPOSITORY / "docs" / "settings.md"
_MARK: Final = "<!-- from the model -->\n"


def rewritten(page: str) -> str:
    """Return *page* with what follows the mark as the model has it."""
    parts = [each for each in Settings.__mro__ if issubclass(each, BaseModel)]
    docs = {name: text for part in parts[:-1] for name, text in docs_of(part).items()}
    lines = ["| setting | default | |", "|---|---|---|"]
    for name, words in docs.items():
        field = Settings.model_fields[name]
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        lines.append(f"| `{field.alias}` | {default} | {words}{_bounds(field)} |")
    head, mark, _ = page.partition(_MARK)
    return head + mark + "\n" + "\n".join(lines) + "\n"


def _bounds(field: FieldInfo) -> str:
    """Return what a number may be, as a sentence after the others; nothing without a bound."""
    least = [f"at least {each.ge:,}" for each in field.metadata if isinstance(each, Ge)]
    most = [f"at most {each.le:,}" for each in field.metadata if isinstance(each, Le)]
    bounds = " and ".join((*least, *most))
    return f" {bounds.capitalize()}." if bounds else ""


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
