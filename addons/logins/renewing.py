"""After a session died: a login by ourselves, where config allows it and credentials were kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ofapi_store.queries import auth

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from addons.pipeline.services import Services

log = structlog.get_logger(__name__)


class Renewal:
    """`on_account_state`: runs in the transaction that marked the account, so that neither is without the other."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def __call__(self, conn: Connection, account_id: str, state: str) -> None:
        settings = self._services.config.auth
        if state != "session_expired" or not settings.auto_reauthenticate:
            return
        row = auth.start_again(conn, account_id, ttl_s=settings.attempt_ttl_s, now=self._services.clock())
        if row is not None:
            log.info("account is logged in again", account=account_id, attempt=row.id)
