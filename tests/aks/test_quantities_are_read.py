"""The amounts of the API server are read as Kubernetes means them."""

import pytest

from shared.surfaces.aks.quantities import amount


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", "2"), ("250m", "0.25"), ("0.1", "0.1"), ("1Gi", "1073741824"), ("64Mi", "67108864"),
        ("1k", "1000"), ("1.5Ki", "1536"), ("1e3", "1000"), ("100u", "0.0001"), ("5n", "5E-9"),
        ("-1", "-1"), (3, "3"),
    ],
)  # fmt: skip
def test_a_quantity_is_a_number(text: object, number: str) -> None:
    assert amount(text) == amount(number)


@pytest.mark.parametrize(
    "text", ["", "Mi", "1 Gi", "1Zi", None, "1.2.3", ".", "1e9999", "1e3m", "\u0661"]
)
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        amount(text)
