"""`scripts/bench links`: reports over few and over many clicks, the redirect's rate, and clicks over kill -9."""

from __future__ import annotations

import http.client
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.benches import links_filling, redirect, serving

SMALL = 100_000
REQUESTS = 200
P99_MS = 50.0
GROWTH = 1.5
RATIO = 0.85
KILLS = 2
STORES = ("sqlite", "postgresql")
PARTS = ("reports", "redirect", "kills")
REPORTS = {
    "stats": "stats",
    "cohort-arps": "cohort-arps",
    "fans": "fans?limit=100",
    "fans, filtered": "fans?limit=100&min_messages_sent_by_fan=3&min_revenue_net=123.45&previously_subscribed=false",
    "clicks page 1": "clicks?limit=100",
    "clicks page 1000": "clicks?limit=100&offset=99900",
    "conversions": "conversions?limit=100",
}


def run(  # noqa: PLR0917 (the options of the command)
    rules: Path,
    clicks: int,
    answered: int,
    seconds: float,
    rounds: int,
    stores: Sequence[str] = STORES,
    parts: Sequence[str] = PARTS,
) -> dict[str, Any]:
    """All measurements of links, or some `parts` of them. `answered` 0: no kills."""
    reports = {name: _reports(rules, name, [SMALL, clicks]) for name in stores} if "reports" in parts else {}
    rate = redirect.rate(rules, seconds, rounds, say) if "redirect" in parts else None
    killed = redirect.kills(rules, answered, KILLS, say) if answered and "kills" in parts else None
    reached = all(one["reached"] for one in reports.values())
    reached &= rate is None or (rate["ratio"] >= RATIO and not (rate["lost"] or rate["doubled"]))
    reached &= killed is None or not (killed["lost"] or killed["doubled"])
    return {"bench": "links", "reports": reports, "redirect": rate, "kills": killed, "reached": reached}


def say(line: str) -> None:
    """How far it is, for who waits."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


@contextmanager
def _url(name: str) -> Iterator[str | None]:
    """The URL of a store to fill; None is an SQLite file of the stack's own."""
    if name == "sqlite":
        yield None
        return
    from tests import pg

    with pg.running() as server:
        yield server.url(server.create())


def _reports(rules: Path, name: str, sizes: list[int]) -> dict[str, Any]:
    with serving.workspace() as folder, _url(name) as url:
        made, key, account = _prepare(folder, rules, url)
        links, filled = _fill(made.store_url, account, sizes, name)
        size = links_filling.settle(made.store_url)
        say(f"{name}: {size / 1e9:.2f} GB on disk; measuring {REQUESTS} requests of each report")
        with redirect.running(made, "links") as target:
            times = _measure(target.port, key, links)
    return _result(sizes, filled, times) | {"store_bytes": size}


def _prepare(folder: Path, rules: Path, url: str | None) -> tuple[redirect.Prepared, str, str]:
    from scripts.cli.stack import Stack

    config: dict[str, Any] = {"limits": {"requests_per_minute": 1_000_000_000}, "log": {"level": "warning"}}
    if url is not None:
        config["store"] = {"url": url}
    stack = Stack.prepare(folder / "stack", rules_dir=rules, worker=False, config=config)
    stack.point_to("http://127.0.0.1:9", None)
    return redirect.Prepared(folder, stack.config_path, stack.store_url, "", ""), stack.api_key, stack.account


def _fill(url: str, account: str, sizes: list[int], name: str) -> tuple[dict[int, str], dict[int, float]]:
    """A smart link per size, and the seconds that filling it took."""
    from ofapi_store.engine import Store
    from ofapi_store.queries import pools

    store, links, seconds, first = Store.open(url), {}, {}, 0
    try:
        for size in sizes:
            began = time.perf_counter()
            link = links[size] = redirect.add_link(url, account, first=9_000_000 + 1000 * len(links))
            with store.read() as conn:
                members = [(row.id, row.link_pk or 0) for row in pools.of_smart(conn, link)]
            place = links_filling.Place(account, link, members, first + 1)
            found = links_filling.fill(store, place, size, lambda line: say(f"{name}: {line}"))
            first += found["fans"]
            seconds[size] = round(time.perf_counter() - began, 1)
    finally:
        store.close()
    return links, seconds


def _measure(port: int, key: str, links: dict[int, str]) -> dict[int, dict[str, list[float]]]:
    """Milliseconds of each answer, links and reports in turns over one connection."""
    found: dict[int, dict[str, list[float]]] = {size: {name: [] for name in REPORTS} for size in links}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for turn in range(REQUESTS + 1):
        for (name, path), (size, link) in itertools.product(REPORTS.items(), links.items()):
            began = time.perf_counter()
            connection.request("GET", f"/smart-links/{link}/{path}", headers={"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
            if turn:  # the first one warms up
                found[size][name].append((time.perf_counter() - began) * 1000)
    connection.close()
    return found


def _result(sizes: list[int], filled: dict[int, float], times: dict[int, dict[str, list[float]]]) -> dict[str, Any]:
    rows = []
    for name in REPORTS:
        small, large = (sorted(times[size][name]) for size in sizes)
        rows.append(
            {
                "report": name,
                "small_p50_ms": round(_at(small, 0.5), 1),
                "small_p99_ms": round(_at(small, 0.99), 1),
                "large_p50_ms": round(_at(large, 0.5), 1),
                "large_p99_ms": round(_at(large, 0.99), 1),
                "growth": round(_at(large, 0.5) / _at(small, 0.5), 2),
            }
        )
    reached = all(row["growth"] <= GROWTH and row["large_p99_ms"] < P99_MS for row in rows)
    return {"clicks": sizes, "fill_s": filled, "rows": rows, "reached": reached}


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def text(found: dict[str, Any]) -> str:
    """For people."""
    lines = []
    for store, one in found["reports"].items():
        small, large = one["clicks"]
        lines.append(
            f"{store}: filled {small:,} clicks in {one['fill_s'][small]} s, {large:,} in {one['fill_s'][large]} s, "
            f"{one['store_bytes'] / 1e9:.2f} GB"
        )
        lines.append(f"{'report':<18}{'p50 ms':>8}{'p99 ms':>8}{'p50 ms':>10}{'p99 ms':>8}{'growth':>8}")
        for row in one["rows"]:
            few = f"{row['small_p50_ms']:>8}{row['small_p99_ms']:>8}"
            lines.append(f"{row['report']:<18}{few}{row['large_p50_ms']:>10}{row['large_p99_ms']:>8}{row['growth']:>8}")
    if rate := found["redirect"]:
        ours, bare = rate["gateway"]["requests_per_s"], rate["bare"]["requests_per_s"]
        ratios = f"ratio {rate['ratio']} (by processor time {rate['cpu_ratio']})"
        lines.append(f"redirect: {ours} a second, bare {bare}, {ratios}")
        lines.append(f"          {_kept(rate)}")
    if killed := found["kills"]:
        lines.append(
            f"kill -9:  {_kept(killed)}, {killed['kills']} kills, {killed['answered_per_s']} answered a second"
        )
    wanted = f"growth <= {GROWTH}, p99 < {P99_MS:g} ms, ratio >= {RATIO}, none lost"
    lines.append(f"wanted: {wanted}: {'reached' if found['reached'] else 'missed'}")
    return "\n".join(lines)


def _kept(found: dict[str, Any]) -> str:
    return f"{found['answered']} answered, {found['stored']} stored, {found['lost']} lost, {found['doubled']} doubled"
