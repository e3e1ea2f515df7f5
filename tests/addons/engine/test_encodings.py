"""Content codings: decoded in bounded memory, or reported as broken; never guessed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from addons.engine.encodings import BrokenEncoding, StreamDecoder, accepts, accepts_all, codings, decode, decoder_for

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
LIMIT = 1_000_000


@pytest.mark.parametrize("coding", ENCODERS)
@given(body=st.binary(max_size=2000))
def test_round_trip(coding: str, body: bytes) -> None:
    """What was encoded comes back, whole and chunk by chunk."""
    packed = ENCODERS[coding](body)
    assert decode(packed, coding, LIMIT) == body
    decoder = decoder_for(coding)
    assert decoder is not None
    parts = [decoder(packed[i : i + 7]) for i in range(0, len(packed), 7)]
    assert b"".join(parts) + decoder(b"") == body


def test_raw_deflate_and_members() -> None:
    """Deflate without zlib's header, and gzip of several members, are both in use."""
    raw = zlib.compressobj(wbits=-15)
    assert decode(raw.compress(b"abc") + raw.flush(), "deflate", LIMIT) == b"abc"
    assert decode(gzip.compress(b"ab") + gzip.compress(b"cd"), "gzip", LIMIT) == b"abcd"


def test_two_codings_and_identity() -> None:
    """Codings come off in reverse order; identity is none; no body is no body."""
    assert decode(brotli.compress(gzip.compress(b"abc")), "gzip, br", LIMIT) == b"abc"
    assert decode(b"abc", "identity", LIMIT) == decode(b"abc", None, LIMIT) == b"abc"
    assert all(decode(b"", coding, LIMIT) == b"" for coding in ENCODERS)


@pytest.mark.parametrize("coding", [*ENCODERS, "compress", "gzip, gzip, gzip"])
@pytest.mark.parametrize("body", [b"plain text", b"\x1f\x8b\x08\x00broken", b"\x00"])
def test_broken(coding: str, body: bytes) -> None:
    """Bytes that are not of their coding raise BrokenEncoding and nothing else."""
    with pytest.raises(BrokenEncoding):
        decode(body, coding, LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_cut_off(coding: str) -> None:
    """A body that was cut off is broken, not shorter."""
    with pytest.raises(BrokenEncoding):
        decode(ENCODERS[coding](b"abc" * 1000)[:-4], coding, LIMIT)


@pytest.mark.parametrize("coding", ENCODERS)
def test_bombs(coding: str) -> None:
    """A body that grows over the limit is refused."""
    with pytest.raises(BrokenEncoding, match="more than"):
        decode(ENCODERS[coding](b"0" * 5_000_000), coding, LIMIT)


@pytest.mark.parametrize(
    ("header", "coding", "taken"),
    [
        ("gzip, br", "br", True),
        ("gzip;q=0.5", "gzip", True),
        ("GZIP", "gzip", True),
        ("x-gzip", "gzip", True),
        ("gzip;q=0", "gzip", False),
        ("gzip; q=0.0, *", "gzip", False),
        ("*", "zstd", True),
        ("*;q=0", "zstd", False),
        ("identity", "gzip", False),
        ("", "gzip", False),
    ],
)
def test_accepts(header: str, coding: str, taken: bool) -> None:
    """Accept-Encoding as RFC 9110 reads it; a client that says nothing is taken to want no coding."""
    assert accepts(header, coding) is taken


def test_accepts_all_and_codings() -> None:
    """Every coding of a body must be accepted; unknown ones have no decoder."""
    assert codings("GZIP , identity") == ["gzip"]
    assert accepts_all("gzip, br", "gzip, br")
    assert not accepts_all("gzip", "gzip, br")
    assert accepts_all("", None)
    assert decoder_for("compress") is None
    assert decoder_for("gzip, br") is None
    assert isinstance(decoder_for("gzip"), StreamDecoder)
