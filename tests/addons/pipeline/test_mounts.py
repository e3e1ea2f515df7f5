"""The longest mount prefix wins, by whole segments."""

from __future__ import annotations

import pytest

from addons.config import Config
from addons.pipeline.mounts import MountTable
from addons.pipeline.paths import canonical_path


@pytest.mark.parametrize(
    ("target", "mount", "rest"),
    [
        ("/api/acct_1/chats?x=1", "envelope", ("acct_1", "chats")),
        ("/api", "envelope", ()),
        ("//api//x/", "envelope", ("x",)),
        ("/%61pi/x", "envelope", ("x",)),
        # not a prefix by segments
        ("/apiary/x", "raw", ("apiary", "x")),
        ("/acct_1/api/x", "raw", ("acct_1", "api", "x")),
        ("/_ofapi/health", "internal", ("health",)),
        ("/go/01J", "redirect", ("01J",)),
        ("/cdn/a/b", "cdn", ("a", "b")),
        ("/", "raw", ()),
    ],
)
def test_a_path_belongs_to_its_longest_mount(target: str, mount: str, rest: tuple[str, ...]) -> None:
    """`/apiary` is not below `/api`; an encoded spelling of a mount is that mount."""
    found, below = MountTable(Config.build().mounts).resolve(canonical_path(target))
    assert (found, below.segments) == (mount, rest)


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        ("/f/x", ("f", "x")),
        ("/cdn/f/x", ("f", "x")),
        ("/", ()),
        ("/api/whoami", ("api", "whoami")),
        ("/_ofapi/health", ("_ofapi", "health")),
    ],
)
@pytest.mark.parametrize("host", ["cdn.example.test", "cdn.example.test."])
def test_a_host_of_cached_files_is_nothing_else(host: str, target: str, rest: tuple[str, ...]) -> None:
    """Whatever the path, it is one below the mount of cached files, with its prefix or without."""
    table = MountTable(Config.build().mounts, ["CDN.example.test"])
    found, below = table.resolve(canonical_path(target), host)
    assert (found, below.segments) == ("cdn", rest)
    assert table.resolve(canonical_path("/api"), "api.example.test")[0] == "envelope"


def test_nested_mounts_and_no_root() -> None:
    """Mounts may nest, and a path below none of them has no mount."""
    config = Config.build({"mounts": {"raw": "/of", "envelope": "/of/api"}})
    table = MountTable(config.mounts)
    assert table.resolve(canonical_path("/of/api/x"))[0] == "envelope"
    assert table.resolve(canonical_path("/of/apix"))[0] == "raw"
    assert table.resolve(canonical_path("/elsewhere"))[0] is None
    assert table.prefix("envelope") == "/of/api"
