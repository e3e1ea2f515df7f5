"""Who can open a link to a cached file, and for how long."""

from __future__ import annotations

import pytest

from addons.media.links import LinkSigner, file_id

ID = file_id("cdn*.onlyfans.com /a.jpg")


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def opens(signer: LinkSigner, path: str, salt: str = "s") -> bool:
    link = signer.parse(path)
    return link is not None and signer.genuine(link, salt) and not signer.ended(link)


def test_a_link_opens_until_it_ends() -> None:
    """A link lives at most `ttl_s`, at least three quarters of it, and is stable for clients' caches in between."""
    clock = Clock()
    signer = LinkSigner(["k"], 400, clock)
    path = signer.path(ID, "s", "a b.jpg")
    assert path.endswith("/a%20b.jpg")
    assert path == signer.path(ID, "s", "a b.jpg")
    assert opens(signer, path)
    clock.now += 299
    assert opens(signer, path)
    clock.now += 102
    assert not opens(signer, path)


def test_a_link_dies_with_its_copy() -> None:
    """The salt of a copy is part of the signature: a new copy of the same file needs new links."""
    signer = LinkSigner(["k"], 400, Clock())
    assert not opens(signer, signer.path(ID, "s", "x"), "other")
    assert not opens(signer, signer.path(ID, "s", "x", public=True), "other")


def test_public_links_have_no_end() -> None:
    """`public: true` opens as long as the copy lives."""
    clock = Clock()
    signer = LinkSigner(["k"], 400, clock)
    path = signer.path(ID, "s", "x", public=True)
    clock.now += 10**9
    assert opens(signer, path)


def test_keys_rotate() -> None:
    """Links of the previous key open while it is still on the list."""
    old, new = LinkSigner(["old"], 400, Clock()), LinkSigner(["new", "old"], 400, Clock())
    assert opens(new, old.path(ID, "s", "x"))
    assert not opens(old, new.path(ID, "s", "x"))


@pytest.mark.parametrize("change", [
    lambda p: p.replace(ID, file_id("other")),
    lambda p: p[: p.index(".") + 1] + ("B" if p[p.index(".") + 1] == "A" else "A") + p[p.index(".") + 2 :],
    lambda p: p.replace("/f/", "/g/"),
    lambda p: p.replace(".", "..", 1),
    lambda p: "/f/" + ID,
    lambda p: f"/f/{ID}/p." + p.split(".")[1],
    lambda p: f"/f/{ID}/fffffffffff." + p.split(".", 1)[1],
    lambda p: p + "/more",
    lambda p: "",
])  # fmt: skip
def test_changed_links_do_not_open(change) -> None:  # type: ignore[no-untyped-def]
    """Neither file, end, kind nor signature of a link can be changed."""
    signer = LinkSigner(["k"], 400, Clock())
    path = signer.path(ID, "s", "some-long-file-name-of-thirty.x")
    assert change(path) != path
    assert not opens(signer, change(path))
