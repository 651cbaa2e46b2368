from shared.contracts.deployments import Deploy
from shared.contracts.shape import Value
from tools.release_reference import PAGE, TABLES, rewritten


def test_the_page_is_what_the_contracts_make_of_it() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == rewritten(page), "run: python -m tools.release_reference"


def test_every_type_that_a_release_file_has_has_a_table() -> None:
    inside = {
        name
        for name, schema in Deploy.model_json_schema()["$defs"].items()
        if schema.get("type") == "object"
    }

    assert inside <= {model.__name__ for model, _ in TABLES}
    assert all(issubclass(model, Value) for model, _ in TABLES)
