"""What Apple documents about a push request, checked with nothing of Onegin's.

In go the headers as they came off the wire and the body; out come sentences about what is
wrong. Facts: Apple, "Sending notification requests to APNs" and "Establishing a token-based
connection to APNs"; RFC 9113 section 8; RFC 7515.
"""

import base64
import json
import re
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

PSEUDO = [":method", ":scheme", ":authority", ":path"]
APPLES = {
    "authorization",
    "apns-id",
    "apns-topic",
    "apns-push-type",
    "apns-priority",
    "apns-expiration",
    "apns-collapse-id",
}
OTHERS = {"content-length", "content-type", "user-agent"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PATH = re.compile(r"/3/device/([0-9a-fA-F]{2,200})")
MAX_PAYLOAD = 4096
MAX_TOKEN_AGE_SEC = 3600


class Rules:
    """The rules for the pushes of one key to one topic at one address."""

    def __init__(self, authority: str, key_p8: bytes, key_id: str, team_id: str, topic: str):
        key = serialization.load_pem_private_key(key_p8, password=None)
        self.public_key = key.public_key()
        self.authority, self.key_id, self.team_id, self.topic = authority, key_id, team_id, topic
        # Provider tokens that were judged, and what is wrong with them; verifying is dear.
        self.provider_tokens: dict[str, list[str]] = {}
        self.device_tokens: set[str] = set()
        self.ids: set[str] = set()

    def judge(self, headers: list[tuple[str, str]], body: bytes) -> list[str]:
        """Everything that is wrong with one request."""
        problems = []
        values = {}
        for name, value in headers:
            if name in values:
                problems.append(f"{name} comes twice")
            if name != name.lower():
                problems.append(f"{name} is not in lower case")
            if name.removeprefix(":") == name and name not in APPLES | OTHERS:
                problems.append(f"{name} is no header of a push")
            values[name] = value
        problems += self._line(headers, values)
        problems += self._apns_headers(values)
        token = values.get("authorization", "")
        if token not in self.provider_tokens:
            self.provider_tokens[token] = self._provider_token(token)
        problems += self.provider_tokens[token]
        if values.get("content-length") != str(len(body)):
            problems.append(f"content-length {values.get('content-length')} is not {len(body)}")
        return problems + _payload(body)

    def _line(self, headers, values) -> list[str]:
        problems = []
        names = [name for name, _ in headers]
        if sorted(names[:4]) != sorted(PSEUDO):
            problems.append(f"the first four are not the pseudo headers but {names[:4]}")
        expected = {":method": "POST", ":scheme": "https", ":authority": self.authority}
        for name, value in expected.items():
            if values.get(name) != value:
                problems.append(f"{name} is {values.get(name)!r} and not {value!r}")
        path = PATH.fullmatch(values.get(":path", ""))
        if path is None:
            problems.append("the path is not /3/device/ and hexadecimal digits")
        else:
            self.device_tokens.add(path[1])
        return problems

    def _apns_headers(self, values) -> list[str]:
        problems = []
        push_id = values.get("apns-id", "")
        if not UUID.fullmatch(push_id):
            problems.append("apns-id is no canonical UUID")
        if push_id in self.ids:
            problems.append("apns-id was used before")
        self.ids.add(push_id)
        if values.get("apns-topic") != self.topic:
            problems.append("apns-topic is another")
        if values.get("apns-push-type") != "alert":
            problems.append("apns-push-type is not alert")
        if values.get("apns-priority") not in {"5", "10"}:
            problems.append("apns-priority is neither 5 nor 10")
        expiration = values.get("apns-expiration", "")
        if not expiration.isdigit() or not time.time() < int(expiration) < time.time() + 30 * 86400:
            problems.append(f"apns-expiration {expiration!r} is no second of the next 30 days")
        if len(values.get("apns-collapse-id", "").encode()) > 64:
            problems.append("apns-collapse-id is longer than 64 bytes")
        return problems

    def _provider_token(self, authorization: str) -> list[str]:
        scheme, _, token = authorization.partition(" ")
        parts = token.split(".")
        if scheme != "bearer" or len(parts) != 3:
            return ["authorization is not bearer and a JWT"]
        if any(re.fullmatch("[A-Za-z0-9_-]+", part) is None for part in parts):
            return ["the JWT is not base64url without padding"]
        problems = []
        try:
            header, claims, signature = (
                base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts
            )
            header, claims = dict(json.loads(header)), dict(json.loads(claims))
        except (TypeError, ValueError) as error:
            return [f"the JWT is not made of JSON objects: {error}"]
        if header.get("alg") != "ES256" or header.get("kid") != self.key_id:
            problems.append("the JWT's header has another alg or kid")
        if claims.get("iss") != self.team_id or set(claims) != {"iss", "iat"}:
            problems.append("the JWT's claims are not iss (the team) and iat")
        if not isinstance(claims.get("iat"), int):
            problems.append("iat is no integer")
        elif not -1 <= time.time() - claims["iat"] < MAX_TOKEN_AGE_SEC:
            problems.append("iat is not within the last hour")
        if not self._is_signed(f"{parts[0]}.{parts[1]}".encode(), signature):
            problems.append("the JWT's signature is not the key's")
        return problems

    def _is_signed(self, signed: bytes, signature: bytes) -> bool:
        if len(signature) != 64:
            return False
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        der = utils.encode_dss_signature(r, s)
        try:
            self.public_key.verify(der, signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def _payload(body: bytes) -> list[str]:
    problems = []

    def once(pairs):
        if len({key for key, _ in pairs}) != len(pairs):
            problems.append("the payload has a key twice")
        return dict(pairs)

    if len(body) > MAX_PAYLOAD:
        problems.append(f"the payload has {len(body)} bytes")
    try:
        payload = json.loads(body.decode("utf-8"), object_pairs_hook=once)
    except ValueError as error:
        return [*problems, f"the payload is not JSON: {error}"]
    aps = payload.get("aps") if isinstance(payload, dict) else None
    alert = aps.get("alert") if isinstance(aps, dict) else None
    if not isinstance(alert, dict) or not all(isinstance(text, str) for text in alert.values()):
        problems.append("the payload has no aps.alert of texts")
    elif not alert.get("title") or not alert.get("body"):
        problems.append("the alert has no title or no body")
    return problems
