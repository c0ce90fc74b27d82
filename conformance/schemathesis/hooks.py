"""Who asks, and for what there is: half of the requests name a room, an event, a device that exist.

The server is at TEST_MYELIN_URL and registers by the secret TEST_MYELIN_SECRET. At the end, what was asked and answered
is counted in the file TEST_MYELIN_COUNTS: {"GET /path": {"200": 3}}.
"""

import atexit
import collections
import hashlib
import hmac
import itertools
import json
import os
import threading
import zlib

import requests
import schemathesis

URL = os.environ["TEST_MYELIN_URL"]
SECRET = os.environ["TEST_MYELIN_SECRET"]
V3 = f"{URL}/_matrix/client/v3"
PASSWORD = "correct horse"

# What ends the session, or its password, is asked by somebody new each time.
ENDS_SESSION = ("/logout", "/logout/all", "/account/deactivate", "/account/password")
# What waits is told not to.
WAITS = ("timeout", "timeout_ms")

numbers = itertools.count()
counts = collections.defaultdict(collections.Counter)
lock = threading.Lock()


def register(admin=False):
    """A new user's session."""
    place = f"{URL}/_synapse/admin/v1/register"
    nonce = requests.get(place, timeout=30).json()["nonce"]
    name = f"somebody{next(numbers)}"
    kind = "admin" if admin else "notadmin"
    text = "\0".join((nonce, name, PASSWORD, kind)).encode()
    mac = hmac.new(SECRET.encode(), text, hashlib.sha1).hexdigest()
    wish = {"nonce": nonce, "username": name, "password": PASSWORD, "admin": admin, "mac": mac}
    answer = requests.post(place, json=wish, timeout=30)
    answer.raise_for_status()
    return answer.json()


class World:
    """An administrator, and what is there."""

    def __init__(self):
        self.session = register(admin=True)
        self.friend = register()
        self.known = {}
        self.furnish()

    def ask(self, method, path, body=None, **more):
        headers = {"Authorization": f"Bearer {self.session['access_token']}"}
        answer = requests.request(method, path, json=body, headers=headers, timeout=30, **more)
        answer.raise_for_status()
        return answer.json()

    def furnish(self):
        user = self.session["user_id"]
        room = self.ask("POST", f"{V3}/createRoom", {"preset": "public_chat", "name": "known"})["room_id"]
        message = {"msgtype": "m.text", "body": "hello"}
        event = self.ask("PUT", f"{V3}/rooms/{room}/send/m.room.message/1", message)["event_id"]
        alias = f"#known{next(numbers)}:{user.split(':', 1)[1]}"
        self.ask("PUT", f"{V3}/directory/room/{alias.replace('#', '%23')}", {"room_id": room})
        backup = {"algorithm": "m.megolm_backup.v1", "auth_data": {"public_key": "abc", "signatures": {}}}
        self.known = {
            "roomId": room,
            "roomIdOrAlias": room,
            "roomAlias": alias,
            "eventId": event,
            "userId": user,
            "deviceId": self.session["device_id"],
            "eventType": "m.room.message",
            "version": self.ask("POST", f"{V3}/room_keys/version", backup)["version"],
            "filterId": self.ask("POST", f"{V3}/user/{user}/filter", {})["filter_id"],
            "receiptType": "m.read",
            "relType": "m.annotation",
            "kind": "override",
            "ruleId": ".m.rule.master",
            "keyName": "displayname",
            "serverName": user.split(":", 1)[1],
        }
        media = self.ask("POST", f"{URL}/_matrix/media/v3/upload")
        self.known["mediaId"] = media["content_uri"].rsplit("/", 1)[1]


world = World()


def is_even(case, name):
    """Whether a parameter of this case is replaced: it depends on the case alone."""
    text = repr((case.method, case.path, name, case.path_parameters, case.query, case.body))
    return zlib.crc32(text.encode("utf-8", "backslashreplace")) % 2 == 0


@schemathesis.hook
def before_call(ctx, case, kwargs):
    del ctx, kwargs
    ends = case.operation.path.endswith(ENDS_SESSION)
    with lock:
        session = register() if ends else world.session
    case.headers = dict(case.headers or {}, Authorization=f"Bearer {session['access_token']}")
    for place in (case.path_parameters, case.query):
        if not isinstance(place, dict):
            continue
        replaced = [name for name in place if name in world.known and is_even(case, name)]
        for name in replaced:
            place[name] = world.known[name]
        for name in WAITS:
            if name in place:
                place[name] = 0 if str(place[name]).isdigit() else place[name]


@schemathesis.hook
def after_call(ctx, case, response):
    del ctx
    with lock:
        counts[f"{case.method.upper()} {case.operation.path}"][response.status_code] += 1
        lost = response.status_code == 401 and b"M_UNKNOWN_TOKEN" in response.content
        if lost and not case.operation.path.endswith(ENDS_SESSION + ("/userinfo", "/refresh")):
            world.__init__()


@schemathesis.check
def answers_in_json(ctx, response, case):
    """A refusal is a standard error, or asks for authentication; and 504 only says that a file is still to come."""
    del ctx, case
    if response.status_code < 400 or response.status_code == 416:
        return
    try:
        said = json.loads(response.content)
    except ValueError as error:
        raise AssertionError(f"{response.status_code} without JSON") from error
    is_challenge = response.status_code == 401 and "flows" in said
    assert is_challenge or str(said.get("errcode", "")).startswith("M_"), f"{response.status_code} without errcode"
    if response.status_code == 504:
        assert said["errcode"] == "M_NOT_YET_UPLOADED", "504 for another reason"


@atexit.register
def write_counts():
    path = os.environ.get("TEST_MYELIN_COUNTS")
    if path and counts:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(counts, file)
