"""A subscription has one path, which Service Bus reads in any case."""

import pytest

from shared.messaging.entity_path import split_path, subscription_path


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        pytest.param("orders", ("orders", None), id="a-queue"),
        pytest.param("shop/orders", ("shop/orders", None), id="a-queue-with-a-slash"),
        pytest.param("events/subscriptions/all", ("events", "all"), id="as-we-write-it"),
        pytest.param("events/Subscriptions/all", ("events", "all"), id="as-the-sdks-write-it"),
        pytest.param(
            "a/subscriptions/b/subscriptions/all", ("a/subscriptions/b", "all"), id="last"
        ),
    ],
)
def test_a_path_is_of_a_queue_or_of_a_subscription(
    path: str, parts: tuple[str, str | None]
) -> None:
    assert split_path(path) == parts


def test_what_is_written_is_read_back() -> None:
    assert split_path(subscription_path("shop/events", "all")) == ("shop/events", "all")
