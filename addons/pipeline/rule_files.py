"""Which files are rule files: `.yaml` and `.yml` below the rules folder, in subfolders and linked folders too.

Names that begin with `.` or `_` are left out. A folder that cannot be read and a link to nowhere are told, not passed
over: what stood in them would silently no longer be a rule.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from addons.pipeline.problems import Problem

MAX_FILES = 1000
SUFFIXES = (".yaml", ".yml")


@dataclass(slots=True)
class RuleFiles:
    """What stands below one rules folder. `paths` are in path order."""

    root: Path
    paths: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """How a file is named in problems: `rules/sub/fans.yaml`."""
        return f"{os.path.basename(os.path.abspath(self.root))}/{path.relative_to(self.root).as_posix()}"  # noqa: PTH100, PTH119 (a link keeps its name)


def rule_files(root: Path) -> RuleFiles:
    """Every rule file below `root`, and what of the folder cannot be read."""
    found = RuleFiles(root)
    if not root.is_dir():
        text = "this is no folder" if root.exists() else "the rules folder does not exist"
        hint = "set `rules.dir` in config.yaml"
        found.problems.append(Problem(str(root), 1, 1, "file-unreadable", text, hint))
        return found
    seen: set[tuple[int, int]] = set()

    def refused(error: OSError) -> None:
        where = Path(error.filename)
        name = found.name(where) if where != root else str(root)
        text = f"the folder cannot be read: {error.strerror}"
        found.problems.append(Problem(name, 1, 1, "file-unreadable", text, "give the gateway's user read permission"))

    for folder, folders, names in os.walk(root, onerror=refused, followlinks=True):
        here = Path(folder)
        stat = here.stat()
        if (stat.st_dev, stat.st_ino) in seen:  # a link back up
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        found.paths += [here / name for name in names if _is_rule_file(here / name)]
    found.paths.sort()
    if len(found.paths) > MAX_FILES:
        text = f"more than {MAX_FILES} rule files"
        found.problems.append(Problem(str(root), 1, 1, "file-unreadable", text, "is this the right folder?"))
        found.paths.clear()
    return found


def _is_rule_file(path: Path) -> bool:
    if path.name.startswith((".", "_")) or path.suffix not in SUFFIXES:
        return False
    return path.is_file() or not path.exists()
