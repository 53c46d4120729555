"""Roles, policies, secrets and keys."""

from __future__ import annotations

from .aws import Aws
from .kind import Calls


def _role(aws: Aws, state: dict, _answer: dict) -> dict:
    path = state["path"] if isinstance(state.get("path"), str) else "/"
    return {"id": state["name"], "arn": f"arn:aws:iam::{aws.account}:role{path}{state['name']}"}


def _attached(aws: Aws, state: dict) -> dict | None:
    answer = aws.client("iam").list_attached_role_policies(RoleName=state["role"])
    found = any(policy["PolicyArn"] == state["policy_arn"] for policy in answer["AttachedPolicies"])
    return {} if found else None


def _read_policy(aws: Aws, state: dict) -> dict:
    iam = aws.client("iam")
    policy = iam.get_policy(PolicyArn=state["arn"])["Policy"]
    version = iam.get_policy_version(PolicyArn=state["arn"], VersionId=policy["DefaultVersionId"])
    return {**policy, "PolicyDocument": version["PolicyVersion"]["Document"]}


def _read_secret(aws: Aws, state: dict) -> dict | None:
    answer = aws.client("secretsmanager").describe_secret(SecretId=state["arn"])
    return None if answer.get("DeletedDate") else answer


def _delete_secret(aws: Aws, state: dict) -> None:
    days = state.get("recovery_window_in_days")
    how = {"ForceDeleteWithoutRecovery": True} if days == 0 else {"RecoveryWindowInDays": days or 30}
    aws.client("secretsmanager").delete_secret(SecretId=state["arn"], **how)


def _read_key(aws: Aws, state: dict) -> dict | None:
    kms = aws.client("kms")
    metadata = kms.describe_key(KeyId=state["key_id"])["KeyMetadata"]
    if metadata["KeyState"] == "PendingDeletion":
        return None
    policy = kms.get_key_policy(KeyId=state["key_id"], PolicyName="default")["Policy"]
    return {**metadata, "Policy": policy}


def _delete_key(aws: Aws, state: dict) -> None:
    aws.client("kms").schedule_key_deletion(KeyId=state["key_id"], PendingWindowInDays=state.get("deletion_window_in_days") or 30)


def _read_alias(aws: Aws, state: dict) -> dict | None:
    pages = aws.client("kms").get_paginator("list_aliases").paginate()
    return next((alias for page in pages for alias in page["Aliases"] if alias["AliasName"] == state["name"]), None)


CALLS = {
    "aws_iam_role": Calls(
        "iam",
        create="create_role",
        key={"RoleName": "name"},
        read="get_role",
        answer="Role",
        update=("update_role", "update_assume_role_policy"),
        delete="delete_role",
        renamed={"name": "RoleName", "assume_role_policy": "AssumeRolePolicyDocument"},
        # Only the deletion needs the first; the others belong to resources of their own, and the provider warns of them.
        local=frozenset({"force_detach_policies", "inline_policy", "managed_policy_arns", "name_prefix"}),
        known=_role,
    ),
    "aws_iam_role_policy": Calls(
        "iam",
        create="put_role_policy",
        key={"RoleName": "role", "PolicyName": "name"},
        read="get_role_policy",
        update="put_role_policy",
        delete="delete_role_policy",
        renamed={"role": "RoleName", "name": "PolicyName", "policy": "PolicyDocument"},
        local=frozenset({"name_prefix"}),
        known=lambda _aws, state, _answer: {"id": f"{state['role']}:{state['name']}"},
    ),
    "aws_iam_policy": Calls(
        "iam",
        create="create_policy",
        key={"PolicyArn": "arn"},
        read=_read_policy,
        delete="delete_policy",
        renamed={"name": "PolicyName", "policy": "PolicyDocument"},
        local=frozenset({"name_prefix", "delay_after_policy_creation_in_ms"}),
        known=lambda _aws, _state, answer: {"id": answer["Policy"]["Arn"], "arn": answer["Policy"]["Arn"]},
    ),
    "aws_iam_role_policy_attachment": Calls(
        "iam",
        create="attach_role_policy",
        key={"RoleName": "role", "PolicyArn": "policy_arn"},
        read=_attached,
        delete="detach_role_policy",
        known=lambda _aws, state, _answer: {"id": f"{state['role']}/{state['policy_arn']}"},
    ),
    "aws_secretsmanager_secret": Calls(
        "secretsmanager",
        create="create_secret",
        key={"SecretId": "arn"},
        read=_read_secret,
        update="update_secret",
        delete=_delete_secret,
        # The deletion reads the first.
        local=frozenset({"recovery_window_in_days", "force_overwrite_replica_secret", "policy", "name_prefix"}),
        known=lambda _aws, _state, answer: {"id": answer["ARN"], "arn": answer["ARN"]},
    ),
    "aws_secretsmanager_secret_policy": Calls(
        "secretsmanager",
        create="put_resource_policy",
        key={"SecretId": "secret_arn"},
        read="get_resource_policy",
        update="put_resource_policy",
        delete="delete_resource_policy",
        renamed={"policy": "ResourcePolicy"},
        known=lambda _aws, state, _answer: {"id": state["secret_arn"]},
    ),
    "aws_kms_key": Calls(
        "kms",
        create="create_key",
        key={"KeyId": "key_id"},
        read=_read_key,
        update=("update_key_description", "put_key_policy", "enable_key_rotation"),
        delete=_delete_key,
        renamed={"bypass_policy_lockout_safety_check": "BypassPolicyLockoutSafetyCheck"},
        # The emulator rotates nothing.
        local=frozenset({"enable_key_rotation", "deletion_window_in_days", "is_enabled", "rotation_period_in_days"}),
        known=lambda _aws, _state, answer: {
            "id": answer["KeyMetadata"]["KeyId"],
            "key_id": answer["KeyMetadata"]["KeyId"],
            "arn": answer["KeyMetadata"]["Arn"],
        },
    ),
    "aws_kms_alias": Calls(
        "kms",
        create="create_alias",
        key={"AliasName": "name"},
        read=_read_alias,
        update="update_alias",
        delete="delete_alias",
        local=frozenset({"name_prefix"}),
        known=lambda aws, state, _answer: {"id": state["name"], "arn": aws.arn("kms", state["name"])},
    ),
}
