"""Buckets, and what is set on them."""

from __future__ import annotations

from pathlib import Path

from .aws import Aws
from .kind import ApiKind, Calls

BUCKET = {"Bucket": "bucket"}


class Object(ApiKind):
    """An object, from a text or from a file."""

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        request, left, says_something = super().request(call, want)
        if want.get("source"):
            request["Body"] = Path(want["source"]).read_bytes()
        return request, left, says_something


class Notification(ApiKind):
    """Whom a bucket tells of what happens in it."""

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        request, left, says_something = super().request(call, want)
        if want.get("eventbridge"):
            request["NotificationConfiguration"]["EventBridgeConfiguration"] = {}
        return request, left, says_something


def _bucket(aws: Aws, state: dict, _answer: dict) -> dict:
    name = state["bucket"]
    return {
        "id": name,
        "arn": f"arn:aws:s3:::{name}",
        "bucket_domain_name": f"{name}.s3.amazonaws.com",
        "bucket_regional_domain_name": f"{name}.s3.{aws.region}.amazonaws.com",
        "bucket_region": aws.region,
    }


def _delete_bucket(aws: Aws, state: dict) -> None:
    s3 = aws.client("s3")
    if state.get("force_destroy"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=state["bucket"]):
            for item in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                s3.delete_object(Bucket=state["bucket"], Key=item["Key"], VersionId=item["VersionId"])
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=state["bucket"]):
            for item in page.get("Contents", ()):
                s3.delete_object(Bucket=state["bucket"], Key=item["Key"])
    s3.delete_bucket(Bucket=state["bucket"])


def _told_notification(_aws: Aws, _state: dict, answer: dict) -> dict:
    return {"eventbridge": answer.get("EventBridgeConfiguration") is not None}


def _delete_notification(aws: Aws, state: dict) -> None:
    aws.client("s3").put_bucket_notification_configuration(Bucket=state["bucket"], NotificationConfiguration={})


def _delete_versioning(aws: Aws, state: dict) -> None:
    aws.client("s3").put_bucket_versioning(Bucket=state["bucket"], VersioningConfiguration={"Status": "Suspended"})


def _object(aws: Aws, state: dict, _answer: dict) -> dict:
    return {"id": f"{state['bucket']}/{state['key']}", "arn": f"arn:aws:s3:::{state['bucket']}/{state['key']}"}


def _by_bucket(_aws: Aws, state: dict, _answer: dict) -> dict:
    return {"id": state["bucket"]}


def _setting(put: str, get: str, delete: object, inside: str | None, answer: str | None = None, **more: object) -> Calls:
    """One thing that is set on a bucket as a whole."""
    return Calls(
        "s3", create=put, update=put, key=BUCKET, read=get, delete=delete, inside=inside, answer=answer, known=_by_bucket, **more
    )


CALLS = {
    "aws_s3_bucket": Calls(
        "s3",
        create="create_bucket",
        key=BUCKET,
        read="head_bucket",
        delete=_delete_bucket,
        # The deletion reads the first.
        local=frozenset({"force_destroy", "bucket_prefix"}),
        known=_bucket,
        told=_bucket,
    ),
    "aws_s3_bucket_versioning": _setting("put_bucket_versioning", "get_bucket_versioning", _delete_versioning, None),
    "aws_s3_bucket_public_access_block": _setting(
        "put_public_access_block",
        "get_public_access_block",
        "delete_public_access_block",
        "PublicAccessBlockConfiguration",
        "PublicAccessBlockConfiguration",
        local=frozenset({"skip_destroy"}),
    ),
    "aws_s3_bucket_server_side_encryption_configuration": _setting(
        "put_bucket_encryption",
        "get_bucket_encryption",
        "delete_bucket_encryption",
        "ServerSideEncryptionConfiguration",
        "ServerSideEncryptionConfiguration",
    ),
    "aws_s3_bucket_lifecycle_configuration": _setting(
        "put_bucket_lifecycle_configuration",
        "get_bucket_lifecycle_configuration",
        "delete_bucket_lifecycle",
        "LifecycleConfiguration",
    ),
    "aws_s3_bucket_ownership_controls": _setting(
        "put_bucket_ownership_controls",
        "get_bucket_ownership_controls",
        "delete_bucket_ownership_controls",
        "OwnershipControls",
        "OwnershipControls",
    ),
    "aws_s3_bucket_policy": _setting("put_bucket_policy", "get_bucket_policy", "delete_bucket_policy", None),
    "aws_s3_bucket_notification": _setting(
        "put_bucket_notification_configuration",
        "get_bucket_notification_configuration",
        _delete_notification,
        "NotificationConfiguration",
        told=_told_notification,
        # Told by a member that is there or is not.
        local=frozenset({"eventbridge"}),
    ),
    "aws_s3_bucket_logging": Calls(
        "s3",
        create="put_bucket_logging",
        update="put_bucket_logging",
        key=BUCKET,
        read="get_bucket_logging",
        delete=lambda aws, state: aws.client("s3").put_bucket_logging(Bucket=state["bucket"], BucketLoggingStatus={}),
        known=_by_bucket,
    ),
    "aws_s3_object": Calls(
        "s3",
        create="put_object",
        update="put_object",
        key={"Bucket": "bucket", "Key": "key"},
        read="head_object",
        delete="delete_object",
        renamed={"content": "Body"},
        # What only decides whether to send it again, and what only the deletion needs.
        local=frozenset({"source", "source_hash", "etag", "force_destroy"}),
        known=_object,
        told=lambda aws, state, answer: {**_object(aws, state, answer), "etag": answer["ETag"].strip('"')},
        volatile=frozenset({"etag", "version_id"}),
    ),
}
