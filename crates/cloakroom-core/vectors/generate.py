"""Makes python.json with the providers' own Python libraries."""

import base64
import hashlib
import hmac
import json
from datetime import datetime, timezone
from unittest import mock
from urllib.parse import urlencode

import standardwebhooks
import stripe
import svix
from slack_sdk.signature import Clock, SignatureVerifier
from square.utils.webhooks_helper import verify_signature
from twilio.request_validator import RequestValidator

NOW = 1_700_000_000
URL = "https://hooks.example.com/in/source"
BODIES = {
    "json": '{"id":"evt_1","type":"order.updated","data":{"amount":1200}}',
    "unicode": '{"name":"Zażółć gęślą jaźń","sign":"\\u20ac €","emoji":"🧳"}',
    "whitespace": '{\r\n  "a" : 1.0 ,\t"a": 2\n}\r\n',
    "form": "text=a+b%26c&token=%7B%7D",
}
vectors = []


def add(library, scheme, name, secret, headers, body, url=URL):
    vectors.append(
        {
            "name": f"{scheme}: {name}", "source": library, "scheme": scheme, "secret": secret, "method": "POST",
            "url": url, "headers": headers, "body": body, "now": NOW,
        }
    )


class Fixed(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.fromtimestamp(NOW, tz)


def standard(name, body):
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    at = datetime.fromtimestamp(NOW, timezone.utc)
    for library, prefix in (standardwebhooks, "webhook"), (svix, "svix"):
        webhook = library.Webhook(secret)
        headers = {
            f"{prefix}-id": "msg_2a", f"{prefix}-timestamp": str(NOW), f"{prefix}-signature": webhook.sign("msg_2a", at, body),
        }
        if name in ("json", "unicode"):
            with mock.patch("standardwebhooks.webhooks.datetime", Fixed):
                webhook.verify(body, headers)
        add(library.__name__, "standard-webhooks", f"{prefix} {name}", secret, headers, body)
    raw = "8a1mj9xklgpo3zyqb5gsmwbo2v1hbxe"
    headers = {
        "webhook-id": "msg_2b", "webhook-timestamp": str(NOW),
        "webhook-signature": standardwebhooks.Webhook(raw.encode()).sign("msg_2b", at, body),
    }
    add("standardwebhooks", "bigcommerce", name, raw, headers, body)
    headers = {
        "webhook-id": "msg_2c", "webhook-timestamp": str(NOW), "idempotency-key": "msg_2c",
        "webhook-signature": standardwebhooks.Webhook(secret).sign("msg_2c", at, body),
    }
    add("standardwebhooks", "gitlab", name, secret, headers, body)


def others(name, body):
    header = stripe.WebhookSignature.generate_signature_header(body, "whsec_test_secret", timestamp=NOW)
    add("stripe", "stripe", name, "whsec_test_secret", {"Stripe-Signature": header}, body)

    slack = SignatureVerifier("8f742231b10e8888abcd99yyyzzz85a5", mock.Mock(spec=Clock, now=lambda: NOW))
    headers = {
        "X-Slack-Request-Timestamp": str(NOW), "X-Slack-Signature": slack.generate_signature(timestamp=str(NOW), body=body),
    }
    assert slack.is_valid_request(body, headers)
    add("slack_sdk", "slack", name, slack.signing_secret, headers, body)

    # Square's library verifies only.
    key = "asdf1234"
    signature = base64.b64encode(hmac.digest(key.encode(), (URL + body).encode(), "sha256")).decode()
    assert verify_signature(request_body=body, signature_header=signature, signature_key=key, notification_url=URL)
    add("squareup", "square", name, key, {"x-square-hmacsha256-signature": signature}, body)

    validator = RequestValidator("12345")
    url = f"{URL}?a=b%20c&bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    headers = {"X-Twilio-Signature": validator.compute_signature(url, {}), "Content-Type": "application/json"}
    assert validator.validate(url, body, headers["X-Twilio-Signature"])
    add("twilio", "twilio", f"{name} in the URL", "12345", headers, body, url)


def twilio_forms():
    validator = RequestValidator("12345")
    fields = {"To": "+18005551212", "Body": "Zażółć & gęślą = jaźń 🧳", "Empty": "", "a": "1", "B": "2"}
    for algorithm in "HMAC_SHA1", "HMAC_SHA256":
        for port in "", ":443", ":8443":
            url = f"https://hooks.example.com{port}/in/source?x=1"
            # With a port of its own, sign without it, as Twilio may.
            signed = url.replace(":8443", "")
            headers = {
                "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
                "X-Twilio-Signature": validator.compute_signature(signed, fields, algorithm),
            }
            if algorithm != "HMAC_SHA1":
                headers["X-Twilio-Webhooks-Signature-Settings"] = f"key=webhooks_sharedkey_1,algorithm={algorithm}"
            assert validator.validate(url, fields, headers["X-Twilio-Signature"], algorithm)
            add("twilio", "twilio", f"form {algorithm}{port}", "12345", headers, urlencode(fields), url)


for name, body in BODIES.items():
    standard(name, body)
    others(name, body)
twilio_forms()
print(json.dumps(vectors, indent=1, ensure_ascii=False))
