"""The text of docs/rules.md, from the models and addons: `python -m addons.pipeline.reference > docs/rules.md`."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from addons.pipeline.problems import CODES
from addons.pipeline.registry import built_in
from addons.pipeline.rule_models import (
    IndexRule,
    MediaRules,
    ObserveRule,
    PageRule,
    ParamRule,
    PresentRule,
    QueryRule,
    RuleModel,
    StepRule,
    as_list,
)

HEAD = """\
# Rules

What the gateway does to a request is data: one entry per route in `rules/*.yaml`.

<!-- Generated from the models and addons: `python -m addons.pipeline.reference > docs/rules.md` -->

- Every `.yaml` and `.yml` file below `rules/` is loaded, in subfolders and linked folders too; names that begin with `.`
  or `_` are not.
- A file is a list of rules, or a mapping with `rules:` and `media:`.
- `{name}` in a template is one segment; `{name+}`, at the end, is the rest of the request target exactly as it was sent.
- Order: `priority`, then more literal segments, then fewer parameters, then a named method before `*`. Two rules of equal
  rank that can match one path are an error. HEAD uses the GET rule.
- Saving a file is enough: the gateway loads all files aside and swaps them in, or refuses all of them and goes on as before.
  It waits while a file is open for writing, and refuses an empty file and a folder that lost its last one.
- `ofapi rules check` names every error as `file:line:column`; `ofapi rules explain GET /acct_x/fans/active` says why.
- Plain scalars follow YAML 1.2: `no`, `on` and dates are text. Aliases work; tags and merge keys (`<<`) do not.

## Paths into bodies

`each`, `path`, `by`, `from` and the like are JSONPath in jsonpath-ng's syntax. `$.list[*]` is every item of a list, and
of nothing else: where upstream sends an object instead, the step changes nothing. `$.map.*` is every member of an object or
item of a list. `each` and `when` also take a list of paths, which may all find something: upstream sends some lists as
`{list: […]}`, as `{users: […]}` or bare, and `each: ['$.list[*]', '$.users[*]', '$[*]']` serves them all. Inside a row, a
path is a field or a chain of fields: `id`, `withUser.id`, `'odd name'.id`; `$` is the row.

In `set`, the left side is the field that is written (`a.b`: field `b` of the object `a`, where there is one).
"""

PARTS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("A rule", RuleModel),
    ("`params` and `body`", ParamRule),
    ("`query`", QueryRule),
    ("`index`", IndexRule),
    ("`observe`", ObserveRule),
    ("`steps`, `request`, `present.steps`", StepRule),
    ("`present`", PresentRule),
    ("`present.page`", PageRule),
    ("`media`", MediaRules),
)


def render() -> str:
    """What docs/rules.md must hold."""
    out = [HEAD]
    for title, model in PARTS:
        out += [f"## {title}\n", f"{inspect.getdoc(model)}\n", *_table(model)]
    out.append("## Addons\n")
    for name, addon in built_in().items():
        out += [
            f"### {name}\n",
            f"{(sys.modules[addon.Params.__module__].__doc__ or '').strip()}\n",
            *_table(addon.Params),
        ]
        out += _inner(addon.Params)
    out.append("## Errors\n")
    out += ["| code | meaning |", "|---|---|", *(f"| `{code}` | {text} |" for code, text in CODES.items())]
    return "\n".join(out) + "\n"


def _inner(model: type[BaseModel]) -> list[str]:
    """Tables of models that stand in lists of a parameter."""
    out = []
    for name, info in model.model_fields.items():
        for inner in typing.get_args(info.annotation):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                out += [f"Each of `{info.alias or name}`:\n", *_table(inner)]
    return out


def _table(model: type[BaseModel]) -> list[str]:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, info in model.model_fields.items():
        kind, default = _kind(info.annotation, info.metadata), _default(info)
        rows.append(
            f"| `{info.alias or name}` | {kind} | {default} | {(info.description or '').replace('|', chr(92) + '|')} |"
        )
    return [*rows, ""]


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "required"
    if info.default is None or info.default in ([], {}, "") or isinstance(info.default, BaseModel):
        return "–"
    default = info.default[0] if isinstance(info.default, list) and len(info.default) == 1 else info.default
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _kind(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """How people name a type."""
    if any(isinstance(one, BeforeValidator) and one.func is as_list for one in metadata):
        return "text or list of text"
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(a) for a in args if a is not type(None)))
    if origin is typing.Annotated:
        return _kind(args[0], args[1:])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    words = {
        typing.Literal: lambda: ", ".join(f"`{a}`" for a in args),
        list: lambda: f"list of {_kind(args[0])}",
        dict: lambda: f"mapping to {_kind(args[1])}",
    }
    if origin in words:
        return words[origin]()
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "any value")


if __name__ == "__main__":
    sys.stdout.write(render())
