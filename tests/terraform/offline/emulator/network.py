"""What the large lane and functions in a VPC need: groups, endpoints, a load balancer, a cluster, a name."""

from __future__ import annotations

import json

from .aws import Aws
from .kind import ApiKind, Calls

EVERYTHING = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


class SecurityGroup(ApiKind):
    """A group of a VPC. A new one lets everything out, until the provider takes that away."""

    def create(self, want: dict) -> dict:
        state = super().create(want)
        self.client.revoke_security_group_egress(GroupId=state["id"], IpPermissions=[EVERYTHING])
        return self.read(state)


class SecurityGroupRule(ApiKind):
    """One rule of a group: the API takes a list of permissions."""

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        permission = {"IpProtocol": want["ip_protocol"]}
        permission |= {
            name: want[from_] for name, from_ in (("FromPort", "from_port"), ("ToPort", "to_port")) if want.get(from_) is not None
        }
        about = {"Description": want["description"]} if want.get("description") else {}
        if want.get("cidr_ipv4"):
            permission["IpRanges"] = [{"CidrIp": want["cidr_ipv4"], **about}]
        if want.get("cidr_ipv6"):
            permission["Ipv6Ranges"] = [{"CidrIpv6": want["cidr_ipv6"], **about}]
        if want.get("referenced_security_group_id"):
            permission["UserIdGroupPairs"] = [{"GroupId": want["referenced_security_group_id"], **about}]
        return {"GroupId": want["security_group_id"], "IpPermissions": [permission]}, set(), True


class Attributed(ApiKind):
    """A load balancer or a target group, of which some settings are attributes with names of their own."""

    attributes = {
        "deregistration_delay": "deregistration_delay.timeout_seconds",
        "drop_invalid_header_fields": "routing.http.drop_invalid_header_fields.enabled",
        "enable_deletion_protection": "deletion_protection.enabled",
        "idle_timeout": "idle_timeout.timeout_seconds",
    }

    def create(self, want: dict) -> dict:
        state = super().create(want)
        said = {
            self.attributes[name]: want[name]
            for name in self.attributes
            if want.get(name) is not None and name in self.calls.local
        }
        listed = [{"Key": key, "Value": str(value).lower()} for key, value in said.items() if isinstance(value, (str, int))]
        if self.name == "aws_lb":
            self.client.modify_load_balancer_attributes(LoadBalancerArn=state["arn"], Attributes=listed)
        else:
            self.client.modify_target_group_attributes(TargetGroupArn=state["arn"], Attributes=listed)
        return state

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        request, left, says_something = super().request(call, want)
        if self.name == "aws_lb":
            request["Scheme"] = "internal" if want.get("internal") else "internet-facing"
        for check in want.get("health_check") or ():
            numbers = {"HealthCheckIntervalSeconds": "interval", "HealthCheckTimeoutSeconds": "timeout"}
            numbers |= {"HealthyThresholdCount": "healthy_threshold", "UnhealthyThresholdCount": "unhealthy_threshold"}
            request |= {name: int(check[from_]) for name, from_ in numbers.items() if isinstance(check.get(from_), (int, float))}
            request |= {"HealthCheckPath": check["path"]} if isinstance(check.get("path"), str) else {}
            request |= {"Matcher": {"HttpCode": check["matcher"]}} if isinstance(check.get("matcher"), str) else {}
        return request, left, says_something


class Listener(ApiKind):
    """A listener, with its one certificate."""

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        request, left, says_something = super().request(call, want)
        if want.get("certificate_arn"):
            request["Certificates"] = [{"CertificateArn": want["certificate_arn"]}]
        return request, left, says_something


class TaskDefinition(ApiKind):
    """What a task runs; Terraform has the containers as a text."""

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        request, left, says_something = super().request(call, want)
        request["containerDefinitions"] = json.loads(want["container_definitions"])
        return request, left, says_something


class Service(ApiKind):
    """Tasks that are kept running, in a VPC."""

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        request, left, says_something = super().request(call, want)
        for block in want.get("network_configuration") or ():
            public = "ENABLED" if block.get("assign_public_ip") else "DISABLED"
            vpc = {"subnets": block["subnets"], "securityGroups": block.get("security_groups") or [], "assignPublicIp": public}
            request["networkConfiguration"] = {"awsvpcConfiguration": vpc}
        for breaker in want.get("deployment_circuit_breaker") or ():
            request["deploymentConfiguration"] = {"deploymentCircuitBreaker": dict(breaker)}
        return request, left, says_something


class Record(ApiKind):
    """A name in a hosted zone: the API takes a batch of changes."""

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        change = {"Action": "UPSERT", "ResourceRecordSet": _record_set(want)}
        return {"HostedZoneId": want["zone_id"], "ChangeBatch": {"Changes": [change]}}, set(), True


def _group(aws: Aws, _state: dict, answer: dict) -> dict:
    return {"id": answer["GroupId"], "arn": aws.arn("ec2", f"security-group/{answer['GroupId']}"), "owner_id": aws.account}


def _read_group(aws: Aws, state: dict) -> dict | None:
    found = aws.client("ec2").describe_security_groups(GroupIds=[state["id"]])["SecurityGroups"]
    return {name: found[0][name] for name in ("Description", "VpcId", "GroupName")} if found else None


def _rule(aws: Aws, _state: dict, answer: dict) -> dict:
    rule = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    return {"id": rule, "security_group_rule_id": rule, "arn": aws.arn("ec2", f"security-group-rule/{rule}")}


def _read_rule(aws: Aws, state: dict) -> dict | None:
    found = aws.client("ec2").describe_security_group_rules(SecurityGroupRuleIds=[state["id"]])["SecurityGroupRules"]
    return {name: found[0].get(name) for name in ("IpProtocol", "CidrIpv4")} if found else None


def _rule_calls(direction: str) -> Calls:
    def delete(aws: Aws, state: dict) -> None:
        revoke = getattr(aws.client("ec2"), f"revoke_security_group_{direction}")
        revoke(GroupId=state["security_group_id"], SecurityGroupRuleIds=[state["id"]])

    return Calls("ec2", create=f"authorize_security_group_{direction}", key={}, read=_read_rule, delete=delete, known=_rule)


def _endpoint(aws: Aws, _state: dict, answer: dict) -> dict:
    endpoint = answer["VpcEndpoint"]["VpcEndpointId"]
    return {"id": endpoint, "arn": aws.arn("ec2", f"vpc-endpoint/{endpoint}")}


def _read_endpoint(aws: Aws, state: dict) -> dict | None:
    found = aws.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[state["id"]])["VpcEndpoints"]
    return {name: found[0][name] for name in ("ServiceName", "VpcId", "State") if name in found[0]} if found else None


def _read_balancer(aws: Aws, state: dict) -> dict | None:
    found = aws.client("elbv2").describe_load_balancers(LoadBalancerArns=[state["arn"]])["LoadBalancers"]
    return {"DNSName": found[0]["DNSName"], "CanonicalHostedZoneId": found[0].get("CanonicalHostedZoneId")} if found else None


def _balancer(_aws: Aws, _state: dict, answer: dict) -> dict:
    arn = answer["LoadBalancers"][0]["LoadBalancerArn"]
    return {
        "id": arn,
        "arn": arn,
        "arn_suffix": arn.split(":loadbalancer/")[-1],
        "dns_name": answer["LoadBalancers"][0]["DNSName"],
    }


def _target_group(_aws: Aws, _state: dict, answer: dict) -> dict:
    arn = answer["TargetGroups"][0]["TargetGroupArn"]
    return {"id": arn, "arn": arn, "arn_suffix": arn.split(":")[-1]}


def _read_target_group(aws: Aws, state: dict) -> dict | None:
    found = aws.client("elbv2").describe_target_groups(TargetGroupArns=[state["arn"]])["TargetGroups"]
    return {name: found[0][name] for name in ("Port", "Protocol", "VpcId") if name in found[0]} if found else None


def _listener(_aws: Aws, _state: dict, answer: dict) -> dict:
    arn = answer["Listeners"][0]["ListenerArn"]
    return {"id": arn, "arn": arn}


def _read_listener(aws: Aws, state: dict) -> dict | None:
    found = aws.client("elbv2").describe_listeners(ListenerArns=[state["arn"]])["Listeners"]
    return {name: found[0][name] for name in ("Port", "Protocol") if name in found[0]} if found else None


def _cluster(_aws: Aws, _state: dict, answer: dict) -> dict:
    return {"id": answer["cluster"]["clusterArn"], "arn": answer["cluster"]["clusterArn"]}


def _read_cluster(aws: Aws, state: dict) -> dict | None:
    found = [
        item for item in aws.client("ecs").describe_clusters(clusters=[state["arn"]])["clusters"] if item["status"] == "ACTIVE"
    ]
    return {} if found else None


def _task(_aws: Aws, state: dict, answer: dict) -> dict:
    definition = answer["taskDefinition"]
    arn = definition["taskDefinitionArn"]
    return {"id": state["family"], "arn": arn, "arn_without_revision": arn.rsplit(":", 1)[0], "revision": definition["revision"]}


def _read_task(aws: Aws, state: dict) -> dict | None:
    definition = aws.client("ecs").describe_task_definition(taskDefinition=state["arn"])["taskDefinition"]
    return {} if definition["status"] == "ACTIVE" else None


def _read_service(aws: Aws, state: dict) -> dict | None:
    found = aws.client("ecs").describe_services(cluster=state["cluster"], services=[state["name"]])["services"]
    active = [item for item in found if item["status"] == "ACTIVE"]
    return {name: active[0][name] for name in ("taskDefinition", "desiredCount")} if active else None


def _delete_service(aws: Aws, state: dict) -> None:
    aws.client("ecs").delete_service(cluster=state["cluster"], service=state["name"], force=True)


def _record_set(state: dict) -> dict:
    record = {"Name": state["name"], "Type": state["type"]}
    if state.get("alias"):
        alias = state["alias"][0]
        target = {
            "DNSName": alias["name"],
            "HostedZoneId": alias["zone_id"],
            "EvaluateTargetHealth": alias["evaluate_target_health"],
        }
        return {**record, "AliasTarget": target}
    return {**record, "TTL": int(state["ttl"]), "ResourceRecords": [{"Value": value} for value in state["records"]]}


def _read_record(aws: Aws, state: dict) -> dict | None:
    pages = aws.client("route53").get_paginator("list_resource_record_sets").paginate(HostedZoneId=state["zone_id"])
    names = {(item["Name"].rstrip("."), item["Type"]) for page in pages for item in page["ResourceRecordSets"]}
    return {} if (state["name"].rstrip("."), state["type"]) in names else None


def _delete_record(aws: Aws, state: dict) -> None:
    change = {"Action": "DELETE", "ResourceRecordSet": _record_set(state)}
    aws.client("route53").change_resource_record_sets(HostedZoneId=state["zone_id"], ChangeBatch={"Changes": [change]})


CALLS = {
    "aws_security_group": Calls(
        "ec2",
        create="create_security_group",
        key={"GroupId": "id"},
        read=_read_group,
        delete="delete_security_group",
        renamed={"name": "GroupName"},
        # Rules are resources of their own.
        local=frozenset({"revoke_rules_on_delete", "name_prefix", "ingress", "egress"}),
        known=_group,
    ),
    "aws_vpc_security_group_ingress_rule": _rule_calls("ingress"),
    "aws_vpc_security_group_egress_rule": _rule_calls("egress"),
    "aws_vpc_endpoint": Calls(
        "ec2",
        create="create_vpc_endpoint",
        key={"VpcEndpointId": "id"},
        read=_read_endpoint,
        update="modify_vpc_endpoint",
        delete=lambda aws, state: aws.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[state["id"]]),
        renamed={"policy": "PolicyDocument"},
        local=frozenset({"auto_accept"}),
        known=_endpoint,
    ),
    "aws_lb": Calls(
        "elbv2",
        create="create_load_balancer",
        key={"LoadBalancerArn": "arn"},
        read=_read_balancer,
        delete="delete_load_balancer",
        renamed={"load_balancer_type": "Type"},
        # Set as attributes, or in another form.
        local=frozenset({"internal", "drop_invalid_header_fields", "enable_deletion_protection", "idle_timeout", "name_prefix"}),
        known=_balancer,
    ),
    "aws_lb_target_group": Calls(
        "elbv2",
        create="create_target_group",
        key={"TargetGroupArn": "arn"},
        read=_read_target_group,
        delete="delete_target_group",
        # Set as attributes, or in another form.
        local=frozenset({"health_check", "deregistration_delay", "name_prefix"}),
        known=_target_group,
    ),
    "aws_lb_listener": Calls(
        "elbv2",
        create="create_listener",
        key={"ListenerArn": "arn", "LoadBalancerArn": "load_balancer_arn"},
        read=_read_listener,
        update="modify_listener",
        delete="delete_listener",
        # Sent as a list.
        local=frozenset({"certificate_arn"}),
        known=_listener,
    ),
    "aws_ecs_cluster": Calls(
        "ecs",
        create="create_cluster",
        key={"cluster": "arn"},
        read=_read_cluster,
        update="update_cluster",
        delete="delete_cluster",
        renamed={"name": "clusterName"},
        known=_cluster,
    ),
    "aws_ecs_task_definition": Calls(
        "ecs",
        create="register_task_definition",
        key={"taskDefinition": "arn"},
        read=_read_task,
        delete="deregister_task_definition",
        # The first is sent as what it says; the others are the provider's own.
        local=frozenset({"container_definitions", "skip_destroy", "track_latest"}),
        known=_task,
    ),
    "aws_ecs_service": Calls(
        "ecs",
        create="create_service",
        key={"cluster": "cluster", "service": "name"},
        read=_read_service,
        update="update_service",
        delete=_delete_service,
        renamed={"name": "serviceName"},
        # The first two are sent one level further in; the others are the provider's own.
        local=frozenset(
            {
                "network_configuration",
                "deployment_circuit_breaker",
                "wait_for_steady_state",
                "force_delete",
                "force_new_deployment",
                "iam_role",
            }
        ),
        known=lambda _aws, _state, answer: {"id": answer["service"]["serviceArn"], "arn": answer["service"]["serviceArn"]},
    ),
    "aws_route53_record": Calls(
        "route53",
        create="change_resource_record_sets",
        update="change_resource_record_sets",
        key={},
        read=_read_record,
        delete=_delete_record,
        known=lambda _aws, state, _answer: {"id": f"{state['zone_id']}_{state['name']}_{state['type']}", "fqdn": state["name"]},
    ),
}
