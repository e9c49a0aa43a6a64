"""An APNs of Python's `h2`, to hear from a second implementation whether requests are right.

usage: strict_apns.py CA_PEM KEY_P8 KEY_ID TEAM_ID TOPIC [PORT]

Makes a certificate, writes its authority to CA_PEM, listens on 127.0.0.1 and prints its address
as a first line: {"url": "https://127.0.0.1:…"}. Answers every push with 200, late and out of
order. When its standard input ends, it prints what it saw, and how often it found what wrong, and exits:
{"requests": 1000, "problems": {}, …}.

`h2` judges frames, HPACK, flow control, header fields and the number of streams, and ends the
connection at the first mistake; `apns_rules.py` judges what Apple asks for beyond HTTP/2. In the
middle of a connection the stream limit is lowered, as Apple does, and a PING wants its answer.
"""

import asyncio
import collections
import json
import pathlib
import sys

import apns_rules
import loopback_certificate
from h2 import config, connection, errors, events, exceptions, settings

# Streams allowed from the start, and after the first `LOWER_AFTER` requests of a connection.
FIRST_LIMIT, LATER_LIMIT, LOWER_AFTER = 100, 10, 200
SLOWEST_ANSWER_MS = 20
SHOWN_PROBLEMS = 50


class Seen:
    """What all connections saw."""

    def __init__(self, rules: apns_rules.Rules):
        self.rules = rules
        self.counts = collections.Counter()
        self.problems = collections.Counter()

    def problem(self, sentence: str) -> None:
        self.problems[sentence] += 1

    def peak(self, name: str, value: int) -> None:
        self.counts[name] = max(self.counts[name], value)

    def summary(self) -> dict:
        return {
            **self.counts,
            "device_tokens": len(self.rules.device_tokens),
            "provider_tokens": len(self.rules.provider_tokens),
            "problems": dict(self.problems.most_common(SHOWN_PROBLEMS)),
        }


class Apns(asyncio.Protocol):
    """One connection."""

    def __init__(self, seen: Seen):
        self.seen = seen
        # Nothing is made good on the way in: what is judged is what was sent.
        strict = config.H2Configuration(
            client_side=False,
            header_encoding="ascii",
            validate_inbound_headers=True,
            normalize_inbound_headers=False,
        )
        self.h2 = connection.H2Connection(config=strict)
        self.transport: asyncio.Transport | None = None
        self.unanswered: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        self.requests = 0
        self.answered = 0

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.seen.counts["connections"] += 1
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self.seen.problem("ALPN is not h2")
        self.h2.local_settings = settings.Settings(
            client=False,
            initial_values={
                settings.SettingCodes.MAX_CONCURRENT_STREAMS: FIRST_LIMIT,
                settings.SettingCodes.MAX_HEADER_LIST_SIZE: 8000,
            },
        )
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self.h2.receive_data(data):
                self.handle(event)
        except exceptions.ProtocolError as error:
            self.seen.problem(f"{type(error).__name__}: {error}")
            # `h2` sends its GOAWAY and nothing more; answers that are due stay away.
            self.unanswered.clear()
            self.flush()
            self.transport.close()
            return
        self.flush()

    def handle(self, event: events.Event) -> None:
        match event:
            case events.RequestReceived():
                self.unanswered[event.stream_id] = (event.headers, bytearray())
                self.seen.peak("peak_streams", len(self.unanswered))
                # Apple, with token authentication: one until the first is answered.
                if self.answered == 0 and len(self.unanswered) > 1:
                    self.seen.problem("a second stream before the first answer")
            case events.DataReceived():
                self.unanswered[event.stream_id][1].extend(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case events.StreamEnded():
                self.push(event.stream_id)
            case events.PingAckReceived():
                self.seen.counts["pings_answered"] += 1
            case events.SettingsAcknowledged():
                self.seen.counts["settings_acknowledged"] += 1
            case events.ConnectionTerminated(error_code=code) if code != errors.ErrorCodes.NO_ERROR:
                self.seen.problem(f"GOAWAY with error code {code}")
            case (
                events.ConnectionTerminated()
                | events.RemoteSettingsChanged()
                | events.WindowUpdated()
                | events.PingReceived()
            ):
                pass
            case _:
                # A reset, trailers, a priority, an unknown frame: no push needs any.
                self.seen.problem(f"unexpected: {event}")

    def push(self, stream_id: int) -> None:
        headers, body = self.unanswered[stream_id]
        self.seen.problems.update(self.seen.rules.judge(headers, bytes(body)))
        self.seen.counts["requests"] += 1
        self.requests += 1
        if self.requests == LOWER_AFTER:
            self.h2.update_settings(
                {settings.SettingCodes.MAX_CONCURRENT_STREAMS: LATER_LIMIT}
            )
            self.h2.ping(b"answered")
        push_id = dict(headers).get("apns-id", "")
        delay_ms = 1 + stream_id * 7 % SLOWEST_ANSWER_MS
        asyncio.get_running_loop().call_later(delay_ms / 1000, self.answer, stream_id, push_id)

    def answer(self, stream_id: int, push_id: str) -> None:
        # The connection may have ended meanwhile, which `connection_lost` tells of.
        if self.unanswered.pop(stream_id, None) is None:
            return
        self.answered += 1
        head = [(":status", "200"), ("apns-id", push_id), ("apns-unique-id", push_id)]
        self.h2.send_headers(stream_id, head, end_stream=True)
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        if self.unanswered:
            count = len(self.unanswered)
            self.seen.problem(f"closed with {count} requests unanswered ({error})")
            self.unanswered.clear()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())


async def main() -> None:
    ca_pem, key_p8, key_id, team_id, topic, *port = sys.argv[1:]
    tls = loopback_certificate.make(pathlib.Path(ca_pem))
    tls.set_alpn_protocols(["h2"])
    loop = asyncio.get_running_loop()
    seen: Seen | None = None
    server = await loop.create_server(
        lambda: Apns(seen), "127.0.0.1", int(port[0]) if port else 0, ssl=tls
    )
    authority = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    key = pathlib.Path(key_p8).read_bytes()
    seen = Seen(apns_rules.Rules(authority, key, key_id, team_id, topic))
    print(json.dumps({"url": f"https://{authority}"}), flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()
    # What the peer sent before it closed is read before the judgement.
    await asyncio.sleep(0)
    print(json.dumps(seen.summary()), flush=True)


asyncio.run(main())
