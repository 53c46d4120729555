"""Queues and topics: their settings are one map of texts in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from ..errors import Failure
from ..provider import values
from . import shapes, tags
from .aws import Aws
from .kind import OF_THE_PROVIDER, Kind, is_gone


@dataclass(frozen=True)
class Table:
    """How the API names the attributes of one type."""

    names: Mapping[str, str]
    #: Only the creation takes these.
    fixed: frozenset[str]


QUEUE = Table(
    {
        "fifo_queue": "FifoQueue",
        "content_based_deduplication": "ContentBasedDeduplication",
        "deduplication_scope": "DeduplicationScope",
        "fifo_throughput_limit": "FifoThroughputLimit",
        "visibility_timeout_seconds": "VisibilityTimeout",
        "message_retention_seconds": "MessageRetentionPeriod",
        "max_message_size": "MaximumMessageSize",
        "delay_seconds": "DelaySeconds",
        "receive_wait_time_seconds": "ReceiveMessageWaitTimeSeconds",
        "policy": "Policy",
        "redrive_policy": "RedrivePolicy",
        "redrive_allow_policy": "RedriveAllowPolicy",
        "kms_master_key_id": "KmsMasterKeyId",
        "kms_data_key_reuse_period_seconds": "KmsDataKeyReusePeriodSeconds",
        "sqs_managed_sse_enabled": "SqsManagedSseEnabled",
    },
    fixed=frozenset({"name", "fifo_queue"}),
)
TOPIC = Table(
    {
        "display_name": "DisplayName",
        "policy": "Policy",
        "delivery_policy": "DeliveryPolicy",
        "kms_master_key_id": "KmsMasterKeyId",
        "fifo_topic": "FifoTopic",
        "content_based_deduplication": "ContentBasedDeduplication",
        "fifo_throughput_scope": "FifoThroughputScope",
        "signature_version": "SignatureVersion",
        "tracing_config": "TracingConfig",
        "archive_policy": "ArchivePolicy",
    },
    fixed=frozenset({"name", "fifo_topic"}),
)


class AttributesKind(Kind):
    """A queue, a topic, or a policy that is one attribute of one."""

    table: Table

    def __init__(self, name: str, block: dict, aws: Aws):
        self.name, self.block, self.aws = name, block, aws
        self.forcing = frozenset(self.table.fixed & block["attributes"].keys())

    def settings(self, want: dict) -> dict[str, str]:
        """The map that the API takes, of everything that is set."""
        result = {}
        for name, value in want.items():
            attribute = self.block["attributes"].get(name, {"required": False, "optional": False})
            said = value is not None and not values.is_unknown(value) and (attribute["required"] or attribute["optional"])
            if not said or name in OF_THE_PROVIDER | {"name"}:
                continue
            if name not in self.table.names:
                raise Failure(f"the emulated apply does not know the argument {name}")
            result[self.table.names[name]] = str(value).lower() if isinstance(value, bool) else str(value)
        return result

    def told(self, state: dict, attributes: Mapping[str, str]) -> dict:
        """The state as these attributes tell it."""
        return shapes.observed(self.block, state, attributes, self.table.names)

    def changed(self, prior: dict, want: dict) -> dict[str, str]:
        """The settings that an update sets; one that was taken away is emptied."""
        before, after = self.settings(prior), self.settings(want)
        emptied = {name: "" for name in before if name not in after}
        return {**emptied, **{name: value for name, value in after.items() if before.get(name) != value}}


class Queue(AttributesKind):
    table = QUEUE

    def create(self, want: dict) -> dict:
        sqs = self.aws.client("sqs")
        url = sqs.create_queue(QueueName=want["name"], Attributes=self.settings(want), tags=want.get("tags_all") or {})[
            "QueueUrl"
        ]
        return self.read({**want, "id": url, "url": url})

    def read(self, state: dict) -> dict | None:
        try:
            answer = self.aws.client("sqs").get_queue_attributes(QueueUrl=state["id"], AttributeNames=["All"])
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        attributes = answer["Attributes"]
        return {**self.told(state, attributes), "url": state["id"], "arn": attributes["QueueArn"]}

    def update(self, prior: dict, want: dict) -> dict:
        changed = self.changed(prior, want)
        changed.pop("FifoQueue", None)
        if changed:
            self.aws.client("sqs").set_queue_attributes(QueueUrl=want["id"], Attributes=changed)
        if (prior.get("tags_all") or {}) != (want.get("tags_all") or {}):
            tags.change(self.aws.client("sqs"), "sqs", want, prior.get("tags_all") or {}, want.get("tags_all") or {})
        return self.read(want)

    def delete(self, state: dict) -> None:
        try:
            self.aws.client("sqs").delete_queue(QueueUrl=state["id"])
        except ClientError as error:
            if not is_gone(error):
                raise


class QueuePolicy(Queue):
    """One attribute of a queue that is a resource of its own."""

    def __init__(self, name: str, block: dict, aws: Aws):
        super().__init__(name, block, aws)
        self.attribute = name.removeprefix("aws_sqs_queue_")
        self.forcing = frozenset({"queue_url"})

    def create(self, want: dict) -> dict:
        return self._set({**want, "id": want["queue_url"]}, want[self.attribute])

    def update(self, prior: dict, want: dict) -> dict:
        return self._set(want, want[self.attribute])

    def read(self, state: dict) -> dict | None:
        url = state["id"]
        try:
            answer = self.aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        return self.told(state, answer) if answer.get(self.table.names[self.attribute]) else None

    def delete(self, state: dict) -> None:
        try:
            self._set(state, "")
        except ClientError as error:
            if not is_gone(error):
                raise

    def _set(self, state: dict, text: str) -> dict:
        attributes = {self.table.names[self.attribute]: text}
        self.aws.client("sqs").set_queue_attributes(QueueUrl=state["queue_url"], Attributes=attributes)
        return state


class Topic(AttributesKind):
    table = TOPIC

    def create(self, want: dict) -> dict:
        listed = [{"Key": key, "Value": value} for key, value in (want.get("tags_all") or {}).items()]
        answer = self.aws.client("sns").create_topic(Name=want["name"], Attributes=self.settings(want), Tags=listed)
        return self.read({**want, "id": answer["TopicArn"], "arn": answer["TopicArn"]})

    def read(self, state: dict) -> dict | None:
        try:
            attributes = self.aws.client("sns").get_topic_attributes(TopicArn=state["id"])["Attributes"]
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        return {**self.told(state, attributes), "owner": self.aws.account}

    def update(self, prior: dict, want: dict) -> dict:
        sns = self.aws.client("sns")
        for name, value in self.changed(prior, want).items():
            sns.set_topic_attributes(TopicArn=want["id"], AttributeName=name, AttributeValue=value)
        if (prior.get("tags_all") or {}) != (want.get("tags_all") or {}):
            tags.change(sns, "sns", want, prior.get("tags_all") or {}, want.get("tags_all") or {})
        return self.read(want)

    def delete(self, state: dict) -> None:
        self.aws.client("sns").delete_topic(TopicArn=state["id"])


class TopicPolicy(AttributesKind):
    table = TOPIC

    def __init__(self, name: str, block: dict, aws: Aws):
        super().__init__(name, block, aws)
        self.forcing = frozenset({"arn"})

    def create(self, want: dict) -> dict:
        self._set(want["arn"], want["policy"])
        return self.read({**want, "id": want["arn"], "owner": self.aws.account})

    def read(self, state: dict) -> dict | None:
        try:
            attributes = self.aws.client("sns").get_topic_attributes(TopicArn=state["arn"])["Attributes"]
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        return self.told(state, attributes)

    def update(self, prior: dict, want: dict) -> dict:
        self._set(want["arn"], want["policy"])
        return self.read(want)

    def delete(self, state: dict) -> None:
        # A topic always has a policy: it gets back one that lets only its own account in.
        root = f"arn:aws:iam::{self.aws.account}:root"
        self._set(
            state["arn"],
            shapes.document([{"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sns:*", "Resource": state["arn"]}]),
        )

    def _set(self, arn: str, text: str) -> None:
        self.aws.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=text)


KINDS = {
    "aws_sqs_queue": Queue,
    "aws_sqs_queue_policy": QueuePolicy,
    "aws_sqs_queue_redrive_allow_policy": QueuePolicy,
    "aws_sqs_queue_redrive_policy": QueuePolicy,
    "aws_sns_topic": Topic,
    "aws_sns_topic_policy": TopicPolicy,
}
