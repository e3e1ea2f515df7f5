"""One export: how many rows it has, and its file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from addons.exports import spool, vault
from addons.exports.build import Progress, Rows, stored_batches, watched, write_file
from addons.exports.catalog import TYPES
from addons.exports.files import ExportFiles
from addons.exports.walks import WALKS, Row, Walk
from addons.exports.writers import remove_parts, whole_file
from addons.jobs.sync import Sync
from addons.jobs.upstream_client import SessionExpired, Unavailable
from ofapi_store.queries import exports_rows, sync
from ofapi_store.queries.exports_rows import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from addons.jobs.upstream_client import UpstreamClient
    from addons.pipeline.services import Services
    from ofapi_store.queries.exports import ExportAccount, ExportRow

log = structlog.get_logger(__name__)

FRESH_S = 60.0
Tell = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Built:
    """A finished file: its rows, its bytes, the files of a vault that could not be had."""

    rows: int
    size: int
    failed_downloads: int = 0


class Exporter:
    """Works on one export. Raises the UpstreamProblems, LookupError (account gone), OSError, ValueError."""

    def __init__(self, services: Services, row: ExportRow, accounts: list[ExportAccount]) -> None:
        self._services = services
        self._row = row
        self._type = TYPES[row.type]
        self._files = ExportFiles(services.config.exports.dir, services.config.secret_keys())
        ids = [a.id for a in accounts]
        self._scopes = [
            Scope(a.id, a.display_name, row.start_at, row.end_at, row.created_at, row.options, tuple(ids[:at]))
            for at, a in enumerate(accounts)
        ]

    async def count(self, tell: Tell) -> int:
        """Rows that the file will have. Asks upstream where the store does not know."""
        if self._type.name == "media_vault":
            return len(await self._vault())
        await self._freshen_all()
        if not await self._from_store():
            return await self._spool(tell)
        most = self._row.options.get("maxMessages")
        store, total = self._services.store, 0
        for scope in self._scopes:
            found = await store.aread_slow(exports_rows.count, self._row.type, scope)
            total += found if most is None else min(found, most)
        results: int = self._row.options.get("maxResults", total)
        return min(total, results)

    async def build(self, tell: Tell) -> Built:
        """Writes the file whole, or none. `tell` is awaited with the rows so far, about every second."""
        final, progress = self._files.final(self._row), Progress()
        remove_parts(final.parent, f"{final.name}.*")
        if self._type.name == "media_vault":
            files = await self._vault()
            failed = await vault.write_vault(final, self._services.parts["media"], files, progress, tell)
            return Built(len(files), final.stat().st_size, failed)
        batches = await self._batches(tell)
        most = self._row.options.get("maxResults")
        rows = await watched(lambda: write_file(final, self._row.columns, batches, progress, most=most), progress, tell)
        return Built(rows, final.stat().st_size)

    def discard(self, *, file: bool) -> None:
        """Removes the rows that were kept, and with `file` the file too."""
        self._files.spool(self._row.id).unlink(missing_ok=True)
        if file:
            self._files.final(self._row).unlink(missing_ok=True)

    async def _batches(self, tell: Tell) -> Iterable[Rows]:
        size, kept = self._services.config.exports.batch_rows, self._files.spool(self._row.id)
        if not kept.exists() and not await self._from_store():
            await self._spool(tell)
        if kept.exists():
            return spool.batches(kept, self._row.columns, size)
        most = self._row.options.get("maxMessages")
        store, columns = self._services.store, self._row.columns
        return stored_batches(store, self._row.type, self._scopes, columns, size=size, most=most)

    # where rows come from

    @property
    def _by_walk(self) -> bool:
        """Whether the store cannot have the rows."""
        keeps_text = self._row.type == "chat_messages" and self._services.config.store.keep_message_text
        return self._type.walk and not keeps_text

    async def _from_store(self) -> bool:
        """Whether the store has every row: of messages that were seen before `keep_message_text`, it lacks the text."""
        if self._by_walk or self._row.type != "chat_messages":
            return not self._by_walk
        read = self._services.store.aread_slow
        return not any([await read(exports_rows.lacks_text, scope) for scope in self._scopes])

    async def _freshen_all(self) -> None:
        """Once, before the rows are counted: what is priced is what is built."""
        if self._type.collection is not None and not self._by_walk:
            for scope in self._scopes:
                await self._freshen(scope.account_id, self._type.collection)

    async def _freshen(self, account_id: str, collection: str) -> None:
        """Syncs what is new, unless that was just done. Where upstream is not to be had, what was synced once must do."""
        cursor = await self._services.store.aread(sync.get, account_id, collection)
        done = cursor.completed_at if cursor is not None else None
        if done is not None and (self._services.clock() - done).total_seconds() < FRESH_S:
            return
        client = await self._client(account_id)
        try:
            report = await Sync(self._services, client, _quiet, full=False).run((collection,))
        except (SessionExpired, Unavailable) as e:
            if done is None:
                raise
            log.warning("export from rows of the last sync", export=self._row.id, account=account_id, error=str(e))
            return
        if report.errors and done is None:
            raise LookupError(f"{collection} of {account_id} cannot be synced: {report.errors[collection]}")

    async def _client(self, account_id: str) -> UpstreamClient:
        client: UpstreamClient = await self._services.parts["upstream"].of(account_id)
        return client

    async def _spool(self, tell: Tell) -> int:
        """Asks upstream, unless that was done before. Gives the number of rows."""
        final = self._files.spool(self._row.id)
        if (known := await asyncio.to_thread(spool.count, final)) is not None:
            return known
        remove_parts(final.parent, f"{final.name}.*")
        with whole_file(final) as path, path.open("w", encoding="utf-8") as file:
            writer = spool.SpoolWriter(file, self._type.columns)
            for scope in self._scopes:
                writer.of_account(scope.account_id, scope.account_name)
                await self._walk(scope, writer.add)
                await tell(writer.rows)
        return writer.rows

    async def _vault(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Asked each time: the URLs end after hours."""
        files: list[tuple[str, Row]] = []
        for scope in self._scopes:
            account_id = scope.account_id
            await self._walk(scope, lambda row, account_id=account_id: files.append((account_id, row)))  # type: ignore[misc]
        return files

    async def _walk(self, scope: Scope, emit: Callable[[Row], None]) -> None:
        client = await self._client(scope.account_id)
        await WALKS[self._row.type](Walk(self._services, client, scope, emit))


async def _quiet(_: Mapping[str, Any]) -> None:
    return None
