#!/usr/bin/env python3
"""An agent in Python's standard library alone: it speaks to agentd's door itself, so it needs no agentctl at its side.

usage: reader.py NAME KEY_FILE SOCKET [--once]

NAME      the agent, as enrolled
KEY_FILE  its private key: ed25519, OpenSSH format, without passphrase
SOCKET    the agents' door (agents.sock)

What it can do: count lines (`largest`), relate a kind of file to an inventory (`share`), and say what it sees (`describe`).
"""

import base64
import hashlib
import http.client
import json
import os
import signal
import socket
import sys
import time

# --- Ed25519 signing (RFC 8032, section 5.1), because the standard library has none. Not constant-time: an example.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P


def recover_x(y):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x % 2 else x


BASE = (recover_x(BASE_Y), BASE_Y, 1, recover_x(BASE_Y) * BASE_Y % P)


def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    w, x, y, z = f - e, h - g, h + g, f + e
    return (w * x % P, y * z % P, x * y % P, w * z % P)


def multiply(n, point):
    total = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = add(total, point)
        point, n = add(point, point), n >> 1
    return total


def encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def sign(seed, message):
    digest = hashlib.sha512(seed).digest()
    secret = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    public = encode(multiply(secret, BASE))
    nonce = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % L
    commitment = encode(multiply(nonce, BASE))
    challenge = int.from_bytes(hashlib.sha512(commitment + public + message).digest(), "little") % L
    return commitment + ((nonce + challenge * secret) % L).to_bytes(32, "little")


def read_key(path):
    """The seed and the public key of an OpenSSH private key file (PROTOCOL.key of OpenSSH)."""
    with open(path) as file:
        body = "".join(line.strip() for line in file if not line.startswith("-----"))
    data = base64.b64decode(body)
    assert data.startswith(b"openssh-key-v1\0"), "not an OpenSSH private key"
    at = data.rindex(b"\0\0\0\x0bssh-ed25519") + 15
    public, secret = data[at + 4 : at + 36], data[at + 40 : at + 104]
    assert secret[32:] == public, "not an unencrypted ed25519 key"
    return secret[:32], public


# --- agentd's door: HTTP/1.1 with JSON on a unix socket.
class Door:
    def __init__(self, name, key_file, path):
        self.name, self.path, self.token = name, path, None
        self.seed, self.public = read_key(key_file)

    def call(self, method, route, body=None):
        connection = http.client.HTTPConnection("agentd", timeout=90)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = "Bearer " + self.token
        connection.request(method, route, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def authenticate(self):
        self.token = None
        _, challenge = self.call("POST", "/v1/challenge", {"agent": self.name})
        signature = base64.b64encode(sign(self.seed, challenge["message"].encode())).decode()
        proof = {"agent": self.name, "nonce": challenge["nonce"], "signature": signature}
        status, answer = self.call("POST", "/v1/token", proof)
        if status != 200:
            sys.exit(f"{self.name}: {answer['message']}")
        self.token, self.agent_id, self.origin = answer["token"], answer["agent_id"], answer["origin"]

    def post(self, route, body):
        status, answer = self.call("POST", route, body)
        if status == 401:
            self.authenticate()
            status, answer = self.call("POST", route, body)
        return status, answer

    def statement(self, work, result):
        """DSSE envelope over an in-toto statement about the result."""
        digest = hashlib.sha256(result.encode()).hexdigest()
        payload = json.dumps({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "result", "digest": {"sha256": digest}}],
            "predicateType": "urn:agentd:completion:v1",
            "predicate": {
                "origin": self.origin, "work": work["work"], "run": work["run"],
                "fence": int(work["fence"].split(".")[1]), "agent": self.agent_id,
                "epoch": work["epoch"], "acceptance": work["acceptance"],
            },
        }).encode()
        kind = b"application/vnd.in-toto+json"
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + self.public
        key_id = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        return {
            "payloadType": kind.decode(),
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key_id, "sig": base64.b64encode(sign(self.seed, signed)).decode()}],
        }


# --- The work itself.
def sources(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", "target")]
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and os.path.getsize(path) < 1 << 20:
                yield path


def largest(work, root):
    def lines(path):
        with open(path, "rb") as file:
            return sum(1 for _ in file)

    count, path = max((lines(path), path) for path in sources(root))
    # The first attempt answers as a hurried person would; told by the verdict what is wrong, the second one is exact.
    return {"path": os.path.relpath(path, root), "lines": count if work.get("previous") else f"{count} lines or so"}


def share(work, root):
    inventory = json.loads(work["dependencies"][0]["result"])
    extension = work["inputs"]["extension"]
    count = sum(1 for path in sources(root) if path.endswith("." + extension))
    return {"extension": extension, "files": count, "of": inventory["files"]}


def describe(work, root):
    newest = max(sources(root), key=os.path.getmtime)
    return {"text": f"{sum(1 for _ in sources(root))} files; the newest is {os.path.relpath(newest, root)}"}


def serve(door, once):
    while True:
        # Under a key, a claim whose answer was lost could be repeated without losing the work.
        status, work = door.post("/v1/claim", {"wait_s": 20, "key": os.urandom(16).hex()})
        if status == 204:
            continue
        if status != 200:
            sys.exit(f"{door.name}: {work['message']}")
        run, fence = work["run"], work["fence"]
        door.post(f"/v1/runs/{run}/start", {"fence": fence})
        try:
            task = {"largest": largest, "share": share, "describe": describe}[work["inputs"]["task"]]
            result = json.dumps(task(work, work["inputs"]["root"]))
        except Exception as error:
            door.post(f"/v1/runs/{run}/fail", {"fence": fence, "message": f"{type(error).__name__}: {error}"})
        else:
            body = {"fence": fence, "result": result, "statement": door.statement(work, result)}
            status, answer = door.post(f"/v1/runs/{run}/complete", body)
            print(f"{run} {answer.get('state') or answer.get('message')}", file=sys.stderr, flush=True)
        if once:
            return


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    door = Door(*sys.argv[1:4])
    while True:
        try:
            door.authenticate()
            serve(door, "--once" in sys.argv)
            break
        except (ConnectionError, FileNotFoundError, http.client.HTTPException):
            time.sleep(0.5)  # the daemon restarts: prove possession again when it is back
