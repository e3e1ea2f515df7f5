"""The hosted page in a real browser on a phone: password, session, codes, selfie, errors, and inside a frame."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.logins.browser import Browser
from tests.e2e.logins.conftest import CODE, PASSWORD, USER_AGENT, Bed

PICTURES = os.environ.get("OFAPI_PICTURES")  # where `docs/img` is made anew


@pytest.fixture
def picture(browser: Browser, tmp_path: Path) -> Callable[[str], object]:
    return lambda name: browser.screenshot(Path(PICTURES or tmp_path) / f"connect-{name}.png")


def page(bed: Bed, name: str = "Anna's agency") -> str:
    made = bed.api.post("/client-sessions", json={"display_name": name}).json()["data"]
    return str(made["connect_url"])


async def give(browser: Browser, email: str, password: str) -> None:
    await browser.wait_for("form-password")
    await browser.fill("email", email)
    await browser.fill("password", password)
    await browser.click("#form-password button[type=submit]")


async def test_password_and_code(bed: Bed, browser: Browser, picture: Callable[[str], object]) -> None:
    """A creator with SMS codes: a wrong password and a wrong code are told and can be corrected, then it is done."""
    url = await asyncio.to_thread(page, bed)
    await browser.open(url)
    await browser.wait_for("form-password")
    await picture("login")  # type: ignore[misc]
    await give(browser, f"otp+{bed.owner.email}", "not the password")
    await browser.wait("document.getElementById('error').innerText.includes('password is wrong')")
    await give(browser, f"otp+{bed.owner.email}", PASSWORD)
    await browser.wait_for("form-code")
    assert f"ending in {str(bed.owner.id)[-4:]}" in await browser.text("code-text")
    await picture("code")  # type: ignore[misc]
    await browser.fill("code", "000000")
    await browser.click("#form-code button")
    await browser.wait("document.getElementById('error').innerText.includes('code is wrong')")
    await browser.wait_for("form-code")
    await browser.fill("code", CODE)
    await browser.click("#form-code button")
    await browser.wait_for("done")
    assert await browser.text("done") == f"Connected as {bed.owner.username}."
    await picture("done")  # type: ignore[misc]
    assert {u.split("/connect")[0] for u in browser.urls if not u.startswith("about:")} == {bed.stack.base_url}
    assert [text for text in browser.problems if "Content Security Policy" in text] == []
    assert await browser.js("document.documentElement.scrollWidth <= innerWidth")


async def test_pasted_session(bed: Bed, browser: Browser) -> None:
    """Cookies of a browser are pasted; the user id is read from them."""
    given = await asyncio.to_thread(bed.session)
    await browser.open(await asyncio.to_thread(page, bed))
    await browser.wait_for("form-password")
    await browser.click("#tab-session")
    await browser.wait_for("form-session")
    await browser.fill("cookies", given["cookies"])
    assert await browser.js("document.getElementById('auth_id').value") == given["auth_id"]
    await browser.fill("user_agent", USER_AGENT)
    await browser.fill("xbc", given["xbc"])
    await browser.click("#form-session button[type=submit]")
    await browser.wait_for("done")


async def test_selfie(bed: Bed, browser: Browser) -> None:
    """OnlyFans wants a selfie: the page links to it, and goes on when it was done."""
    await browser.open(await asyncio.to_thread(page, bed))
    await give(browser, f"face+{bed.owner.email}", PASSWORD)
    await browser.wait_for("form-face")
    assert str(await browser.js("document.getElementById('face-link').href")).startswith("https://onlyfans.com/")
    await asyncio.to_thread(bed.sim.happen, "verify-face", creator=bed.owner.id)
    await browser.click("#form-face button")
    await browser.wait_for("done")


async def test_fields_are_told_one_by_one(bed: Bed, browser: Browser) -> None:
    """What is missing is said at its field, and the field is marked for screen readers."""
    await browser.open(await asyncio.to_thread(page, bed))
    await give(browser, "nobody", "")
    await browser.wait("document.querySelector('[data-for=password]').innerText.includes('required')")
    assert await browser.js("document.getElementById('password').getAttribute('aria-invalid')") == "true"


async def test_a_captcha_ends_the_login(bed: Bed, browser: Browser) -> None:
    """It is not passed: page and API say that the attempt failed, and that a pasted session is the way."""
    started = (await asyncio.to_thread(bed.api.post, "/authenticate", json={"auth_type": "mobile_app"})).json()
    link = started["mobile_auth_session_deeplink"]
    await browser.open(link)
    await give(browser, f"captcha+{bed.owner.email}", PASSWORD)
    await browser.wait_for("failed-captcha")
    assert "captcha" in await browser.text("error")
    assert "Browser session" in await browser.text("failed-captcha")
    assert not await browser.js("document.getElementById('form-password').checkVisibility()")
    shown = (await asyncio.to_thread(bed.api.get, f"{link}/status")).json()
    polled = (await asyncio.to_thread(bed.api.get, f"/authenticate/{started['attempt_id']}")).json()
    for told in (shown, polled):
        assert (told["state"], told["progress"]) == ("failed", "failed")
        assert told["lastAttempt"]["error_code"] == "captcha_required"
        assert "raw_data" in told["lastAttempt"]["error_message"]
        assert told["lastAttempt"]["success"] is False


async def test_in_a_frame(bed: Bed, browser: Browser) -> None:
    """A site that config names opens the page by `auth.js` and hears that the account is connected."""
    token = (await asyncio.to_thread(page, bed)).rpartition("/")[2]
    await browser.open(bed.host)
    script = f"{bed.stack.base_url}/connect/auth.js"
    load = "new Promise(done => {{ const s = document.createElement('script'); s.src = {!r}; s.onload = () => done(1);"
    await browser.js(load.format(script) + " document.head.append(s); })")
    start = "OnlyFansAPI.Auth.startOnlyFansAuthentication"
    await browser.js(f"{start}({token!r}, {{ onSuccess: d => window.heard = d, onError: e => window.heard = e }})")
    await asyncio.to_thread(
        lambda: httpx.post(
            f"{bed.stack.base_url}/connect/{token}/start", json={"email": bed.owner.email, "password": PASSWORD}
        ).raise_for_status()
    )
    await browser.wait("window.heard")
    assert await browser.js("window.heard.username") == bed.owner.username
    assert str(await browser.js("window.heard.accountId")).startswith("acct_")


async def test_where_the_npm_package_looks_for_it(bed: Bed, browser: Browser) -> None:
    """`/embed-auth/{token}` in a frame of 500 pixels, its messages with the package's fields, and Continue at the end."""
    token = (await asyncio.to_thread(page, bed)).rpartition("/")[2]
    await browser.open(bed.host)
    await browser.js("window.heard = []; window.addEventListener('message', e => heard.push([e.origin, e.data]))")
    src = f"{bed.stack.base_url}/embed-auth/{token}"
    frame = f"const f = document.createElement('iframe'); f.src = {src!r}; f.style = 'width: 350px; height: 500px; border: 0'"
    await browser.js(f"(() => {{ {frame}; document.body.append(f); }})()")
    login = {"email": bed.owner.email, "password": PASSWORD}
    answer = await asyncio.to_thread(httpx.post, f"{src}/start", json=login)
    assert answer.status_code == 200
    await browser.wait("window.heard.length")
    ((origin, message),) = await browser.js("heard")
    assert (origin, message["type"]) == (bed.stack.base_url, "onlyfansapi.auth.success")
    person = message["payload"]["onlyfansData"]
    assert (person["id"], person["username"], person["email"]) == (bed.owner.id, bed.owner.username, bed.owner.email)
    assert person.keys() == {"id", "username", "email", "avatar_url", "name"}
    assert message["payload"]["username"] == bed.owner.username
    assert await browser.frame_js("document.documentElement.scrollWidth <= innerWidth")
    await browser.frame_js("document.getElementById('continue').click()")
    await browser.wait("window.heard.length === 2")
    assert await browser.js("heard[1][1].type") == "onlyfansapi.auth.continue"


async def test_by_keyboard_and_screen_reader(bed: Bed, browser: Browser) -> None:
    """Tabs turn by arrow keys, each field names its error, and a step that comes up has the focus."""
    await browser.open(await asyncio.to_thread(page, bed))
    await browser.wait_for("form-password")
    nodes = "[...document.querySelectorAll('input:not([type=checkbox]), textarea')]"
    assert await browser.js(
        f"{nodes}.every(e => e.labels.length && document.getElementById(e.name && 'error-' + e.name))"
    )
    assert await browser.js(
        f"{nodes}.every(e => e.getAttribute('aria-describedby').split(' ').includes('error-' + e.name))"
    )
    await browser.js("document.getElementById('tab-password').focus()")
    await browser.press("ArrowRight")
    await browser.wait_for("form-session")
    assert await browser.js("document.activeElement.id") == "tab-session"
    await browser.press("ArrowRight")
    await browser.wait_for("form-password")
    await browser.click("#show-password")
    assert await browser.js("document.getElementById('password').type") == "text"
    await give(browser, f"otp+{bed.owner.email}", PASSWORD)
    await browser.wait_for("form-code")
    assert await browser.js("document.activeElement.id") == "code"
    await browser.fill("code", CODE)
    await browser.click("#form-code button")
    await browser.wait_for("done")
    assert await browser.js("document.activeElement.id") == "step-done"


async def test_unknown_links(bed: Bed, browser: Browser) -> None:
    """A link that does not work says so in plain words."""
    await browser.open(f"{bed.stack.base_url}/connect/ofapi_cs_unknown")
    assert "does not work" in str(await browser.js("document.body.innerText"))
