"""Rewrites the tables of `docs/telemetry.md`: spans, attributes and metrics, from their names."""

from typing import Final

from cli.state_folder import REPOSITORY
from shared.telemetry.names import ATTRIBUTES, METRICS, WORKS

PAGE: Final = REPOSITORY / "docs" / "telemetry.md"
_MARK: Final = "<!-- from the names -->\n"


def rewritten(page: str) -> str:
    """Return *page* with what follows the mark as `shared/telemetry/names.py` has it."""
    spans = ["## Work", "", "Each has a span and a histogram of its duration in seconds.", ""]
    spans += ["| work | span | histogram | its attributes |", "|---|---|---|---|"]
    for work in WORKS:
        kind = work.span or "none"
        spans.append(f"| {work.meaning} | {kind} | `{work.metric}` | {_listed(work.dimensions)} |")
    metrics = ["## Metrics", "", "Besides these each has `service`.", ""]
    metrics += ["| metric | unit | attributes | |", "|---|---|---|---|"]
    for metric in METRICS:
        metrics.append(
            f"| `{metric.name}` ({metric.instrument}) | {metric.unit} |"
            f" {_listed(metric.dimensions)} | {metric.meaning} |"
        )
    attributes = ["## Attributes", "", "| attribute | |", "|---|---|"]
    attributes += [f"| `{name}` | {meaning} |" for name, meaning in ATTRIBUTES.items()]
    head, mark, _ = page.partition(_MARK)
    return head + mark + "\n" + "\n".join([*spans, "", *metrics, "", *attributes]) + "\n"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
