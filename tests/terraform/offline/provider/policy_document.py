"""The data source aws_iam_policy_document: its JSON is what policies are checked by, so it is rendered for real."""

from __future__ import annotations

import json

VERSION = "2012-10-17"


class InvalidPolicy(Exception):
    """The documents cannot be put together."""


def render(config: dict) -> dict[str, str]:
    """The `json` and `minified_json` of a configuration."""
    policy: dict = {"Version": config.get("version") or VERSION}
    if config.get("policy_id"):
        policy["Id"] = config["policy_id"]
    own = [_statement(item) for item in config.get("statement") or ()]
    sources = _documents(config, "source")
    statements = _joined([*sources, {"Statement": own}])
    for document in [*sources, *_documents(config, "override")]:
        policy.update({key: document[key] for key in ("Id",) if key in document and key not in policy})
    for document in _documents(config, "override"):
        policy.update({key: document[key] for key in ("Version", "Id") if key in document})
        statements = _overridden(statements, _statements(document))
    if statements:
        policy["Statement"] = statements
    return {"json": json.dumps(policy, indent=2), "minified_json": json.dumps(policy, separators=(",", ":"))}


def _documents(config: dict, kind: str) -> list[dict]:
    texts = [*([config[f"{kind}_json"]] if config.get(f"{kind}_json") else []), *(config.get(f"{kind}_policy_documents") or ())]
    return [json.loads(text) for text in texts if text]


def _statements(document: dict) -> list[dict]:
    statements = document.get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def _joined(documents: list[dict]) -> list[dict]:
    statements, sids = [], set()
    for statement in (statement for document in documents for statement in _statements(document)):
        sid = statement.get("Sid")
        if sid and sid in sids:
            raise InvalidPolicy(f"duplicate Sid ({sid}): each statement of the documents must have one of its own")
        sids.add(sid)
        statements.append(statement)
    return statements


def _overridden(statements: list[dict], overriding: list[dict]) -> list[dict]:
    """A statement replaces the one with its Sid; one with none, or another, is added."""
    result = list(statements)
    for statement in overriding:
        places = [place for place, old in enumerate(result) if statement.get("Sid") and old.get("Sid") == statement["Sid"]]
        if places:
            result[places[0]] = statement
        else:
            result.append(statement)
    return result


def _statement(item: dict) -> dict:
    statement: dict = {}
    if item.get("sid"):
        statement["Sid"] = item["sid"]
    statement["Effect"] = item.get("effect") or "Allow"
    for key, attribute in (
        ("Action", "actions"),
        ("NotAction", "not_actions"),
        ("Resource", "resources"),
        ("NotResource", "not_resources"),
    ):
        if item.get(attribute):
            statement[key] = _one_or_many(_variables(item[attribute]))
    for key, block in (("Principal", "principals"), ("NotPrincipal", "not_principals")):
        if item.get(block):
            statement[key] = _principals(item[block])
    if item.get("condition"):
        statement["Condition"] = _conditions(item["condition"])
    return statement


def _principals(blocks: list[dict]) -> object:
    if any(block["type"] == "*" for block in blocks):
        if all(block["identifiers"] == ["*"] for block in blocks) and len(blocks) == 1:
            return "*"
        raise InvalidPolicy('principals of type "*" take the one identifier "*", and no others beside them')
    identifiers: dict[str, list[str]] = {}
    for block in blocks:
        identifiers.setdefault(block["type"], []).extend(block["identifiers"])
    return {kind: _one_or_many(_variables(names)) for kind, names in identifiers.items()}


def _conditions(blocks: list[dict]) -> dict:
    conditions: dict[str, dict[str, list[str]]] = {}
    for block in blocks:
        values = conditions.setdefault(block["test"], {}).setdefault(block["variable"], [])
        values += _variables(block["values"])
    return {
        test: {variable: values[0] if len(values) == 1 else values for variable, values in variables.items()}
        for test, variables in conditions.items()
    }


def _variables(values: list[str]) -> list[str]:
    """`&{…}` is how a policy variable is written where Terraform would take `${…}` for its own."""
    return [value.replace("&{", "${") for value in values]


def _one_or_many(values: list[str]) -> object:
    """One value stands alone; several are in the provider's order, which is backwards."""
    unique = sorted(set(values), reverse=True)
    return unique[0] if len(unique) == 1 else unique
