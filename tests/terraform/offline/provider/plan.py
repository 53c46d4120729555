"""Plans: what is known before apply, and what must be replaced."""

from __future__ import annotations

import copy

from .values import UNKNOWN, fill, is_unknown


def plan_creation(block: dict, config: dict, proposed: dict, settings: dict) -> dict:
    """A new resource: what is computed and not given is unknown."""
    planned = copy.deepcopy(proposed)
    fill(block, planned, lambda _name, attribute, value: UNKNOWN if attribute["computed"] and value is None else value)
    _plan_provider_settings(block, config, planned, settings)
    return planned


def plan_update(block: dict, config: dict, prior: dict, proposed: dict, settings: dict, volatile: frozenset[str]) -> dict:
    """A resource that exists: what is computed stays, but for what changes with every update (`volatile`)."""
    planned = copy.deepcopy(proposed)
    _plan_provider_settings(block, config, planned, settings)
    if planned == prior:
        return planned
    for name in volatile:
        if config.get(name) is None:
            planned[name] = UNKNOWN
    # A new nested block has no computed values from before.
    inner = {"attributes": {}, "blocks": block["blocks"]}
    fill(inner, planned, lambda _name, attribute, value: UNKNOWN if attribute["computed"] and value is None else value)
    return planned


def replacements(prior: dict, planned: dict, forcing: frozenset[str]) -> list[str]:
    """The attributes and blocks that changed and that no resource of this type can change."""
    return sorted(name for name in forcing if planned.get(name) != prior.get(name))


def _plan_provider_settings(block: dict, config: dict, planned: dict, settings: dict) -> None:
    """What follows from the provider's configuration: the Region, and all tags."""
    if "region" in block["attributes"] and config.get("region") is None:
        planned["region"] = settings["region"]
    if "tags_all" in block["attributes"]:
        tags = planned.get("tags")
        if is_unknown(tags):
            planned["tags_all"] = UNKNOWN
        else:
            planned["tags_all"] = {**settings["default_tags"], **(tags or {})}
