"""DynamoDB tables."""

from __future__ import annotations

from botocore.exceptions import ClientError

from ..errors import Failure
from . import tags
from .aws import Aws
from .kind import Kind, is_gone

#: What create, read and update below work with; another argument that is set is an error.
KNOWN = frozenset(
    {
        *("name", "billing_mode", "hash_key", "range_key", "attribute", "global_secondary_index", "ttl", "stream_enabled"),
        *("stream_view_type", "point_in_time_recovery", "server_side_encryption", "deletion_protection_enabled", "table_class"),
        *("id", "arn", "region", "tags", "tags_all", "timeouts", "stream_arn", "stream_label", "read_capacity", "write_capacity"),
    }
)


class Table(Kind):
    """A table with its indexes, its stream, its backups and the lifetime of its items."""

    forcing = frozenset({"name", "hash_key", "range_key", "attribute", "global_secondary_index"})

    def __init__(self, name: str, block: dict, aws: Aws):
        self.block, self.aws = block, aws

    def create(self, want: dict) -> dict:
        self._refuse_unknown(want)
        dynamo = self.aws.client("dynamodb")
        dynamo.create_table(
            TableName=want["name"],
            KeySchema=_keys(want),
            AttributeDefinitions=[{"AttributeName": item["name"], "AttributeType": item["type"]} for item in want["attribute"]],
            BillingMode=want.get("billing_mode") or "PROVISIONED",
            DeletionProtectionEnabled=bool(want.get("deletion_protection_enabled")),
            **_indexes(want),
            **_stream(want),
            **_encryption(want),
            **({"TableClass": want["table_class"]} if want.get("table_class") else {}),
        )
        dynamo.get_waiter("table_exists").wait(TableName=want["name"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        state = {**want, "id": want["name"], "arn": self.aws.arn("dynamodb", f"table/{want['name']}")}
        self._set_backups(state)
        self._set_lifetime({}, state)
        self._tag({}, state)
        return self.read(state)

    def read(self, state: dict) -> dict | None:
        dynamo = self.aws.client("dynamodb")
        try:
            table = dynamo.describe_table(TableName=state["name"])["Table"]
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        stream = table.get("StreamSpecification", {})
        told = {
            **state,
            "arn": table["TableArn"],
            "billing_mode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
            "deletion_protection_enabled": _as(
                state, "deletion_protection_enabled", table.get("DeletionProtectionEnabled", False)
            ),
            "stream_enabled": _as(state, "stream_enabled", stream.get("StreamEnabled", False)),
            "stream_arn": table.get("LatestStreamArn", ""),
            "stream_label": table.get("LatestStreamLabel", ""),
            "read_capacity": table.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0),
            "write_capacity": table.get("ProvisionedThroughput", {}).get("WriteCapacityUnits", 0),
        }
        if stream.get("StreamViewType"):
            told["stream_view_type"] = stream["StreamViewType"]
        if state.get("point_in_time_recovery"):
            told["point_in_time_recovery"] = [self._backups(state)]
        if state.get("ttl"):
            told["ttl"] = [self._lifetime(state)]
        return told

    def update(self, prior: dict, want: dict) -> dict:
        self._refuse_unknown(want)
        dynamo = self.aws.client("dynamodb")
        # One change at a time, as DynamoDB asks for.
        changes = (
            ({"BillingMode": want["billing_mode"]}, "billing_mode"),
            (_stream(want), "stream_view_type"),
            (_encryption(want), "server_side_encryption"),
            ({"DeletionProtectionEnabled": bool(want.get("deletion_protection_enabled"))}, "deletion_protection_enabled"),
        )
        for change, name in changes:
            if want.get(name) != prior.get(name):
                dynamo.update_table(TableName=want["name"], **change)
        if want.get("point_in_time_recovery") != prior.get("point_in_time_recovery"):
            self._set_backups(want)
        self._set_lifetime(prior, want)
        self._tag(prior.get("tags_all") or {}, want)
        return self.read(want)

    def delete(self, state: dict) -> None:
        dynamo = self.aws.client("dynamodb")
        try:
            dynamo.delete_table(TableName=state["name"])
        except ClientError as error:
            if not is_gone(error):
                raise
        dynamo.get_waiter("table_not_exists").wait(TableName=state["name"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def _refuse_unknown(self, want: dict) -> None:
        settable = {name for name, item in self.block["attributes"].items() if item["required"] or item["optional"]}
        left = [name for name in want if want[name] and name not in KNOWN and (name in settable or name in self.block["blocks"])]
        left = [name for name in left if isinstance(want[name], (str, int, list))]
        if left:
            raise Failure(f"the emulated apply does not know the argument {', '.join(sorted(left))}")

    def _backups(self, state: dict) -> dict:
        answer = self.aws.client("dynamodb").describe_continuous_backups(TableName=state["name"])
        recovery = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        block = dict(state["point_in_time_recovery"][0], enabled=recovery["PointInTimeRecoveryStatus"] == "ENABLED")
        if not isinstance(block.get("recovery_period_in_days"), int):
            block["recovery_period_in_days"] = recovery.get("RecoveryPeriodInDays", 35)
        return block

    def _set_backups(self, want: dict) -> None:
        blocks = want.get("point_in_time_recovery") or [{"enabled": False}]
        specification = {"PointInTimeRecoveryEnabled": blocks[0]["enabled"]}
        self.aws.client("dynamodb").update_continuous_backups(
            TableName=want["name"], PointInTimeRecoverySpecification=specification
        )

    def _lifetime(self, state: dict) -> dict:
        answer = self.aws.client("dynamodb").describe_time_to_live(TableName=state["name"])["TimeToLiveDescription"]
        enabled = answer["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
        return {**state["ttl"][0], "enabled": _as(state["ttl"][0], "enabled", enabled)}

    def _set_lifetime(self, prior: dict, want: dict) -> None:
        before, after = prior.get("ttl") or [], want.get("ttl") or []
        if before == after:
            return
        block = (after or before)[0]
        specification = {"Enabled": bool(after and block["enabled"]), "AttributeName": block["attribute_name"]}
        self.aws.client("dynamodb").update_time_to_live(TableName=want["name"], TimeToLiveSpecification=specification)

    def _tag(self, before: dict, want: dict) -> None:
        after = want.get("tags_all") or {}
        if before != after:
            tags.change(self.aws.client("dynamodb"), "dynamodb", want, before, after)


def _as(state: dict, name: str, told: bool) -> bool | None:
    """What is not asked for and is not so stays unsaid."""
    return None if state.get(name) is None and not told else told


def _keys(item: dict) -> list[dict]:
    keys = [{"AttributeName": item["hash_key"], "KeyType": "HASH"}]
    return keys + ([{"AttributeName": item["range_key"], "KeyType": "RANGE"}] if isinstance(item.get("range_key"), str) else [])


def _indexes(want: dict) -> dict:
    indexes = [
        {
            "IndexName": index["name"],
            "KeySchema": _keys(index),
            "Projection": {
                "ProjectionType": index["projection_type"],
                **({"NonKeyAttributes": index["non_key_attributes"]} if index.get("non_key_attributes") else {}),
            },
        }
        for index in want.get("global_secondary_index") or ()
    ]
    return {"GlobalSecondaryIndexes": indexes} if indexes else {}


def _stream(want: dict) -> dict:
    if not want.get("stream_enabled"):
        return {}
    return {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": want["stream_view_type"]}}


def _encryption(want: dict) -> dict:
    blocks = want.get("server_side_encryption") or []
    if not blocks:
        return {}
    key = blocks[0].get("kms_key_arn")
    with_key = {"SSEType": "KMS", "KMSMasterKeyId": key} if isinstance(key, str) else {}
    return {"SSESpecification": {"Enabled": blocks[0]["enabled"], **with_key}}
