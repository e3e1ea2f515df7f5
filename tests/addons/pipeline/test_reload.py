"""addons/pipeline/reload: a new plan is swapped in whole, a bad or half-written one never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from addons.pipeline import reload
from addons.pipeline.check import Known
from addons.pipeline.loader import load_rules
from addons.pipeline.paths import canonical_path
from addons.pipeline.plan import Plan
from addons.pipeline.problems import RulesInvalid
from addons.pipeline.reload import PlanHolder, being_written, fingerprint

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "rules_bad"


def rule(name: str, upstream: str = "x") -> str:
    return f"- id: {name}\n  match: GET /{{account}}/{name}\n  source: passthrough\n  why: A test.\n  upstream: GET /api2/v2/{upstream}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yaml").write_text(rule("one"))
    return folder


def held(root: Path) -> PlanHolder:
    return PlanHolder(root, load=partial(load_rules, known=Known(frozenset())))


@asynccontextmanager
async def watched(root: Path) -> AsyncIterator[PlanHolder]:
    holder = held(root)
    stop = asyncio.Event()
    task = asyncio.create_task(holder.watch(stop))
    await asyncio.sleep(0.2)
    yield holder
    stop.set()
    await asyncio.wait_for(task, 10)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not true():
            await asyncio.sleep(0.02)


def test_first_load_must_succeed(root: Path) -> None:
    """A gateway does not start with broken rules."""
    (root / "a.yaml").write_text("- id: [")
    with pytest.raises(RulesInvalid):
        held(root)


async def test_bad_rules_change_nothing(root: Path) -> None:
    """Each broken file is refused whole: the plan stays the same object, and the state has every error."""
    holder = held(root)
    good = holder.plan
    for bad in sorted(GOLDEN.glob("*.yaml")):
        (root / "bad.yaml").write_bytes(bad.read_bytes())
        (root / "new.yaml").write_text(rule("new"))
        if await holder.reload():  # wrong only where tables are known
            (root / "bad.yaml").unlink()
            (root / "new.yaml").unlink()
            assert await holder.reload()
            good = holder.plan
            continue
        assert holder() is good
        state = holder.state()
        assert state["ok"] is False
        assert {"file", "line", "column", "code", "message"} <= set(state["errors"][0])
        assert state["version"] == good.version
    (root / "bad.yaml").unlink(missing_ok=True)
    assert await holder.reload()
    assert holder.state()["errors"] == []


async def test_a_file_or_folder_that_lost_all_changes_nothing(root: Path) -> None:
    """A rule file cut to nothing and a folder without its files are a save or a deployment under way, not a wish."""
    holder = held(root)
    good = holder.plan
    (root / "a.yaml").write_text("")
    assert not await holder.reload()
    (root / "a.yaml").unlink()
    assert not await holder.reload()
    assert holder() is good
    assert [e["code"] for e in holder.state()["errors"]] == ["empty-file"]
    (root / "b.yaml").write_text(rule("two"))
    assert await holder.reload()
    assert list(holder().by_id) == ["two"]


async def test_what_should_not_happen_changes_nothing(root: Path) -> None:
    """A load that fails in an unforeseen way is refused like broken rules, and the next one is taken."""
    failing = [False]

    def load(folder: Path) -> Plan:
        if failing[0]:
            raise ZeroDivisionError("oops")
        return load_rules(folder, known=Known(frozenset()))

    holder = PlanHolder(root, load=load)
    failing[0] = True
    assert not await holder.reload()
    assert holder.state()["errors"][0]["code"] == "unexpected"
    failing[0] = False
    assert await holder.reload()


async def test_swap_leaves_exchanges_under_way_alone(root: Path) -> None:
    """Who holds the old plan goes on with it; the next one gets the new plan."""
    holder = held(root)
    old = holder()
    (root / "a.yaml").write_text(rule("one", "y"))
    assert await holder.reload()
    path = canonical_path("/acct/one")
    before, after = old.match("GET", path), holder().match("GET", path)
    assert before is not None and before.rule.spec.upstream == "GET /api2/v2/x"
    assert after is not None and after.rule.spec.upstream == "GET /api2/v2/y"


async def test_same_bytes_keep_the_plan(root: Path) -> None:
    """Saving without a change swaps nothing, but counts as an attempt."""
    holder = held(root)
    plan, attempt = holder.plan, holder.state()["last_attempt_at"]
    (root / "a.yaml").write_text(rule("one"))
    assert await holder.reload()
    assert holder.plan is plan
    assert holder.state()["last_attempt_at"] > attempt


async def test_watcher_sees_every_kind_of_change(root: Path) -> None:
    """New files, subfolders, renames, editors' atomic saves and deletions are loaded without a restart."""
    async with watched(root) as holder:
        (root / "b.yaml").write_text(rule("two"))
        await until(lambda: "two" in holder().by_id)
        (root / "sub").mkdir()
        (root / "sub" / "c.yml").write_text(rule("three"))
        await until(lambda: "three" in holder().by_id)
        draft = root / ".a.yaml.swp"
        draft.write_text(rule("one", "atomic"))
        draft.replace(root / "a.yaml")
        await until(lambda: holder().by_id["one"].spec.upstream == "GET /api2/v2/atomic")
        (root / "b.yaml").rename(root / "_b.yaml")
        await until(lambda: "two" not in holder().by_id)
        (root / "sub" / "c.yml").unlink()
        await until(lambda: "three" not in holder().by_id)


async def test_half_written_file_is_not_loaded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a file is open for writing nothing of it is used, though what stands in it so far is valid YAML; after a
    while the state says which file is waited for."""
    monkeypatch.setattr(reload, "LOOKS_UNTIL_WARNING", 5)
    async with watched(root) as holder:
        seen: list[int] = []
        holder.listeners.append(lambda plan: seen.append(len(plan.rules)))
        with (root / "b.yaml").open("w") as file:
            for index in range(8):
                file.write(rule(f"part-{index}"))
                file.flush()
                await asyncio.sleep(0.1)
            assert being_written(root / "b.yaml")
            assert len(holder().rules) == 1
            await until(lambda: holder.state()["waiting_for"] == ["rules/b.yaml"])
        assert not being_written(root / "b.yaml")
        await until(lambda: "part-7" in holder().by_id)
        assert holder.state()["waiting_for"] == []
        assert seen == [9]


async def test_broken_save_then_mended(root: Path) -> None:
    """A broken save is visible in the state, and the next good one is taken."""
    async with watched(root) as holder:
        good = holder()
        (root / "a.yaml").write_text("- id: one\n  match: GET /{account}/one\n  sorce: x\n")
        await until(lambda: not holder.state()["ok"])
        assert holder() is good
        (root / "a.yaml").write_text(rule("mended"))
        await until(lambda: "mended" in holder().by_id)
        assert holder.state()["ok"]


async def test_changes_that_no_time_shows_are_seen(root: Path, tmp_path: Path) -> None:
    """New permissions, the target of a link, and a link that leads elsewhere: each is loaded."""
    target = tmp_path / "target.yaml"
    target.write_text(rule("linked"))
    async with watched(root) as holder:
        before = fingerprint(root)
        (root / "a.yaml").chmod(0o600)
        assert fingerprint(root) != before
        (root / "b.yaml").symlink_to(target)
        await until(lambda: "linked" in holder().by_id)
        target.write_text(rule("followed"))
        await until(lambda: "followed" in holder().by_id)
        target.unlink()
        await until(lambda: not holder.state()["ok"])
        assert "followed" in holder().by_id


async def test_where_the_system_watches_no_more_the_files_are_looked_at(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without inotify (its limit is reached) changes are still found, by looking now and then."""

    def none_left(*_: object, **__: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(reload.watchfiles, "awatch", none_left)
    monkeypatch.setattr(reload, "LOOK_AGAIN_MS", 50)
    async with watched(root) as holder:
        (root / "a.yaml").write_text(rule("found"))
        await until(lambda: "found" in holder().by_id)


async def test_folder_may_vanish_and_return(root: Path, tmp_path: Path) -> None:
    """When the whole folder is replaced, the last good rules go on and the new ones are found."""
    async with watched(root) as holder:
        good = holder()
        await asyncio.to_thread(root.rename, tmp_path / "old")
        await asyncio.sleep(0.3)
        assert holder() is good
        await asyncio.to_thread(root.mkdir)
        (root / "z.yaml").write_text(rule("returned"))
        await until(lambda: "returned" in holder().by_id)
        (root / "z.yaml").write_text(rule("edited"))
        await until(lambda: "edited" in holder().by_id)
