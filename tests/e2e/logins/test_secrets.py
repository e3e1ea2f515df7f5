"""What a creator gives is in no file, log, job or answer but encrypted, while a login runs and after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.logins.conftest import CODE, PASSWORD, Bed
from tests.e2e.waiting import until

SETTLED = ("needs-otp", "authenticated", "failed")


def leaks(folder: Path, secrets: dict[str, str]) -> list[str]:
    """`file: what` for each secret that a file below `folder` holds in the clear."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # a file of a moment, which is gone
            continue
        for name, secret in secrets.items():
            spellings = {secret.encode(), secret.encode("unicode_escape"), secret.encode("utf-16-le")}
            if any(text in data for text in spellings):
                found.append(f"{path.name}: {name}")
    return found


@pytest.mark.parametrize("ends", ["authenticated", "failed"])
def test_nothing_is_kept_in_the_clear(bed: Bed, ends: str) -> None:
    """The whole data folder, write-ahead log and process output included: no password, code, cookie or x-bc."""
    session = bed.session()
    secrets = {
        "password": PASSWORD,
        "code": CODE,
        "session cookie": session["cookies"].partition("sess=")[2].partition(";")[0],
        "x-bc": session["xbc"],
    }
    raw = bed.api.post("/authenticate", json={"auth_type": "raw_data", **session}).json()["attempt_id"]
    until(lambda: bed.api.get(f"/authenticate/{raw}").json()["state"], lambda state: state == "authenticated")
    assert leaks(bed.folder, secrets) == []
    bed.clear()
    login = {"email": f"otp+{bed.owner.email}", "password": PASSWORD}
    attempt = bed.api.post("/authenticate", json=login).json()["attempt_id"]
    until(lambda: bed.api.get(f"/authenticate/{attempt}").json()["state"], lambda state: state == "needs-otp")
    secrets |= {f"upstream session {i}": sess for i, sess in enumerate(list(bed.sim.world.sessions))}
    assert leaks(bed.folder, secrets) == []
    assert leaks(bed.folder, {"attempt": attempt}), "the search finds what is there"
    for code in [CODE] if ends == "authenticated" else ["99990001", "99990002", "99990003"]:
        bed.api.put(f"/authenticate/{attempt}", json={"code": code})
        secrets[f"code {code}"] = code
        until(lambda: bed.api.get(f"/authenticate/{attempt}").json()["state"], SETTLED.__contains__)
    assert bed.api.get(f"/authenticate/{attempt}").json()["state"] == ends
    answers = bed.api.get(f"/authenticate/{attempt}").text + bed.api.get("/accounts").text
    assert [name for name, secret in secrets.items() if secret in answers] == []
    assert leaks(bed.folder, secrets) == []


def test_bad_input_is_not_repeated(bed: Bed) -> None:
    """An answer that refuses a field does not say what was in it."""
    tries = [
        {"email": 5, "password": [PASSWORD]},
        {"email": "a@b.test", "password": PASSWORD * 60},
        {"auth_type": "raw_data", "auth_id": "x", "cookies": PASSWORD, "user_agent": "a\nb", "xbc": "1"},
    ]
    for body in tries:
        answer = bed.api.post("/authenticate", json=body)
        assert answer.status_code == 422
        assert PASSWORD not in answer.text
    assert leaks(bed.folder, {"password": PASSWORD}) == []
