"""The end of an asynchronous upload becomes an event, in the transaction that settles it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from addons.config import Config
from addons.jobs.registry import Job
from addons.media import upload_work
from addons.media.uploads import view
from addons.pipeline.services import Services
from addons.webhooks.examples import EXAMPLES
from ofapi_store import testing
from ofapi_store.engine import Store
from ofapi_store.queries import uploads, webhooks
from ofapi_store.queries.events import EVENTS
from ofapi_store.secrets import SecretBox

NAMES = ["media_uploads.completed", "media_uploads.failed"]


@pytest.fixture
def services(store: Store, secret_box: SecretBox, tmp_path: Path) -> Services:
    return Services(Config.build({"media": {"dir": str(tmp_path)}}), store, secret_box)


def upload(services: Services) -> uploads.UploadRow:
    """One under way, of a team that wants to know how it ends."""
    now = services.clock()
    with services.store.write() as conn:
        team = testing.make_team(conn)
        account = testing.make_account(conn, team.id)
        webhooks.create(conn, team.id, url="https://example.com/", events=NAMES, account_scope="global", now=now)
        values: dict[str, Any] = {
            "id": "ofapi_media_1", "team_id": team.id, "account_id": account.id, "target": "cdn", "kind": "photo",
            "file_name": "p.jpg", "content_type": "image/jpeg", "size": 5, "md5": "m", "spool": None, "source_url": None,
        }  # fmt: skip
        uploads.create(conn, values, price=3, endpoint="media-upload", at=now, now=now)
        started = uploads.start(conn, "ofapi_media_1")
    assert started is not None
    return started


def told(services: Services) -> list[tuple[str, str, Any]]:
    with services.store.read() as conn:
        query = select(EVENTS.c.event, EVENTS.c.account_id, EVENTS.c.payload)
        return [(row.event, row.account_id, row.payload) for row in conn.execute(query)]


async def test_a_failed_upload_is_told_once_with_its_status(services: Services) -> None:
    """The payload is what the status endpoint shows; a job that runs again tells nothing new."""
    row = upload(services)
    for _ in range(2):
        await upload_work.job_failed(Job(1, uploads.JOB, row.id, {"upload": row.id}), services, "no such file")
    with services.store.read() as conn:
        ended = uploads.by_id(conn, row.id)
    assert ended is not None
    assert told(services) == [("media_uploads.failed", row.account_id, view(ended))]
    assert view(ended).keys() == EXAMPLES["media_uploads.failed"].keys()


@pytest.mark.parametrize("tell", [True, False])
async def test_a_completed_upload_is_told_where_nobody_waited_for_it(services: Services, tell: bool) -> None:
    """Contract 7.4: asynchronous uploads only."""
    row = upload(services)
    result = {"url": "https://example.com/p.jpg"}
    await services.store.awrite(upload_work._complete, row.id, result, services.clock(), tell)
    found = told(services)
    assert [event for event, _, _ in found] == ["media_uploads.completed"] * tell
    if tell:
        assert found[0][2].keys() >= EXAMPLES["media_uploads.completed"].keys()
        assert found[0][2]["media"]["url"] == result["url"]
