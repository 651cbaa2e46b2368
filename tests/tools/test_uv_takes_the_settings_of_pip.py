"""uv installs from where pip on this machine was told to install from."""

import pytest

from tools.uv import variables


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "global.index-url='http://mirror.test/simple'",
            {"UV_DEFAULT_INDEX": "http://mirror.test/simple"},
            id="a-mirror",
        ),
        pytest.param(
            ":env:.extra-index-url='http://a.test\\nhttp://b.test'",
            {"UV_INDEX": "http://a.test http://b.test"},
            id="several-indexes",
        ),
        pytest.param(
            "install.find-links='/srv/wheels /srv/more'",
            {"UV_FIND_LINKS": "/srv/wheels,/srv/more"},
            id="folders-of-wheels",
        ),
        pytest.param(
            ":env:.default-timeout='180'", {"UV_HTTP_TIMEOUT": "180"}, id="seconds-to-wait"
        ),
        pytest.param(":env:.disable-pip-version-check='1'", {}, id="what-uv-has-no-word-for"),
        pytest.param("download.index-url='http://other.test'", {}, id="another-command-of-pip"),
    ],
)
def test_a_setting_of_pip_becomes_the_variable_of_uv(line: str, expected: dict[str, str]) -> None:
    assert variables([line]) == expected


def test_an_environment_variable_is_stronger_than_a_file() -> None:
    listing = [":env:.index-url='http://here.test'", "global.index-url='http://everybody.test'"]

    assert variables(listing) == {"UV_DEFAULT_INDEX": "http://here.test"}
