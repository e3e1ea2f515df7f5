"""`ofapi media`: what is cached, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli.frame import EXIT_FAILED, App, CliError, emit, open_config, opened_store, table

if TYPE_CHECKING:
    from addons.media.files import FileStore
    from addons.media.index import Copy

app = App()


@app.command("stats")
def stats() -> None:
    """Files, bytes, free space and the queue of files to fetch."""
    from ofapi_store.queries import media as fills

    files = _files()
    with opened_store() as store, store.read() as conn:
        queue = dict(fills.counts(conn))
    found = files.stats()
    data: dict[str, Any] = {
        "files": found.files,
        "bytes": found.bytes,
        "max_bytes": files.max_bytes,
        "free_bytes": found.free_bytes,
        "partial_files": found.partial_files,
        "full": found.full,
        "queue": {state: queue.get(state, 0) for state in ("pending", "running", "waiting")},
    }
    shown = {**data, "queue": ", ".join(f"{count} {state}" for state, count in data["queue"].items())}
    emit(data, table([{"what": k, "value": v} for k, v in shown.items()], ["what", "value"]))


@app.command("list")
def list_files(
    limit: Annotated[int, typer.Option(min=1, help="Most files shown.")] = 50,
    match: Annotated[str, typer.Option(help="Only files whose path contains this.")] = "",
) -> None:
    """Cached files, least recently used first."""
    rows = []
    for key, copy, used in _files().index.oldest(1_000_000):
        if match in key:
            rows.append(_row(key, copy) | {"used_at": _time(used)})
        if len(rows) == limit:
            break
    emit(rows, table(rows, ["key", "size", "content_type", "saved_at", "used_at"], empty="nothing is cached"))


@app.command("purge")
def purge(
    match: Annotated[str, typer.Argument(help="Remove files whose path contains this.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Remove all files.")] = False,
    unused_days: Annotated[float | None, typer.Option(min=0, help="Only files not used for so many days.")] = None,
) -> None:
    """Remove copies; links to them stop working at once."""
    if not match and not everything and unused_days is None:
        text = "say what to remove: a part of the path, --unused-days N, or --all"
        raise CliError("nothing_chosen", text, exit_code=2)
    from addons.media import objects

    files = _files()
    before = datetime.now(UTC).timestamp() - (unused_days or 0) * 86_400
    chosen = [
        (key, copy)
        for key, copy, used in files.index.oldest(1_000_000)
        if match in key and (unused_days is None or used < before)
    ]
    removed = [(key, copy) for key, copy in chosen if files.remove(key)]
    if (bucket := objects.configured(open_config())) is not None:
        for _, copy in removed:
            bucket.remove(copy, shared=files.index.holds(copy.sha256))
    data = {"removed": len(removed), "bytes": sum(copy.size for _, copy in removed)}
    emit(data, f"removed {data['removed']} files, {data['bytes']} bytes")


@app.command("verify")
def verify() -> None:
    """Read every copy again. Drops those that are missing or altered, and files that nothing refers to."""
    from addons.media import objects

    files = _files()
    bucket = objects.configured(open_config())
    bad: list[dict[str, Any]] = []
    checked = files.verify(
        lambda key, copy, reason: bad.append(_row(key, copy) | {"reason": reason}),
        bucket.holds if bucket is not None else lambda _: True,
    )
    orphans = files.sweep()
    data = {"checked": checked, "dropped": bad, "orphans_removed": orphans}
    emit(data, f"checked {checked} files, dropped {len(bad)}, removed {orphans} files that nothing referred to")
    if bad:
        raise typer.Exit(EXIT_FAILED)


def _files() -> FileStore:
    from addons.media.files import FileStore

    media = open_config().media
    if not media.dir.exists():
        raise CliError("media_missing", f"{media.dir} does not exist: nothing was cached yet (config media.dir)")
    return FileStore(media.dir, max_bytes=media.max_cache_bytes, min_free_bytes=media.min_free_bytes)


def _row(key: str, copy: Copy) -> dict[str, Any]:
    return {
        "key": key,
        "size": copy.size,
        "content_type": copy.content_type,
        "sha256": copy.sha256,
        "saved_at": _time(copy.saved_at),
    }


def _time(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)
