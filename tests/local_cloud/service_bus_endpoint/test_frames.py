"""What is read of a frame before proton reads it: how long it is, and a transfer's format."""

import pytest

pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")

from local_cloud.service_bus_endpoint.frames import BATCH_FORMAT, message_format
from shared.kernel.errors import Invalid

HANDLE, NUMBER, TAG = b"\x43", b"\x52\x07", b"\xa0\x02ab"
FORMAT = b"\x70" + BATCH_FORMAT.to_bytes(4, "big")
CONTENT = b"\xb0\xff\xff\xff\xff" * 3
"""Read as fields, it would be cut off."""


def frame(*fields: bytes, is_long: bool = False, content: bytes = CONTENT) -> bytes:
    inside, width = b"".join(fields), 4 if is_long else 1
    performative = (
        (b"\xd0" if is_long else b"\xc0")
        + (len(inside) + width).to_bytes(width, "big")
        + len(fields).to_bytes(width, "big")
        + inside
    )
    whole = b"\x02\x00\x00\x00\x00\x53\x14" + performative + content
    return (len(whole) + 4).to_bytes(4, "big") + whole


@pytest.mark.parametrize("is_long", [False, True])
def test_the_first_frame_of_a_batch_says_so(*, is_long: bool) -> None:
    assert message_format(frame(HANDLE, NUMBER, TAG, FORMAT, is_long=is_long)) == BATCH_FORMAT


@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("fields", [[], [HANDLE], [HANDLE, NUMBER], [HANDLE, NUMBER, TAG]])
def test_a_later_frame_has_few_fields_and_its_content_is_not_read(
    fields: list[bytes], *, is_long: bool
) -> None:
    # Go's client leaves out what it has said in the first one.
    assert message_format(frame(*fields, is_long=is_long)) == 0


def test_a_field_that_is_cut_off_is_invalid() -> None:
    with pytest.raises(Invalid, match="cut off"):
        message_format(frame(HANDLE, NUMBER, b"\xa0\xff", FORMAT, content=b""))
