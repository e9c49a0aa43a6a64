"""Pushes to FCM HTTP v1 with Google's own google-auth, over HTTP/1.1.

usage: google_auth_client.py URL CA_PEM SERVICE_ACCOUNT_JSON COUNT

Fetches access tokens from the account's `token_uri`, sends COUNT messages that should arrive
and some that should not, and prints how often each answer came, as JSON:
{"200": 1000, "404 UNREGISTERED": 25, …}. Device tokens that begin with "dead" are the
caller's to script. An answer of 401 makes google-auth fetch a new token and try again.
"""

import collections
import json
import sys

import google.auth.transport.requests
import requests
from google.oauth2 import service_account

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
DEAD_TOKENS = 25
LIMIT_SEC = 30


class Nowhere(requests.adapters.BaseAdapter):
    """Keeps everything on this machine: google-auth also asks a Google host for regions."""

    def send(self, request, **_):
        raise requests.exceptions.ConnectionError(f"not allowed: {request.url}")

    def close(self):
        pass


def stay_on(url: str, ca_pem: str, session: requests.Session) -> requests.Session:
    session.verify = ca_pem
    # Proxies and certificates of the machine's environment would win otherwise.
    session.trust_env = False
    session.mount("https://", Nowhere())
    session.mount("http://", Nowhere())
    session.mount(url, requests.adapters.HTTPAdapter())
    return session


def message(token: str) -> dict:
    data = {"title": "Šumadija", "message": f"for {token}", "notifid": "1"}
    return {"message": {"token": token, "data": data, "android": {"ttl": "3600s"}}}


def bodies(count: int) -> list[bytes]:
    """What should arrive, then one of each kind of mistake, then the scripted ones."""
    unknown_field = message("one")
    unknown_field["message"]["colour"] = "red"
    number_as_value = message("one")
    number_as_value["message"]["data"]["notifid"] = 1
    mistakes = [unknown_field, number_as_value, message("not a token")]
    good = [message(f"token-{number}") for number in range(count)]
    dead = [message(f"dead-{number}") for number in range(DEAD_TOKENS)]
    encoded = [json.dumps(body).encode() for body in good + mistakes + dead]
    return encoded + [encoded[0][:-5]]


def label(answer: requests.Response) -> str:
    """Status, reason and the field at fault, as a client finds them in Google's errors."""
    if answer.status_code == 200:
        assert answer.json()["name"].startswith("projects/")
        return "200"
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    reason, fields = error["status"], []
    for detail in error.get("details", []):
        reason = detail.get("errorCode", reason)
        # No field is at fault where the body as a whole is.
        violations = detail.get("fieldViolations", [])
        fields += [violation["field"] or "body" for violation in violations]
    return " ".join([str(answer.status_code), reason, *fields])


def main() -> None:
    url, ca_pem, account, count = sys.argv[1:]
    credentials = service_account.Credentials.from_service_account_file(account, scopes=[SCOPE])
    token_requests = google.auth.transport.requests.Request(
        stay_on(url, ca_pem, requests.Session())
    )
    session = google.auth.transport.requests.AuthorizedSession(
        credentials, auth_request=token_requests
    )
    stay_on(url, ca_pem, session)
    answers = collections.Counter()

    def post(project: str, body: bytes) -> None:
        answer = session.post(
            f"{url}/v1/projects/{project}/messages:send",
            data=body,
            headers={"content-type": "application/json"},
            timeout=LIMIT_SEC,
        )
        assert answer.raw.version == 11, "not HTTP/1.1"
        answers[label(answer)] += 1

    project = credentials.project_id
    for body in bodies(int(count)):
        post(project, body)
    post("somebody-else", bodies(1)[0])
    print(json.dumps(answers))


main()
