"""`docs/settings.md` has every app setting, as the model reads them."""

from tools.settings_reference import PAGE, rewritten


def test_the_page_is_what_its_tool_writes() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == rewritten(page), "run: python -m tools.settings_reference"
