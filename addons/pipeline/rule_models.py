"""The rule language as pydantic models; `rules/schema.json` and `docs/rules.md` are generated from them.

Every key has its help here. Step parameters live with their addons (`addons/enrich/*.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    WithJsonSchema,
)

Source = Literal["hybrid", "computed", "passthrough", "media"]
OnError = Literal["skip", "fail"]
ParamType = Literal["string", "int", "number", "bool", "date", "array", "object", "any"]

JSON_PATH = {"type": "string", "format": "json-path"}
_JSON_PATH_SCHEMA = {**JSON_PATH, "description": "JSONPath (jsonpath-ng's syntax)"}
JsonPathText = Annotated[str, WithJsonSchema(_JSON_PATH_SCHEMA)]


def as_list(value: Any) -> Any:
    """One text where several may stand."""
    return [value] if isinstance(value, str) else value


def _one_or_more(**text: str) -> WithJsonSchema:
    one = {"type": "string", **text}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})


OneOrMore = Annotated[list[str], BeforeValidator(as_list), _one_or_more()]
METHOD_AND_PATH = r"^\s*(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|\*)\s+/"
"""For editors; the loader says more of what is wrong."""

JsonPaths = Annotated[
    list[str],
    Field(min_length=1),
    BeforeValidator(as_list),
    _one_or_more(**_JSON_PATH_SCHEMA),
]
"""One path, or several that may each find something: upstream does not always send a list in the same place."""


class Strict(BaseModel):
    """Base of everything in a rule file: unknown keys are errors, values do not change after load."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class ParamRule(Strict):
    """What a query parameter or a field of a JSON body must be; a value that is not gets 422 naming the field."""

    type: ParamType = Field(default="string", description="what the text must be")
    required: bool = Field(default=False, description="422 when absent")
    nullable: bool = Field(default=False, description="body fields: null is accepted, and handed on as null")
    default: JsonValue = Field(default=None, description="value for handlers when absent; never sent upstream")
    enum: list[JsonValue] | None = Field(default=None, description="the only accepted values")
    min: float | None = Field(default=None, description="least number; strings and arrays: least length")
    max: float | None = Field(default=None, description="greatest number; strings and arrays: greatest length")
    min_length: int | None = Field(default=None, ge=0, description="least characters of a string, or items of an array")
    max_length: int | None = Field(default=None, ge=0, description="most characters of a string, or items of an array")
    pattern: str | None = Field(
        default=None, description="regular expression that must be found in the string; anchor it with `^…$`"
    )
    items: ParamRule | None = Field(default=None, description="arrays: what each item must be")
    separator: str | None = Field(default=None, min_length=1, description="arrays in a query: `a,b` is two items, too")
    fields: dict[str, ParamRule] | None = Field(default=None, description="objects: what each field must be")
    after: str | None = Field(default=None, description="dates: this one must not be before the named other field")
    requires: list[str] = Field(default=[], description="other fields that must be sent together with this one")
    conflicts: list[str] = Field(default=[], description="other fields that must not be sent together with this one")
    only_with: dict[str, list[JsonValue]] = Field(
        default={}, description="accepted only while the other field has one of these values"
    )
    required_when: dict[str, list[JsonValue]] = Field(
        default={}, description="422 when absent while the other field has one of these values"
    )
    unsupported: str | None = Field(
        default=None, description="422 with this text when sent: a promise that cannot be kept here"
    )
    help: str = Field(default="", description="one line for people: what is expected; said where `pattern` is not met")


class QueryRule(Strict):
    """How the client's query becomes upstream's. What is not named goes through as it was sent."""

    rename: dict[str, str] = Field(default={}, description="client name → upstream name")
    drop: list[str] = Field(default=[], description="client names that stay here")
    values: dict[str, dict[str, str]] = Field(default={}, description="client name → its value → upstream's value")
    default: dict[str, str] = Field(default={}, description="upstream name → value sent when the client sends none")
    split: dict[str, str] = Field(
        default={}, description="client name → separator; each part goes up as its own parameter"
    )


class StepRule(BaseModel):
    """One call of an addon. The addon's own parameters stand beside these keys."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    addon: str = Field(description="name of the addon")
    id: str | None = Field(
        default=None, description="name of the step in logs and edits; default: `<addon>` or `<addon>-<n>`"
    )
    on_error: OnError = Field(
        default="skip", description="skip: the step has not run; fail: the request fails with 503"
    )
    deadline_ms: int = Field(default=2000, ge=1, le=60_000, description="longest wait for the rows of the step")


class IndexRule(Strict):
    """A filter that upstream does not have: the store says which rows are on the page, and upstream is asked for these alone.

    The answer is `{list, hasMore, _source}`: the rows as upstream has them now, in the store's order, those left out that no
    longer fit. `_source`: `is_complete`, `indexed_at`, and of this page `omitted_from_page` (rows that upstream said nothing
    usable of) and `no_longer_matching`. It is not observed, so that a walk by `offset` does not move the rows before it.
    """

    when: str = Field(
        description="the parameter of `params` that asks for it; without it the rule is as if it had no `index`"
    )
    handler: str = Field(description="`<family>.<function>` that finds the rows in the store; gets `args`")
    upstream: str = Field(
        description="`METHOD /api2/v2/path?fixed=value` that answers rows by their ids: an object keyed by id, or a list",
        json_schema_extra={"pattern": METHOD_AND_PATH},
    )
    ids: str = Field(min_length=1, description="upstream's parameter for an id; sent once for each")


class ObserveRule(Strict):
    """Rows for the store, taken from upstream's body after the answer has gone out."""

    into: str = Field(description="table of the store")
    each: JsonPaths = Field(
        description="the objects that become rows; a list of paths where they may be in several places"
    )
    columns: dict[str, JsonPathText] = Field(
        min_length=1, description="column → path inside the object, or `=text` / `={param}` for a constant"
    )
    when: JsonPaths | None = Field(
        default=None, description="only objects with a value other than null or false here, or in one of several places"
    )
    keep_null: bool = Field(default=True, description="false: a null in the body does not overwrite a stored value")
    steps: list[StepRule] = Field(
        default=[], description="edits that only `columns` sees, not the client; by addons that read the body alone"
    )


class PageRule(Strict):
    """How `_pagination.next_page` is made in the envelope dialect. `hasMore` of upstream's body decides whether there is one."""

    kind: Literal["offset", "marker", "cursor", "none"] = Field(
        description="offset: goes on by `limit`; marker: upstream's `nextMarker`; cursor: the last row's id; none: no paging"
    )
    param: str | None = Field(
        default=None, description="query parameter that moves on; default: the usual one of the kind"
    )
    limit: int = Field(default=10, ge=1, description="page size when the client sends no `limit`")


def _as_page(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class _OrKind:
    """The JSON Schema of a page: its kind alone will do."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        kind = PageRule.model_json_schema()["properties"]["kind"]
        return {"anyOf": [{"type": "string", "enum": kind["enum"]}, *handler(core)["anyOf"]]}


class PresentRule(Strict):
    """What only the envelope dialect (`/api/…`) shows."""

    page: Annotated[PageRule | None, BeforeValidator(_as_page), _OrKind()] = Field(
        default=None, description="paging: `offset`, `marker`, `cursor`, `none`, or a mapping"
    )
    bare: bool = Field(default=False, description="true: no envelope (contract 1.3)")
    steps: list[StepRule] = Field(default=[], description="edits for the envelope dialect, after `steps`")


class RuleModel(Strict):
    """One rule: which requests, where their answer comes from, and what happens to it."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80, description="kebab-case, unique over all files")
    match: Annotated[OneOrMore, _one_or_more(pattern=METHOD_AND_PATH)] = Field(
        min_length=1, description="`METHOD /{account}/path`, one or several spellings; METHOD may be `*`"
    )
    source: Source = Field(description="hybrid, computed, passthrough or media")
    why: str = Field(min_length=1, description="one sentence; shown by `ofapi rules explain`")
    owner: str | None = Field(default=None, description="who looks after this rule")
    priority: int = Field(default=0, ge=-1000, le=1000, description="higher wins over every other measure")
    state: Literal["active", "disabled"] = Field(default="active", description="disabled: checked, never matched")
    params: dict[str, ParamRule] = Field(
        default={}, description="query parameters that are checked before anything leaves"
    )
    body: dict[str, ParamRule] = Field(default={}, description="fields of the JSON request body, checked the same way")
    upstream: str | None = Field(
        default=None,
        description="`METHOD /api2/v2/path?fixed=value`, with parameters of `match`",
        json_schema_extra={"pattern": METHOD_AND_PATH},
    )
    query: QueryRule = Field(default=QueryRule(), description="client query → upstream query")
    index: IndexRule | None = Field(default=None, description="a filter by which the store chooses the rows")
    request: list[StepRule] = Field(default=[], description="edits of the JSON request body")
    observe: list[ObserveRule] = Field(default=[], description="rows for the store")
    steps: list[StepRule] = Field(default=[], description="edits of upstream's body, both dialects, in list order")
    present: PresentRule = Field(default=PresentRule(), description="envelope dialect only")
    handler: str | None = Field(default=None, description="computed and media rules: `<family>.<function>`")
    then: str | None = Field(
        default=None,
        description="forwarded rules: handler that stores what upstream's success means, before the answer goes out",
    )
    client_sessions: bool = Field(
        default=False, description="whether the token of a client session may be used instead of an API key"
    )
    args: dict[str, JsonValue] = Field(default={}, description="settings that `handler`, `then` or `index` gets")
    credits: int | None = Field(default=None, ge=0, description="cost of one request; default: config's table")
    timeout_s: float | None = Field(default=None, gt=0, le=3600, description="longest wait for upstream")


class MediaRules(Strict):
    """The `media:` section: which URLs are media files, and when two URLs are one file (contract 10)."""

    hosts: list[str] = Field(
        min_length=1, description="host patterns such as `cdn*.onlyfans.com`; `*` is characters of one label"
    )
    identity_params: list[str] = Field(
        default=[], description="query parameters that choose another file; all others are signature"
    )


class RuleFile(Strict):
    """A rule file as a mapping; a plain list of rules is the same as `{rules: […]}`."""

    rules: list[RuleModel] = Field(default=[], description="the rules")
    media: MediaRules | None = Field(default=None, description="media URLs; in one file only")
