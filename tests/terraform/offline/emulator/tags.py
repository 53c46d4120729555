"""Tags: the same in every service, but for the names of the calls."""

from __future__ import annotations

from collections.abc import Mapping

#: Services with calls of their own: to tag, to untag, the parameter that says which resource, and its attribute.
OWN_CALLS = {
    "ec2": ("create_tags", "delete_tags", "Resources", "id"),
    "elbv2": ("add_tags", "remove_tags", "ResourceArns", "arn"),
    "iam": ("tag_role", "untag_role", "RoleName", "name"),
    "sqs": ("tag_queue", "untag_queue", "QueueUrl", "url"),
}


def change(client: object, service: str, state: dict, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Changes the tags of a resource from `before` to `after`."""
    if service == "s3":
        # The whole set is replaced.
        tags = [{"Key": key, "Value": value} for key, value in sorted(after.items())]
        client.put_bucket_tagging(Bucket=state["bucket"], Tagging={"TagSet": tags})
        return
    tag, untag, parameter, attribute = OWN_CALLS.get(service) or ("tag_resource", "untag_resource", _subject(client), "arn")
    subject = _input(client, tag).members[parameter]
    which = {parameter: [state[attribute]] if subject.type_name == "list" else state[attribute]}
    gone = sorted(set(before) - set(after))
    if gone and service == "ec2":
        client.delete_tags(**which, Tags=[{"Key": key} for key in gone])
    elif gone:
        getattr(client, untag)(**which, **{_parameter(client, untag, "keys"): gone})
    if after:
        name = _parameter(client, tag, "tags")
        getattr(client, tag)(**which, **{name: _in_form(_input(client, tag).members[name], after)})


def _in_form(shape: object, tags: Mapping[str, str]) -> object:
    """A map, or a list of keys and values under the names that the service has for them."""
    if shape.type_name == "map":
        return dict(tags)
    key, value = (next(name for name in shape.member.members if name.lower().endswith(word)) for word in ("key", "value"))
    return [{key: name, value: content} for name, content in sorted(tags.items())]


def _input(client: object, call: str) -> object:
    return client.meta.service_model.operation_model(client.meta.method_to_api_mapping[call]).input_shape


def _parameter(client: object, call: str, ending: str) -> str:
    return next(name for name in _input(client, call).members if name.lower().endswith(ending))


def _subject(client: object) -> str:
    """The parameter of tag_resource that says which resource: ResourceArn, SecretId, …"""
    return next(name for name in _input(client, "tag_resource").members if not name.lower().endswith("tags"))
