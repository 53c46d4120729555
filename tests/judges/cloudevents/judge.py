"""Reads Cloakroom's CloudEvents with the Python SDK and checks attributes and payload bytes.

Usage: python judge.py [samples.ndjson]

Each line of the samples is one HTTP message as a consumer receives it (`headers`, `body_base64`) with the events that
must come out of it. The Rust test `the_samples_for_other_languages_are_current` keeps the file equal to what the code
writes. Exits with 1 and one line per difference when the SDK reads anything else.
"""

import base64
import json
import pathlib
import sys
from datetime import datetime

from cloudevents.core.bindings.http import HTTPMessage, from_http_event, from_structured_event

BATCH = "application/cloudevents-batch+json"
STRUCTURED = "application/cloudevents+json"


def read(headers, body):
    """The events of a message, each with the JSON text it was read from (none in binary mode)."""
    content_type = headers["content-type"]
    if content_type == BATCH:
        # The SDK reads no batches: cut the array into its items, without parsing and printing them again.
        return [(from_structured_event(HTTPMessage({}, item)), item) for item in items(body.decode())]
    message = HTTPMessage(headers, body)
    return [(from_http_event(message), body if content_type == STRUCTURED else None)]


def items(array):
    decoder = json.JSONDecoder()
    at = 1
    while array[at] != "]":
        _, end = decoder.raw_decode(array, at)
        yield array[at:end].encode()
        at = end + (array[end] == ",")


def plain(value):
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def differences(event, text, body, expected):
    found = {name: plain(value) for name, value in event.get_attributes().items()}
    wanted = expected["attributes"]
    if "time" not in wanted:
        found.pop("time", None)  # the SDK puts the current time where an event has none
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            yield f"{name} is {found.get(name)!r}, not {wanted.get(name)!r}"
    payload = expected["data_base64"]
    if payload is None:
        if event.get_data() is not None:
            yield "there is data where none was sent"
        return
    payload = base64.b64decode(payload)
    if text is None:
        if body != payload:
            yield "the body is not the payload"
    elif b',"data":' in text:
        if not text.endswith(b',"data":' + payload + b"}"):
            yield "data is not the payload's own bytes"
        if event.get_data() != json.loads(payload):
            yield "data is not the payload's value"
    elif event.get_data() != payload:
        yield "data_base64 is not the payload"


def main(path):
    lines = pathlib.Path(path).read_text().splitlines()
    failures = events = 0
    for line in lines:
        sample = json.loads(line)
        body = base64.b64decode(sample["body_base64"])
        found = read(sample["headers"], body)
        problems = [
            problem
            for (event, text), expected in zip(found, sample["expected"])
            for problem in differences(event, text, body, expected)
        ]
        if len(found) != len(sample["expected"]):
            problems.append(f"{len(found)} events, not {len(sample['expected'])}")
        for problem in problems:
            print(f"{sample['name']}: {problem}")
        failures += bool(problems)
        events += len(found)
    print(f"{len(lines)} messages, {events} events read, {failures} wrong")
    return 1 if failures or not events else 0


if __name__ == "__main__":
    default = pathlib.Path(__file__).with_name("samples.ndjson")
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else default))
