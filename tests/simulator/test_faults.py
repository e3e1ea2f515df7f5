from __future__ import annotations

import gzip
import http.client
import json
import time
import zlib
from urllib.parse import urlsplit

import brotli
import httpx
import pytest
import zstandard

from scripts.simulator import Fault, Simulator
from tests.simulator.conftest import client_of

FAN_PAGE = "/subscriptions/subscribers?limit=3&format=infinite"


def raw_get(sim: Simulator, path: str = "/users/me", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """One request whose body is neither decoded nor completed."""
    account = sim.creators[0]
    connection = http.client.HTTPConnection(urlsplit(sim.api_url).netloc, timeout=10)
    connection.request(
        "GET", "/api2/v2" + path, headers={"Cookie": account.cookies, "User-Agent": account.user_agent, **headers}
    )
    answer = connection.getresponse()
    try:
        return answer, answer.read()
    except http.client.IncompleteRead as part:
        return answer, part.partial
    finally:
        connection.close()


def test_latency(sim: Simulator, api: httpx.Client) -> None:
    """`latency` holds the answer back."""
    sim.faults.add("latency", seconds=0.3)
    started = time.monotonic()
    assert api.get("/users/me").status_code == 200
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    ("kind", "params", "status", "body"),
    [
        ("rate_limit", {"retry_after": 7}, 429, b'"code":429'),
        ("dead_session", {}, 401, b'"code":401'),
        ("forbidden", {}, 403, b'"code":403'),
        ("not_found", {}, 404, b'"code":404'),
        ("server_error", {}, 500, b"<!DOCTYPE html>"),
        ("html", {}, 200, b"<!DOCTYPE html>"),
        ("empty", {}, 200, b""),
        ("raw", {"body": "1.10", "status": 201}, 201, b"1.10"),
        ("raw", {"body_b64": "/wA=", "content_type": "image/x"}, 200, b"\xff\x00"),
        ("redirect", {"location": "https://evil.test/"}, 302, b""),
    ],
)
def test_answers_that_stand_in(
    sim: Simulator, api: httpx.Client, kind: str, params: dict[str, object], status: int, body: bytes
) -> None:
    """These kinds replace the answer, once."""
    sim.faults.add(kind, **params)
    answer = api.get("/users/me")
    assert answer.status_code == status
    assert body in answer.content
    assert answer.headers.get("Retry-After") == ("7" if kind == "rate_limit" else None)
    assert answer.headers.get("Location") == params.get("location")
    assert api.get("/users/me").status_code == 200


@pytest.mark.parametrize("name", ["gzip", "br", "zstd", "deflate"])
def test_encodings(sim: Simulator, name: str) -> None:
    """`encoding` compresses whatever the client accepts."""
    plain = raw_get(sim)[1]
    sim.faults.add("encoding", name=name)
    answer, body = raw_get(sim)
    decode = {
        "gzip": gzip.decompress,
        "br": brotli.decompress,
        "zstd": zstandard.decompress,
        "deflate": zlib.decompress,
    }[name]
    assert answer.headers["Content-Encoding"] == name
    assert decode(body) == plain


def test_broken_bodies(sim: Simulator) -> None:
    """Bodies may be cut, chunked, or announced with a wrong length."""
    plain = raw_get(sim)[1]
    sim.faults.add("truncate", keep=0.25)
    assert raw_get(sim)[1] == plain[: len(plain) // 4]
    sim.faults.add("lying_length", delta=50)
    answer, body = raw_get(sim)
    assert (int(answer.headers["Content-Length"]), body) == (len(plain) + 50, plain)
    sim.faults.add("chunked")
    answer, body = raw_get(sim)
    assert (answer.headers["Transfer-Encoding"], body) == ("chunked", plain)


def test_odd_json(sim: Simulator) -> None:
    """Numbers of 80 digits and `1.10`, duplicate keys, invalid UTF-8 and invalid JSON."""
    sim.faults.add("huge_numbers")
    body = raw_get(sim, FAN_PAGE)[1]
    assert b"9" * 80 in body and b"1.10" in body and json.loads(body)
    sim.faults.add("duplicate_keys")
    assert raw_get(sim)[1].startswith(b'{"dup":1,"dup":2,')
    sim.faults.add("invalid_utf8")
    with pytest.raises(UnicodeDecodeError):
        raw_get(sim)[1].decode()
    sim.faults.add("invalid_json")
    with pytest.raises(ValueError):
        json.loads(raw_get(sim)[1])


def test_reset(sim: Simulator, api: httpx.Client) -> None:
    """`reset` drops the connection without an answer; the log records status 0."""
    sim.faults.add("reset")
    with pytest.raises(httpx.TransportError):
        api.get("/users/me")
    assert sim.requests[-1]["status"] == 0


def test_close_on_reuse(sim: Simulator) -> None:
    """Only a connection that served before is dropped, as a dead keep-alive is."""
    sim.faults.add("close_on_reuse")
    with client_of(sim) as client:
        assert client.get("/users/me").status_code == 200
        with pytest.raises(httpx.TransportError):
            client.get("/users/me")
        assert client.get("/users/me").status_code == 200


def test_matching(sim: Simulator, api: httpx.Client) -> None:
    """A fault hits what it names: method, path, account, after `skip`, `count` times, until it is removed."""
    fault = sim.faults.add(
        "forbidden", method="GET", path=r"^/api2/v2/chats\?", account=sim.creators[0].id, skip=1, count=0
    )
    assert api.get("/users/me").status_code == 200
    assert client_of(sim, 1).get("/chats?limit=1").status_code == 200
    assert [api.get("/chats?limit=1").status_code for _ in range(3)] == [200, 403, 403]
    assert sim.faults.clear(fault.id) == 1
    assert api.get("/chats?limit=1").status_code == 200


def test_a_path_that_is_no_expression(sim: Simulator) -> None:
    """A fault that cannot match anything is refused when it is set, with the reason."""
    answer = httpx.post(sim.url("/__sim__/faults"), json={"kind": "reset", "path": "("})
    assert (answer.status_code, "regular expression" in answer.json()["error"]) == (400, True)


def test_unknown_kind() -> None:
    """A kind that does not exist is refused, with those that do."""
    with pytest.raises(ValueError, match="latency"):
        Fault("nonsense")


def test_faults_over_http(sim: Simulator, api: httpx.Client) -> None:
    """The control endpoint adds, lists and clears faults; bad ones give 400."""
    control = sim.api_url + "/__sim__/faults"
    added = httpx.post(control, json={"kind": "forbidden", "path": "/users/me", "count": 0}).json()
    assert [row["id"] for row in httpx.get(control).json()] == [added["id"]]
    assert api.get("/users/me").status_code == 403
    assert httpx.delete(control).json() == {"removed": 1}
    assert api.get("/users/me").status_code == 200
    assert httpx.post(control, json={"kind": "nonsense"}).status_code == 400
