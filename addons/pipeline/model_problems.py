"""pydantic's findings as problems with places: which key, what was expected, what to write instead."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from addons.pipeline.problems import did_you_mean
from addons.pipeline.rule_yaml import Place

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def validate[M: BaseModel](
    model: type[M], data: Any, place: Place, *, what: str, other_keys: tuple[str, ...] = (), context: Any = None
) -> M | None:
    """`data`, which stands at `place`, as `model`; on failure every finding is noted there and the result is None.

    `other_keys`: keys beside the model's that its mapping may have. `context`: for the model's validators.
    """
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        for finding in error.errors(include_url=False):
            _note(model, data, place, finding, what, other_keys)
        return None


def _note(  # noqa: PLR0917 (one finding with all that describes it)
    model: type[BaseModel], data: Any, place: Place, finding: Any, what: str, other: tuple[str, ...]
) -> None:
    loc = real_path(finding["loc"], data)
    kind = finding["type"]
    inside = f"`{_dots(loc[:-1])}`" if loc[:-1] else what
    if kind == "extra_forbidden":
        hint = did_you_mean(str(loc[-1]), {*_keys(model, loc[:-1]), *other}, what="known keys")
        place.at(*loc).wrong("unknown-key", f"unknown key `{loc[-1]}` in {inside}", hint, key=True)
        return
    if kind == "missing":
        place.at(*loc[:-1]).wrong("missing-key", f"key `{loc[-1]}` is missing in {inside}", _help(model, loc))
        return
    name = f"`{_dots(loc)}`" if loc else what
    if kind in _EXPECTED:
        text, hint = f"{name} must be {_EXPECTED[kind]}, not {_show(finding['input'])}", _help(model, loc)
    elif kind in ("too_short", "too_long"):
        least, bound = kind == "too_short", finding["ctx"]["min_length" if kind == "too_short" else "max_length"]
        entries = f"{'at least' if least else 'at most'} {bound} {'entry' if bound == 1 else 'entries'}"
        text, hint = f"{name} must have {entries}, not {len(finding['input'])}", _help(model, loc)
    elif kind == "literal_error":
        words = [w.strip("'") for w in finding["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        text, hint = (
            f"{name} cannot be {_show(finding['input'])}",
            did_you_mean(str(finding["input"]), words, what="allowed"),
        )
    else:
        said = finding["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")
        text, hint = f"{name}: {said[:1].lower()}{said[1:]}", _help(model, loc)
    place.at(*loc).wrong("bad-value", text, hint)


def real_path(loc: tuple[str | int, ...], data: Any) -> tuple[str | int, ...]:
    """pydantic's location without the names of union branches and validators that are no keys of the file."""
    out: list[str | int] = []
    here = data
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if isinstance(here, Mapping) and (part in here or (last and isinstance(part, str))):
            out.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int):
            out.append(part)
            here = here[part] if part < len(here) else None
    return tuple(out)


def _model_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    annotation: Any = model
    for part in loc:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found = annotation.model_fields.get(str(part))
            annotation = _strip(found.annotation) if found else None
        else:
            args = typing.get_args(annotation)
            annotation = _strip(args[-1]) if args else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _strip(annotation: Any) -> Any:
    """An annotation without `| None` and `Annotated`."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _strip(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(annotation) if a is not type(None)]
        models = [a for a in rest if isinstance(a, type) and issubclass(a, BaseModel)]
        return _strip((models or rest)[0])
    return annotation


def _keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    found = _model_at(model, loc)
    return [f.alias or name for name, f in found.model_fields.items()] if found else []


def _help(model: type[BaseModel], loc: tuple[str | int, ...]) -> str:
    for size in range(len(loc), 0, -1):
        owner = _model_at(model, loc[: size - 1])
        info = owner.model_fields.get(str(loc[size - 1])) if owner else None
        if info is not None and info.description:
            return f"{loc[size - 1]}: {info.description}"
    return ""


def _dots(loc: tuple[str | int, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _show(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"
