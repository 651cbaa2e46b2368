import re

import yaml

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


def test_the_example_with_a_migration_can_be_deployed() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    release = yaml.safe_load(next(block for block in blocks if "runsOnce:" in block))

    deploy = Deploy.model_validate({**release, "environmentId": "env-abcdefghijkl"})

    runs = {each.module_id: (each.ends, each.depends_on) for each in deploy.components}
    assert runs["module-migrate"] == (True, ())
    assert runs["module-shop"] == (False, ("module-migrate",))
    assert deploy.components[2].schedule is not None
