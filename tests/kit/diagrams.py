"""Reads the state diagrams of READMEs, so that a test can hold them to the tables."""

import re
from pathlib import Path

_ARROW = re.compile(r"^\s*(\w+|\[\*\])\s*-->\s*(\w+|\[\*\])\s*(?::\s*(.+?))?\s*$", re.MULTILINE)


def arrows(readme: Path) -> set[tuple[str, str, str]]:
    """Return every arrow of the first mermaid state diagram: from, to, and each of its labels."""
    text = readme.read_text(encoding="utf-8")
    diagram = text.split("```mermaid", 1)[1].split("```", 1)[0]
    assert diagram.lstrip().startswith("stateDiagram-v2"), readme
    found = {
        (source, target, label.strip())
        for source, target, labels in _ARROW.findall(diagram)
        for label in labels.split(",")
        if source != "[*]"
    }
    assert found, readme
    return found
