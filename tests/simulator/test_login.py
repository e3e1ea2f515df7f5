from __future__ import annotations

import httpx
import pytest

from scripts.simulator import Simulator

UA = "Test/1.0"


def login(sim: Simulator, client: httpx.Client, prefix: str = "", password: str | None = None) -> httpx.Response:
    account = sim.creators[0]
    return client.post("/users/login", json={"email": prefix + account.email, "password": password or account.password})


@pytest.fixture
def visitor(sim: Simulator) -> httpx.Client:
    """A browser without cookies."""
    return httpx.Client(base_url=sim.api_url + "/api2/v2", headers={"User-Agent": UA})


def cookie(answers: list[httpx.Response]) -> dict[str, str]:
    pairs = [pair.split(";")[0] for answer in answers for pair in answer.headers.get_list("Set-Cookie")]
    return {"Cookie": "; ".join({pair.split("=")[0]: pair for pair in pairs}.values())}


def test_password_login_opens_a_session(sim: Simulator, visitor: httpx.Client) -> None:
    """Right email and password give cookies that work with the same user agent, and no other."""
    cookies = cookie([login(sim, visitor)])
    assert visitor.get("/users/me", headers=cookies).json()["id"] == sim.creators[0].id
    assert visitor.get("/users/me", headers={**cookies, "User-Agent": "Other"}).status_code == 401
    visitor.post("/users/logout", headers=cookies)
    assert visitor.get("/users/me", headers=cookies).status_code == 401


@pytest.mark.parametrize(("prefix", "password", "code"), [("", "wrong", 101), ("captcha+", None, 103)])
def test_refused_logins(sim: Simulator, visitor: httpx.Client, prefix: str, password: str | None, code: int) -> None:
    """A wrong password and a captcha are 400 with codes of their own."""
    answer = login(sim, visitor, prefix, password)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize("prefix", ["otp+", "app+"])
def test_second_factor(sim: Simulator, visitor: httpx.Client, prefix: str) -> None:
    """Until the right code comes, the session is pending; a wrong code leaves it open."""
    first = login(sim, visitor, prefix)
    assert first.json()["twoFactorPending"] is True
    pending = cookie([first])
    assert visitor.get("/users/me", headers=pending).status_code == 401
    assert visitor.post("/users/otp/check", json={"code": "0"}, headers=pending).json()["error"]["code"] == 102
    done = visitor.post("/users/otp/check", json={"code": sim.creators[0].otp_code}, headers=pending)
    assert visitor.get("/users/me", headers=cookie([first, done])).status_code == 200


def test_codes_run_out(sim: Simulator, visitor: httpx.Client) -> None:
    """After five wrong codes even the right one is 429."""
    pending = cookie([login(sim, visitor, "otp+")])
    for _ in range(5):
        visitor.post("/users/otp/check", json={"code": "0"}, headers=pending)
    assert visitor.post("/users/otp/check", json={"code": sim.creators[0].otp_code}, headers=pending).status_code == 429


def test_selfie(sim: Simulator, visitor: httpx.Client) -> None:
    """A face check passes once the creator has done it."""
    first = login(sim, visitor, "face+")
    assert first.json()["otp"]["type"] == "face"
    pending = cookie([first])
    assert visitor.post("/users/otp/check", json={}, headers=pending).status_code == 400
    sim.happen("verify-face")
    assert visitor.post("/users/otp/check", json={}, headers=pending).status_code == 200
