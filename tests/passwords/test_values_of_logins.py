"""A value says where it belongs, and an error nothing of it."""

from dataclasses import replace

import pytest

from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Invalid
from shared.passwords.logins import Login, consumers_login, new_login, parse
from shared.vault.port import SecretValue

HERE = Login("postgresql", "administrator", "secret/of:admin@1", "127.0.0.1", 20001, "orders")
PASSWORD = SecretValue("p@ss/word:with?odd#ones%1")


def test_a_value_is_read_as_it_was_written() -> None:
    login = consumers_login(new_login(HERE, "shop-web", PASSWORD, SystemEntropy()), HERE)

    assert login.user.startswith("shop_web_")
    assert login == replace(HERE, user=login.user, password=PASSWORD.reveal())
    assert PASSWORD.reveal() not in repr(login)


def test_no_two_values_have_one_login() -> None:
    values = [new_login(HERE, "web", PASSWORD, SystemEntropy()) for _ in range(50)]

    assert len({parse(value).user for value in values}) == 50


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("canary", id="no-url"),
        pytest.param("http://u:canary@127.0.0.1:20001/orders", id="another-scheme"),
        pytest.param("postgresql://u:canary@127.0.0.1:port/orders", id="no-port"),
        pytest.param("postgresql://u:canary@[127.0.0.1:20001/orders", id="no-host"),
        pytest.param("postgresql://u:canary@127.0.0.1:20001/other", id="another-database"),
        pytest.param("postgresql://u:canary@10.0.0.1:20001/orders", id="another-host"),
        pytest.param(
            "postgresql://administrator:canary@127.0.0.1:20001/orders", id="administrator"
        ),
        pytest.param("postgresql://orders_owner:canary@127.0.0.1:20001/orders", id="owner"),
    ],
)
def test_a_value_of_something_else_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        consumers_login(SecretValue(text), HERE)

    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("user", "password", "target"),
    [
        ("Web", PASSWORD, "user"),
        ("web; DROP", PASSWORD, "user"),
        ("a" * 41, PASSWORD, "user"),
        ("web", SecretValue("short"), "password"),
        ("web", SecretValue("sixteen characters"), "password"),
        ("web", SecretValue("pässword-pässword"), "password"),
    ],
)
def test_a_login_that_no_server_would_keep_is_refused(
    user: str, password: SecretValue, target: str
) -> None:
    with pytest.raises(Invalid) as refused:
        new_login(HERE, user, password, SystemEntropy())

    assert refused.value.target == target
    assert password.reveal() not in str(refused.value)
