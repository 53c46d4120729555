"""The emulator as boto3 sees it."""

from __future__ import annotations

import functools
import json
import os
import threading

import boto3
from botocore.config import Config

REGION = "us-east-1"


class Aws:
    """Clients of an emulator, and what it says of itself."""

    def __init__(self, endpoint: str):
        self.endpoint, self.region = endpoint.rstrip("/"), REGION
        self._session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        self._lock = threading.Lock()
        self._clients: dict[str, object] = {}

    def client(self, service: str) -> object:
        """A client of a service, to be used by any number of threads."""
        with self._lock:
            if service not in self._clients:
                options = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}, max_pool_connections=32)
                self._clients[service] = self._session.client(service, endpoint_url=self.endpoint, config=options)
            return self._clients[service]

    @functools.cached_property
    def account(self) -> str:
        """The account's id."""
        return self.client("sts").get_caller_identity()["Account"]

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account and Region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def function_endpoint(self, *names: str) -> str:
        """Where a function of this name or handler finds AWS: at the emulator, or where it is told otherwise."""
        chosen = json.loads(os.environ.get("EMULATOR_FUNCTION_ENDPOINTS") or "{}")
        return next((chosen[name] for name in names if name in chosen), self.endpoint)
