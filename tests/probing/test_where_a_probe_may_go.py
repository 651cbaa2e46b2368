"""The guard against requests that somebody else has aimed: a table of URLs, and pinned names."""

import ipaddress
from collections.abc import Sequence

import pytest

from shared.probing.guard import Forbidden, resolve_destination

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)
NAMES = {
    "shop.example": ["203.1.113.7"],
    "six.example": ["2606:4700::1111"],
    "both.example": ["203.1.113.7", "127.0.0.1"],
    "inside.example": ["10.0.0.5"],
    "local.example": ["127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:10.0.0.5"],
    "localhost": ["127.0.0.1", "::1"],
    "localhost.": ["127.0.0.1"],
}


async def resolve(host: str) -> Sequence[str]:
    if host not in NAMES:
        raise OSError(f"{host} is unknown")
    return NAMES[host]


DENIED = {
    "loopback": "http://127.0.0.1:8080/",
    "another-loopback": "http://127.8.9.1/",
    "ten": "http://10.0.0.1/",
    "one-seven-two": "http://172.16.0.1/",
    "one-nine-two": "http://192.168.1.1/",
    "shared-address-space": "http://100.64.0.1/",
    "a-cloud's-metadata-in-shared-space": "http://100.100.100.200/latest/meta-data",
    "metadata": "http://169.254.169.254/metadata/instance",
    "link-local": "http://169.254.1.1/",
    "identity-endpoint": "http://169.254.130.1/msi/token",
    "azure-wire-server": "http://168.63.129.16/machine",
    "azure-wire-server-with-a-port": "http://168.63.129.16:32526/",
    "this-host": "http://0.0.0.0:8080/",
    "this-network": "http://0.1.2.3/",
    "protocol-assignments": "http://192.0.0.192/",
    "documentation": "http://192.0.2.1/",
    "benchmarking": "http://198.18.0.1/",
    "multicast": "http://224.0.0.1/",
    "reserved": "http://240.0.0.1/",
    "broadcast": "http://255.255.255.255/",
    "decimal": "http://2130706433/",
    "decimal-metadata": "http://2852039166/",
    "octal": "http://0177.0.0.1/",
    "octal-whole": "http://017700000001/",
    "hexadecimal": "http://0x7f000001/",
    "hexadecimal-parts": "http://0x7f.0x0.0x0.0x1/",
    "mixed": "http://0x7f.0.0.01/",
    "mixed-metadata": "http://0xa9.254.0251.254/",
    "two-parts": "http://127.1/",
    "three-parts": "http://127.0.1/",
    "zero": "http://0/",
    "leading-zeros": "http://127.000.000.001/",
    "too-large-a-part": "http://256.256.256.256/",
    "five-parts": "http://1.2.3.4.5/",
    "trailing-dot": "http://127.0.0.1./",
    "empty-hexadecimal": "http://example.0x/",
    "v6-loopback": "http://[::1]:8080/",
    "v6-unspecified": "http://[::]/",
    "v6-link-local": "http://[fe80::1]/",
    "v6-zone": "http://[fe80::1%25eth0]/",
    "v6-site-local": "http://[fec0::1]/",
    "v6-unique-local": "http://[fd12:3456::1]/",
    "v6-metadata": "http://[fd00:ec2::254]/",
    "v6-multicast": "http://[ff02::1]/",
    "v6-documentation": "http://[2001:db8::1]/",
    "v6-long-loopback": "http://[0:0:0:0:0:0:0:1]/",
    "mapped-loopback": "http://[::ffff:127.0.0.1]/",
    "mapped-hexadecimal": "http://[::ffff:7f00:1]/",
    "mapped-metadata": "http://[::ffff:169.254.169.254]/",
    "mapped-wire-server": "http://[::ffff:168.63.129.16]/",
    "mapped-private": "http://[::ffff:10.0.0.1]/",
    "compatible-loopback": "http://[::127.0.0.1]/",
    "nat64-metadata": "http://[64:ff9b::169.254.169.254]/",
    "nat64-local-use": "http://[64:ff9b:1::10.0.0.1]/",
    "six-to-four": "http://[2002:a9fe:a9fe::1]/",
    "teredo": "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "name-of-loopback": "http://localhost:8080/",
    "name-with-a-dot": "http://localhost./",
    "name-that-points-inside": "http://inside.example/",
    "name-that-points-at-metadata": "http://metadata.example/",
    "name-with-one-bad-address": "http://both.example/",
    "name-of-a-mapped-address": "http://mapped.example/",
    "credentials": "http://shop.example@127.0.0.1/",
    "credentials-that-look-inside": "http://127.0.0.1@shop.example/",
    "empty-credentials": "http://@shop.example/",
    "backslash": "http://shop.example\\@127.0.0.1/",
    "space": "http://shop.example /",
    "line-break": "http://shop.example/\r\nHost: inside.example",
    "tab": "http://shop\t.example/",
    "nul": "http://shop.example/\x00",
    "percent-encoded-host": "http://%31%32%37.0.0.1/",
    "full-width-digits": "http://１２７.0.0.1/",  # noqa: RUF001  what it is about
    "ideographic-full-stop": "http://127。0。0。1/",
    "circled-digits": "http://①②⑦.0.0.1/",
    "file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:6379/_INFO",
    "ftp": "ftp://shop.example/",
    "no-scheme": "//127.0.0.1/",
    "no-host": "http:///path",
    "port-zero": "http://shop.example:0/",
    "port-too-large": "http://shop.example:99999/",
    "port-that-is-no-number": "http://shop.example:80a/",
    "broken-brackets": "http://[::1/",
    "no-address-in-brackets": "http://[shop.example]/",
    "too-long": "http://shop.example/" + "a" * 2048,
}


@pytest.mark.parametrize("url", DENIED.values(), ids=DENIED.keys())
async def test_a_url_that_leads_inside_or_says_two_things_is_denied(url: str) -> None:
    with pytest.raises(Forbidden):
        await resolve_destination(url, owned=(), resolve=resolve)


def test_the_table_of_urls_is_as_long_as_promised() -> None:
    assert len(set(DENIED.values())) >= 60


@pytest.mark.parametrize(
    ("url", "goes_to"),
    [
        pytest.param("http://203.1.113.7/", "http://203.1.113.7:80/", id="a-public-address"),
        pytest.param("https://203.1.113.7/a?b=c", "https://203.1.113.7:443/a?b=c", id="its-query"),
        pytest.param("http://shop.example:81/x#y", "http://203.1.113.7:81/x", id="a-public-name"),
        pytest.param("http://SHOP.example", "http://203.1.113.7:80/", id="case-and-no-path"),
        pytest.param("http://six.example/", "http://[2606:4700::1111]:80/", id="an-ipv6-name"),
        pytest.param(
            "http://[2606:4700::1111]:8/", "http://[2606:4700::1111]:8/", id="an-ipv6-address"
        ),
    ],
)
async def test_a_request_goes_to_the_address_that_was_judged(url: str, goes_to: str) -> None:
    destination = await resolve_destination(url, owned=(), resolve=resolve)

    assert destination.url == goes_to


async def test_the_host_asked_for_travels_beside_the_pinned_address() -> None:
    destination = await resolve_destination("https://shop.example:8443/", owned=(), resolve=resolve)

    assert (destination.host_header, destination.server_name) == (
        "shop.example:8443",
        "shop.example",
    )


async def test_an_address_that_a_surface_owns_is_asked() -> None:
    destination = await resolve_destination(
        "http://127.0.0.1:8080/health", owned=LOOPBACK, resolve=resolve
    )

    assert destination.url == "http://127.0.0.1:8080/health"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.2:8080/", id="a-neighbour-of-an-owned-address"),
        pytest.param("http://local.example:8080/", id="a-name-that-points-at-an-owned-address"),
        pytest.param("http://2130706433:8080/", id="an-owned-address-in-another-form"),
    ],
)
async def test_owning_an_address_opens_nothing_else(url: str) -> None:
    with pytest.raises(Forbidden):
        await resolve_destination(url, owned=LOOPBACK, resolve=resolve)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://168.63.129.16/", "http://0/"])
async def test_what_belongs_to_the_cloud_is_never_asked_whoever_owns_it(url: str) -> None:
    everything = (ipaddress.ip_network("0.0.0.0/0"),)

    with pytest.raises(Forbidden):
        await resolve_destination(url, owned=everything, resolve=resolve)


async def test_a_name_is_resolved_once() -> None:
    asked: list[str] = []

    async def rebinding(host: str) -> Sequence[str]:
        asked.append(host)
        return ["203.1.113.7"] if len(asked) == 1 else ["127.0.0.1"]

    destination = await resolve_destination("http://shop.example/", owned=(), resolve=rebinding)

    assert (asked, destination.url) == (["shop.example"], "http://203.1.113.7:80/")


async def test_a_name_that_an_operator_wrote_may_lead_into_a_named_range_and_nowhere_else() -> None:
    ten = (ipaddress.ip_network("10.0.0.0/8"),)
    everything = (ipaddress.ip_network("0.0.0.0/0"),)

    inside = await resolve_destination(
        "https://inside.example/", owned=(), resolve=resolve, named=ten
    )

    assert inside.url == "https://10.0.0.5:443/"
    for url, named in (
        ("https://10.0.0.5/", ten),  # an address of itself has to be owned
        ("https://local.example/", ten),
        ("https://both.example/", ten),
        ("https://metadata.example/", everything),
    ):
        with pytest.raises(Forbidden):
            await resolve_destination(url, owned=(), resolve=resolve, named=named)
