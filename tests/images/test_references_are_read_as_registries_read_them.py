"""A reference is taken as it is written, or refused with the part that is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.images.reference import BadReference, ImageReference, parse_reference

DIGEST = "sha256:" + "a" * 64
LABEL = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,8}", fullmatch=True)
HOSTS = st.one_of(
    st.builds(".".join, st.lists(LABEL, min_size=2, max_size=4)),
    st.builds(lambda label, port: f"{label}:{port}", LABEL, st.integers(1, 65535)),
    st.sampled_from(["localhost", "127.0.0.1:5000", "[::1]:5000"]),
)
REPOSITORIES = st.from_regex(
    r"[a-z0-9]+(([._]|__|-{1,3})[a-z0-9]+){0,3}(/[a-z0-9]+(([._]|__|-)[a-z0-9]+){0,2}){0,3}",
    fullmatch=True,
).filter(lambda text: len(text) < 150)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
DIGESTS = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@pytest.mark.long
@given(HOSTS, REPOSITORIES, st.none() | TAGS, st.none() | DIGESTS)
def test_what_the_specification_allows_is_read_and_written_back(
    host: str, repository: str, tag: str | None, digest: str | None
) -> None:
    if tag is None and digest is None:
        tag = "1.0"
    reference = ImageReference(host, repository, tag, digest)

    assert parse_reference(str(reference)) == reference


@given(st.text(max_size=80) | st.text("abz019.:/@_-A[]", max_size=80))
def test_any_text_is_a_reference_that_is_written_as_it_was_or_is_refused_with_what_was_typed(
    text: str,
) -> None:
    refused = ""
    written = text
    try:
        written = str(parse_reference(text))
    except BadReference as problem:
        refused = problem.message

    assert written == text
    assert not refused or repr(text) in refused


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("web:1", "names no registry", id="no-registry"),
        pytest.param("team/web:1", "names no registry", id="a-first-part-that-is-no-host"),
        pytest.param("ghcr.io/web", "neither a tag nor a digest", id="no-tag"),
        pytest.param("ghcr.io/Web:1", "its repository is 'Web'", id="upper-case"),
        pytest.param("ghcr.io/a//b:1", "its repository is 'a//b'", id="an-empty-part"),
        pytest.param("ghcr.io/../b:1", "its repository is '../b'", id="a-way-up"),
        pytest.param("ghcr.io/web:-1", "its tag is '-1'", id="a-tag-with-a-dash-first"),
        pytest.param("ghcr.io/web:" + "t" * 129, "its tag is", id="a-long-tag"),
        pytest.param("ghcr.io/web@sha256:1", "its digest is 'sha256:1'", id="a-short-digest"),
        pytest.param("ghcr.io/web@sha512:" + "a" * 128, "its digest is", id="another-algorithm"),
        pytest.param("ghcr.io/web:1@", "its digest is ''", id="no-digest-behind-the-at"),
        pytest.param("ghcr.io:0/web:1", "its registry is 'ghcr.io:0'", id="port-0"),
        pytest.param("ghcr.io:70000/web:1", "its registry is", id="a-port-that-is-none"),
        pytest.param("GHCR.io/web:1", "its registry is 'GHCR.io'", id="a-host-in-upper-case"),
        pytest.param("u:p@ghcr.io/web:1", "its digest is 'ghcr.io/web:1'", id="credentials"),
        pytest.param("https://ghcr.io/web:1", "its registry is 'https:'", id="a-url"),
        pytest.param("ghcr.io/" + "a" * 250 + ":1", "more than 255", id="a-long-name"),
        pytest.param("ghcr.io/" + "a" * 600, "at most 512", id="a-long-reference"),
        pytest.param("ghcr.io/web:1\n", "its tag is '1\\n'", id="a-line-end"),
    ],
)
def test_a_refusal_names_the_part_that_is_wrong(text: str, says: str) -> None:
    with pytest.raises(BadReference, match="is not the reference of an image") as refused:
        parse_reference(text)

    assert says in refused.value.message


def test_a_digest_counts_before_a_tag_which_stays() -> None:
    pinned = parse_reference("shop.azurecr.io/web:1.0").pinned(DIGEST)

    assert (pinned.version, str(pinned)) == (DIGEST, f"shop.azurecr.io/web:1.0@{DIGEST}")


@pytest.mark.parametrize(
    ("registry", "is_loopback"),
    [
        ("localhost", True), ("localhost:5000", True), ("127.0.0.1:5000", True),
        ("[::1]:5000", True), ("localhost.example", False), ("127.0.0.1.example", False),
        ("10.0.0.1:5000", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_asked_by_plain_http(registry: str, is_loopback: bool) -> None:  # noqa: FBT001
    assert parse_reference(f"{registry}/web:1").is_loopback is is_loopback
