"""Data sources, each with a truthful value. One that is not here is an error that names it."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from ..errors import Failure
from . import policy_document

#: The account where there is no emulator that has one.
ACCOUNT = "000000000000"


def read(name: str, config: dict, settings: dict, emulator: object | None) -> dict:
    """The attributes of a data source, beside those that its configuration sets."""
    reader = READERS.get(name)
    if reader is None:
        known = ", ".join(sorted(READERS))
        raise Failure(f"the data source {name} has no value here: there is no account to ask (there is {known})")
    return reader(config, settings, emulator)


def _policy_document(config: dict, _settings: dict, _emulator: object | None) -> dict:
    rendered = policy_document.render(config)
    defaults = {"version": config.get("version") or policy_document.VERSION}
    return {**rendered, **defaults, "id": str(zlib.crc32(rendered["json"].encode()))}


def _caller_identity(_config: dict, _settings: dict, emulator: object | None) -> dict:
    account = ACCOUNT if emulator is None else emulator.account()
    arn = f"arn:aws:iam::{account}:root"
    return {"account_id": account, "arn": arn, "user_id": account, "id": account}


def _region(config: dict, settings: dict, _emulator: object | None) -> dict:
    region = config.get("region") or config.get("name") or settings["region"]
    return {
        "id": region,
        "name": region,
        "region": region,
        "description": f"The Region {region}",
        "endpoint": f"ec2.{region}.amazonaws.com",
    }


def _partition(_config: dict, _settings: dict, _emulator: object | None) -> dict:
    return {"id": "aws", "partition": "aws", "dns_suffix": "amazonaws.com", "reverse_dns_prefix": "com.amazonaws"}


READERS: dict[str, Callable[[dict, dict, object | None], dict]] = {
    "aws_iam_policy_document": _policy_document,
    "aws_caller_identity": _caller_identity,
    "aws_region": _region,
    "aws_partition": _partition,
}
