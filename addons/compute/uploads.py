"""How far an upload got, from the store alone (contract 10.2)."""

from __future__ import annotations

from addons.compute.api import Answer, Call, Handler
from addons.media.uploads import view
from addons.pipeline.errors import NotFound
from ofapi_store.queries import uploads


async def status(call: Call) -> Answer:
    """`GET /{account}/media/uploads/{upload}/status`: pending, processing, completed with media, failed with error."""
    assert call.account is not None
    call.queries.append("media_uploads")
    row = await call.services.store.aread(uploads.for_account, call.account.id, call.params["upload"])
    if row is None:
        raise NotFound(f"This account has no upload {call.params['upload'][:80]}.")
    media = call.services.parts.get("media")
    return Answer(view(row) if media is None else await media.uploads.shown(row, call.base_url), bare=True)


HANDLERS: dict[str, Handler] = {"uploads.status": status}
