"""What is left of data that does not validate when the wrong parts are cut out, so that the rest is checked as well."""

from __future__ import annotations

import copy
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ValidationError, create_model

from addons.pipeline.model_problems import real_path
from addons.pipeline.rule_models import ObserveRule, PresentRule, RuleModel, Source, StepRule, as_list

ROUNDS = 12

_PRESENT = create_model("PresentLeft", __base__=PresentRule, steps=(list[StepRule | None], []))
_RULE = cast(
    "type[RuleModel]",
    create_model(
        "RuleLeft",
        __base__=RuleModel,
        id=(str, ""),
        match=(Annotated[list[str | None], BeforeValidator(as_list)], []),
        source=(Source | None, None),
        why=(str, ""),
        request=(list[StepRule | None], []),
        observe=(list[ObserveRule | None], []),
        steps=(list[StepRule | None], []),
        present=(_PRESENT, _PRESENT()),
    ),
)
"""A rule of which anything may be missing; None stands for a cut item of a list, so that the others keep their places."""


def salvaged_rule(entry: Any) -> RuleModel | None:
    """What is left of a rule; None where nothing is. It only takes part in ranking if nothing of that was cut."""
    if not isinstance(entry, dict):
        return None
    left = salvaged(_RULE, entry)
    if left is not None and {"priority", "state"} & (entry.keys() - left.model_fields_set):
        return left.model_copy(update={"state": "disabled"})
    return left


def salvaged[M: BaseModel](model: type[M], data: Any) -> M | None:
    """`data` as `model` without the parts that are wrong; None where a part that must be there is."""
    left = copy.deepcopy(data)
    for _ in range(ROUNDS):
        try:
            return model.model_validate(left)
        except ValidationError as error:
            found = error.errors(include_url=False)
            paths = {real_path(f["loc"], left)[: -1 if f["type"] == "missing" else None] for f in found}
            if not all(cut(left, path) for path in paths):
                return None
    return None


def cut(data: Any, path: tuple[str | int, ...]) -> bool:
    """Takes the part at `path` out, in a list by None; what is None already takes the list with it.

    A path that leads into a text (one where several may stand) takes the text.
    """
    if not path:
        return False
    here = data
    for depth, part in enumerate(path):
        inside = isinstance(here, dict) or (isinstance(here, list) and isinstance(part, int))
        if not inside and here is not None:
            return cut(data, path[:depth])
        if depth < len(path) - 1:
            here = here.get(part) if isinstance(here, dict) else here[part] if here is not None else None
    last = path[-1]
    if isinstance(here, dict):
        here.pop(last, None)
    elif here is not None:
        if here[last] is None:
            return cut(data, path[:-1])
        here[last] = None
    return True
