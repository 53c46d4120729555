"""Makes what the complete example takes as given: a VPC with subnets, and a zone for its name."""

from __future__ import annotations

import argparse
import json

from .aws import Aws

CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/00000000-0000-4000-8000-000000000001"


def make(aws: Aws) -> dict[str, object]:
    """The values of the example's variables that name them."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{place}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]["SubnetId"]
        for place, zone in enumerate("abab")
    ]
    routes = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    zone = (
        aws.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"].rsplit("/", 1)[-1]
    )
    return {
        "network": {
            "vpc_id": vpc,
            "public_subnet_ids": subnets[:2],
            "private_subnet_ids": subnets[2:],
            "route_table_ids": [routes],
        },
        "domain": {
            "name": "hooks.example.com",
            "certificate_arn": CERTIFICATE,
            "zone_id": zone,
            "truststore_uri": "s3://example-truststore/clients.pem",
        },
        "large_lane_certificate_arn": CERTIFICATE,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint", help="where the emulator listens")
    print(json.dumps(make(Aws(parser.parse_args().endpoint))))


if __name__ == "__main__":
    main()
