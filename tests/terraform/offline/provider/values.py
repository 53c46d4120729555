"""Terraform's values: plain Python ones, where an unknown one is a `msgpack.ExtType`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import msgpack

#: What is known only after apply.
UNKNOWN = msgpack.ExtType(0, b"")


def is_unknown(value: object) -> bool:
    """Whether the value is unknown as a whole; a refined one (with bounds on what it may become) is unknown too."""
    return isinstance(value, msgpack.ExtType)


def has_unknown(value: object) -> bool:
    """Whether anything in it is unknown."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else is_unknown(value)


def decode(dynamic: object) -> object:
    """The value in a `DynamicValue`."""
    if dynamic.msgpack:
        return msgpack.unpackb(dynamic.msgpack, strict_map_key=False)
    return json.loads(dynamic.json) if dynamic.json else None


def encode(value: object) -> bytes:
    """What a `DynamicValue` holds."""
    return msgpack.packb(value)


def nested(block: dict, value: dict) -> Iterator[tuple[dict, dict]]:
    """Each nested block in a block's value, with its schema."""
    for name, kind in block["blocks"].items():
        content = value.get(name)
        items = content.values() if kind["nesting"] == "map" and isinstance(content, dict) else content
        for item in [items] if kind["nesting"] == "single" else items or ():
            if isinstance(item, dict):
                yield kind["block"], item


def fill(block: dict, value: dict, choose: Callable[[str, dict, object], object]) -> None:
    """Puts into each attribute, at every depth, what `choose(name, attribute, present value)` says."""
    for name, attribute in block["attributes"].items():
        value[name] = choose(name, attribute, value.get(name))
    for inner, item in nested(block, value):
        fill(inner, item, choose)


def complete(block: dict, value: dict) -> dict:
    """The value with everything that the schema has and it has not: null attributes, and no nested blocks."""
    for name in block["attributes"]:
        value.setdefault(name, None)
    for name, kind in block["blocks"].items():
        value.setdefault(name, None if kind["nesting"] == "single" else {} if kind["nesting"] == "map" else [])
    for inner, item in nested(block, value):
        complete(inner, item)
    return value


def unsettable(block: dict, config: dict, path: str = "") -> list[str]:
    """The attributes that a configuration sets although only AWS decides on them, with the blocks that they are in."""
    found = [
        path + name
        for name, attribute in block["attributes"].items()
        if not attribute["required"] and not attribute["optional"] and config.get(name) is not None
    ]
    for name, kind in block["blocks"].items():
        only = {"attributes": {}, "blocks": {name: kind}}
        for inner, item in nested(only, config):
            found += unsettable(inner, item, f"{path}{name}.")
    return found


def settled(block: dict, planned: dict, found: dict) -> dict:
    """The state after apply: as planned, with what was found for what was unknown. What is still unknown then is null, or
    empty: nobody says anything of it."""
    state = {name: found.get(name, value) if has_unknown(value) else value for name, value in planned.items()}
    fill(block, state, lambda _name, attribute, value: _nothing(attribute["type"]) if is_unknown(value) else value)
    return state


def _nothing(type_: object) -> object:
    return None if isinstance(type_, str) or type_[0] == "object" else {} if type_[0] == "map" else []
