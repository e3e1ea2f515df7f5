"""How the URL of a download is read from the request target, and that of a scrape from the vault."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from addons.compute.media import _vault_url, url_of
from addons.pipeline.errors import ValidationFailed

URL = "https://cdn2.onlyfans.com/files/a/x%20y.jpg?Tag=2&u=1&Policy=eyJ_-~&Signature=a~b"


@pytest.mark.parametrize(
    "text",
    [
        URL,
        quote(URL, safe=""),
        quote(URL, safe=":"),  # the official client leaves the colon
        quote(URL),  # Python's own default leaves the slashes
        quote(URL, safe="/:"),
        quote(URL.partition("?")[0], safe="") + "?" + URL.partition("?")[2],  # path encoded, query as it is
        URL.replace("https://", "https:/"),  # a front proxy merged the slashes
        quote(URL.replace("https://", "https:/"), safe=""),
        quote(URL, safe="/:").replace("https://", "https:/"),
    ],
)
@pytest.mark.parametrize("prefix", ["/acct_1/media/download/", "/api/acct_1/media/download/"])
def test_raw_and_encoded_urls_are_one(prefix: str, text: str) -> None:
    """Every form that the documents and clients produce names the same URL, its own escapes and query intact."""
    assert url_of(prefix + text) == URL


@pytest.mark.parametrize(
    ("text", "url"), [("", ""), ("x", "x"), ("http:/a.test/", "http://a.test/"), ("%68ttps%3A%2F%2Fa", "https://a")]
)
def test_what_is_no_url_stays_what_it_is(text: str, url: str) -> None:
    """Judging it is the identity's task."""
    assert url_of("/acct_1/media/download/" + text) == url


def vault(files: object) -> Any:
    """A call to a gateway whose upstream knows one vault media."""

    async def ask(method: str, path: str) -> Any:
        assert (method, path) == ("GET", "/api2/v2/vault/media/5")
        return SimpleNamespace(json=lambda: {"id": 5, "files": files})

    async def of(account_id: str) -> Any:
        return SimpleNamespace(ask=ask)

    return SimpleNamespace(services=SimpleNamespace(parts={"upstream": SimpleNamespace(of=of)}))


@pytest.mark.parametrize("file", [{"url": URL, "width": 5}, URL])
async def test_files_of_the_vault_are_objects_or_plain_urls(file: object) -> None:
    """Upstream writes them either way, in lists and alone."""
    account: Any = SimpleNamespace(id="acct_1")
    assert await _vault_url(vault({"thumb": file}), account, "5", "thumb") == URL
    for missing in ({}, {"thumb": None}, {"thumb": {"url": None}}, None):
        with pytest.raises(ValidationFailed, match="no file of type thumb"):
            await _vault_url(vault(missing), account, "5", "thumb")
