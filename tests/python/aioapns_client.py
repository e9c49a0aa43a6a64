"""Pushes to an APNs server with PyPI's aioapns, as a program that Onegin's authors did not write.

usage: aioapns_client.py URL CA_PEM KEY_P8 KEY_ID TEAM_ID TOPIC COUNT

Sends COUNT notifications that should arrive and some that should not, and prints how often
each answer came, as JSON: {"200": 1000, "410 Unregistered": 25, …}. Device tokens that begin
with "dead" are the caller's to script, a 410 with its timestamp.

aioapns offers no ALPN, sends `host` and no `:authority`, and finds the notification that an
answer is about by the `apns-id` that the server repeats.
"""

import asyncio
import collections
import json
import pathlib
import ssl
import sys
import urllib.parse

from aioapns import APNs, NotificationRequest, PushType

DEAD_TOKENS = 25
LIMIT_SEC = 60


async def refused(*_) -> None:
    """Refusals are counted; without this aioapns logs each as an error."""


def client(url: str, ca_pem: str, key: str, key_id: str, team_id: str, topic: str) -> APNs:
    """A client with token authentication that connects to `url` instead of Apple."""
    apns = APNs(
        key=key,
        key_id=key_id,
        team_id=team_id,
        topic=topic,
        ssl_context=ssl.create_default_context(cafile=ca_pem),
        err_func=refused,
    )
    address = urllib.parse.urlsplit(url)

    class Elsewhere(apns.pool.protocol_class):
        APNS_SERVER = address.hostname
        APNS_PORT = address.port

    apns.pool.protocol_class = Elsewhere
    return apns


def request(token: str, **differences) -> NotificationRequest:
    alert = {"title": "Šumadija", "body": f"for {token[:8]}"}
    fields = {
        "message": {"aps": {"alert": alert}},
        "push_type": PushType.ALERT,
        "priority": 10,
        "time_to_live": 3600,
    }
    return NotificationRequest(device_token=token, **{**fields, **differences})


def requests(count: int) -> list[NotificationRequest]:
    """What should arrive, then one of each kind of mistake, then the scripted ones."""
    good = f"{1:064x}"
    mistakes = [
        request("no-hexadecimal-digits"),
        request(good, apns_topic="com.example.somebody-else"),
        request(good, priority=7),
        request(good, notification_id="no-uuid"),
        request(good, collapse_key="k" * 65),
        request(good, message={"aps": {"alert": "x" * 4096}}),
    ]
    dead = [request(f"dead{number:060x}") for number in range(DEAD_TOKENS)]
    return [request(f"{number:064x}") for number in range(1, count + 1)] + mistakes + dead


async def push(apns: APNs, one: NotificationRequest, answers: collections.Counter) -> None:
    result = await apns.send_notification(one)
    assert result.notification_id == one.notification_id
    assert (result.timestamp is not None) == (result.status == "410"), result.timestamp
    answers[f"{result.status} {result.description or ''}".strip()] += 1


async def main() -> None:
    url, ca_pem, key_p8, key_id, team_id, topic, count = sys.argv[1:]
    key = pathlib.Path(key_p8).read_text()
    answers = collections.Counter()

    apns = client(url, ca_pem, key, key_id, team_id, topic)
    first, *rest = requests(int(count))
    # Apple takes one stream until it has seen a good token, and aioapns does not know that.
    await push(apns, first, answers)
    await asyncio.gather(*(push(apns, one, answers) for one in rest))
    apns.pool.close()

    stranger = client(url, ca_pem, key, "WRONGKEY01", team_id, topic)
    await push(stranger, request(f"{1:064x}"), answers)
    stranger.pool.close()
    print(json.dumps(answers))


asyncio.run(asyncio.wait_for(main(), LIMIT_SEC))
