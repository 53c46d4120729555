"""Between Terraform's values and the AWS API's, led by both schemas: the provider's and the one that boto3 has of each call.

Terraform's `maximum_retry_attempts` is the API's `MaximumRetryAttempts`, its block `filter` the API's list `Filters`, its
map `tags` the API's list of keys and values. What differs otherwise is renamed in the table of the type.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ..errors import Failure
from ..provider import values

#: A list of these pairs of members is a map in Terraform.
PAIRS = (("Key", "Value"), ("Name", "Value"), ("key", "value"))


def member(names: Iterable[str], attribute: str, renamed: Mapping[str, str]) -> str | None:
    """The API's name for an attribute or block of Terraform, if it is among these."""
    folded = {name.lower(): name for name in names}
    for wanted in (renamed.get(attribute), attribute):
        plain = (wanted or "").replace("_", "").lower()
        for form in (plain, f"{plain}s", f"{plain}es", f"{plain}list"):
            if form in folded:
                return folded[form]
    return None


def within(renamed: Mapping[str, str], block: str) -> dict[str, str]:
    """The names inside a block: those of `block.attribute` count only there."""
    prefix = f"{block}."
    return {**renamed, **{name.removeprefix(prefix): new for name, new in renamed.items() if name.startswith(prefix)}}


def parameters(shape: object, value: Mapping, renamed: Mapping[str, str]) -> tuple[dict, set[str]]:
    """What of a value a structure of the API takes, and the names of what it does not take."""
    taken, left = {}, set()
    for name, content in value.items():
        if content is None or values.is_unknown(content) or content == [] or content == {}:
            continue
        target = member(shape.members, name, renamed)
        if target is None:
            left.add(name)
        else:
            taken[target] = _parameter(shape.members[target], content, within(renamed, name), name)
    return taken, left


def _parameter(shape: object, value: object, renamed: Mapping[str, str], name: str) -> object:
    kind = shape.type_name
    if kind == "structure":
        value = value[0] if isinstance(value, list) else value
        taken, left = parameters(shape, value or {}, renamed)
        if left:
            raise Failure(f"the emulated apply does not know {', '.join(sorted(left))} in `{name}`")
        return taken
    if kind == "list" and isinstance(value, dict):
        key, content = _pair(shape.member, name)
        return [{key: k, content: v} for k, v in sorted(value.items())]
    if kind == "list":
        items = value if isinstance(value, list) else [value]
        return [_parameter(shape.member, item, renamed, name) for item in items]
    if kind == "map":
        return {key: _parameter(shape.value, item, renamed, name) for key, item in value.items()}
    if kind in ("integer", "long"):
        return int(value)
    if kind in ("float", "double"):
        return float(value)
    if kind == "blob":
        return value.encode()
    if kind == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _pair(shape: object, name: str) -> tuple[str, str]:
    for pair in PAIRS:
        if shape.type_name == "structure" and set(pair) <= set(shape.members):
            return pair
    raise Failure(f"`{name}` is a map, and the API's list holds no keys and values")


def observed(block: dict, state: Mapping, answer: Mapping, renamed: Mapping[str, str], new: bool = False) -> dict:
    """A block's state as the API tells it. What the API does not tell stays as it was, and so does what the configuration
    leaves to the API, unless the attribute is computed or the block is one that was not there before (`new`)."""
    result = dict(state)
    for name, attribute in block["attributes"].items():
        source = member(answer, name, renamed)
        present = state.get(name)
        if source is None or (present is None and not attribute["computed"] and not new):
            continue
        result[name] = _told(attribute["type"], answer[source], present)
    for name, kind in block["blocks"].items():
        source = member(answer, name, renamed)
        present = state.get(name)
        if source is None or not (present or new):
            continue
        result[name] = _told_blocks(kind, present, answer[source], within(renamed, name))
    return result


def _told_blocks(kind: dict, present: object, answer: object, renamed: Mapping[str, str]) -> object:
    if kind["nesting"] == "single":
        return observed(kind["block"], present or {}, answer, renamed, new=not present)
    items = answer if isinstance(answer, list) else [answer] if answer else []
    before = list(present or ())
    if kind["nesting"] == "set":
        before = _paired(kind["block"], before, items, renamed)
    result = []
    for place, item in enumerate(items):
        old = before[place] if place < len(before) else None
        blank = values.complete(kind["block"], {})
        result.append(observed(kind["block"], old or blank, item, renamed, new=old is None))
    return result


def _paired(block: dict, before: list[dict], items: list[dict], renamed: Mapping[str, str]) -> list[dict | None]:
    """The members of a set as they were, each at the place of the answer's item that is the same."""
    left, result = list(before), []
    for item in items:
        same = next((old for old in left if observed(block, old, item, renamed) == old), None)
        if same is not None:
            left.remove(same)
        result.append(same)
    return result


def _told(type_: object, answer: object, present: object) -> object:
    """What the API says, as Terraform has it; documents that mean the same stay as they were written."""
    if type_ == "string":
        if isinstance(answer, dict) or (isinstance(answer, str) and isinstance(present, str) and answer != present):
            return present if _same_document(answer, present) else answer if isinstance(answer, str) else json.dumps(answer)
        if isinstance(answer, bool):
            return str(answer).lower()
        return answer if answer is None or isinstance(answer, str) else str(answer)
    if type_ == "number":
        return float(answer) if isinstance(answer, float) and not answer.is_integer() else int(answer)
    if type_ == "bool":
        return answer if isinstance(answer, bool) else str(answer).lower() == "true"
    if isinstance(type_, list) and type_[0] == "map" and isinstance(answer, list):
        key, content = next(pair for pair in PAIRS if not answer or pair[0] in answer[0])
        return {item[key]: item[content] for item in answer}
    if (
        isinstance(type_, list)
        and type_[0] == "set"
        and isinstance(present, list)
        and sorted(map(str, answer)) == sorted(map(str, present))
    ):
        return present
    return answer


def _same_document(answer: object, present: object) -> bool:
    try:
        left = answer if isinstance(answer, dict) else json.loads(answer)
        return left == json.loads(present)
    except (TypeError, ValueError):
        return False


def document(statements: list[dict]) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
