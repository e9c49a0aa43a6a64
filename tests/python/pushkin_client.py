"""Posts Pushkin's two protobuf batches as a Pushkin client does: with Google's own library.

usage: pushkin_client.py BASE_URL PROTO_FOLDER LOGIN_ID
"""

import importlib
import pathlib
import sys
import tempfile
import urllib.request

from grpc_tools import protoc


def compile_schemas(proto_folder: str):
    """The published schemas, compiled by protoc, as Python modules."""
    folder = tempfile.mkdtemp()
    schemas = sorted(str(path) for path in pathlib.Path(proto_folder).glob("*Message.proto"))
    status = protoc.main(["protoc", f"-I{proto_folder}", f"--python_out={folder}", *schemas])
    if status != 0:
        sys.exit("protoc does not take the published schemas")
    sys.path.insert(0, folder)
    events = importlib.import_module("EventMessage_pb2")
    notifications = importlib.import_module("PushNotificationMessage_pb2")
    return events, notifications


def post(url: str, batch) -> None:
    request = urllib.request.Request(url, data=batch.SerializeToString(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200, answer.status
        assert answer.read() == b""


def main() -> None:
    base_url, proto_folder, login_id = sys.argv[1], sys.argv[2], int(sys.argv[3])
    events, notifications = compile_schemas(proto_folder)

    batch = events.BatchEventRequest()
    login = batch.events.add(user_id=login_id, event_id=4001, event_type=1, timestamp=1)
    for key, value in {
        "languageId": "1",
        "platformId": "1",
        "deviceToken": "tokP",
        "applicationVersion": "1",
    }.items():
        login.pairs.add(key=key, value=value)
    raid = batch.events.add(user_id=login_id, event_id=100, event_type=1, timestamp=1)
    raid.pairs.add(key="world_name", value="Šumadija")
    post(f"{base_url}/post_events_proto", batch)

    batch = notifications.BatchNotificationRequest()
    batch.notifications.add(
        login_id=login_id, title="Direct", content="From Python, ćao", screen="mail"
    )
    post(f"{base_url}/post_notification_proto", batch)


main()
