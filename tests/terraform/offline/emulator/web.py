"""API Gateway's HTTP APIs."""

from __future__ import annotations

from . import shapes
from .aws import Aws
from .kind import ApiKind, Calls

SERVICE = "apigatewayv2"


class Stage(ApiKind):
    """A stage. The settings of its routes are a map in the API, and blocks in Terraform."""

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        settings = want.get("route_settings") or []
        request, left, says_something = super().request(call, {**want, "route_settings": []})
        for block in settings:
            taken, _ = shapes.parameters(self._shape(call).members["RouteSettings"].value, block, {})
            request.setdefault("RouteSettings", {})[block["route_key"]] = taken
        return request, left, says_something


def _read_stage(aws: Aws, state: dict) -> dict:
    answer = aws.client(SERVICE).get_stage(ApiId=state["api_id"], StageName=state["name"])
    settings = answer.get("RouteSettings") or {}
    return {**answer, "RouteSettings": [{"RouteKey": route, **items} for route, items in sorted(settings.items())]}


def _api(aws: Aws, _state: dict, answer: dict) -> dict:
    return {"id": answer["ApiId"], **_api_addresses(aws, answer["ApiId"])}


def _api_addresses(aws: Aws, api: str) -> dict:
    """Where the API is. On AWS `api_endpoint` is https://API.execute-api.REGION.amazonaws.com, which answers for the stage
    `$default`; the emulator has a path for that."""
    return {
        "arn": f"arn:aws:apigateway:{aws.region}::/apis/{api}",
        "execution_arn": aws.arn("execute-api", api),
        "api_endpoint": f"{aws.endpoint}/_aws/execute-api/{api}/$default",
    }


def _stage(aws: Aws, state: dict, _answer: dict) -> dict:
    api, name = state["api_id"], state["name"]
    return {
        "id": name,
        "arn": f"arn:aws:apigateway:{aws.region}::/apis/{api}/stages/{name}",
        "execution_arn": aws.arn("execute-api", f"{api}/{name}"),
        "invoke_url": f"{aws.endpoint}/_aws/execute-api/{api}/{name}",
    }


CALLS = {
    "aws_apigatewayv2_api": Calls(
        SERVICE,
        create="create_api",
        key={"ApiId": "id"},
        read="get_api",
        update="update_api",
        delete="delete_api",
        known=_api,
        told=lambda aws, state, _answer: _api_addresses(aws, state["id"]),
    ),
    "aws_apigatewayv2_integration": Calls(
        SERVICE,
        create="create_integration",
        key={"ApiId": "api_id", "IntegrationId": "id"},
        read="get_integration",
        update="update_integration",
        delete="delete_integration",
        renamed={"timeout_milliseconds": "TimeoutInMillis"},
        known=lambda _aws, _state, answer: {"id": answer["IntegrationId"]},
    ),
    "aws_apigatewayv2_route": Calls(
        SERVICE,
        create="create_route",
        key={"ApiId": "api_id", "RouteId": "id"},
        read="get_route",
        update="update_route",
        delete="delete_route",
        known=lambda _aws, _state, answer: {"id": answer["RouteId"]},
    ),
    "aws_apigatewayv2_authorizer": Calls(
        SERVICE,
        create="create_authorizer",
        key={"ApiId": "api_id", "AuthorizerId": "id"},
        read="get_authorizer",
        update="update_authorizer",
        delete="delete_authorizer",
        renamed={"identity_sources": "IdentitySource"},
        known=lambda _aws, _state, answer: {"id": answer["AuthorizerId"]},
    ),
    "aws_apigatewayv2_stage": Calls(
        SERVICE,
        create="create_stage",
        key={"ApiId": "api_id", "StageName": "name"},
        read=_read_stage,
        update="update_stage",
        delete="delete_stage",
        renamed={"name": "StageName"},
        known=_stage,
        told=_stage,
    ),
    "aws_apigatewayv2_domain_name": Calls(
        SERVICE,
        create="create_domain_name",
        key={"DomainName": "domain_name"},
        read="get_domain_name",
        update="update_domain_name",
        delete="delete_domain_name",
        renamed={"domain_name_configuration.target_domain_name": "ApiGatewayDomainName"},
        known=lambda aws, state, _answer: {
            "id": state["domain_name"],
            "arn": f"arn:aws:apigateway:{aws.region}::/domainnames/{state['domain_name']}",
        },
    ),
    "aws_apigatewayv2_api_mapping": Calls(
        SERVICE,
        create="create_api_mapping",
        key={"DomainName": "domain_name", "ApiMappingId": "id"},
        read="get_api_mapping",
        update="update_api_mapping",
        delete="delete_api_mapping",
        known=lambda _aws, _state, answer: {"id": answer["ApiMappingId"]},
    ),
}
