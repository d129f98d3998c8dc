#!/usr/bin/env python3
"""Verify exports, whole or of one owner, and proofs of an agentd log with Python's standard library and the openssl command alone.

    verify.py export FILE VKEY [OLD_CHECKPOINT...]
    verify.py proof PROOF_FILE EVENT_FILE VKEY

Written against the formats (RFC 6962, c2sp.org/signed-note, tlog-checkpoint and tlog-proof@v1, agentd-export@v1), not
against agentd's code. Exit status 0: it holds. 1: it does not, and the reason names the event. 2: usage.
"""
import base64, calendar, contextlib, hashlib, json, os, re, subprocess, sys, tempfile, time

MEMBERS = {  # of each line, in the one order
    "header": "line format origin incarnation log_key exported_at whole tree previous", "event": "line index leaf body",
    "proof": "line index hashes", "blob": "line event slot salt media_type data erased withheld",
    "checkpoint": "line note digest"}
SSH = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"  # what stands before the 32 bytes of an OpenSSH public key


class Wrong(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Wrong(why)


@contextlib.contextmanager
def naming(what):
    try:
        yield
    except Exception as error:
        raise Wrong(f"{what}: {error}") from error


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def leaf(data):
    return sha256(b"\0", data)


def node(left, right):
    return sha256(b"\1", left, right)


def unbase64(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 is not canonical")
    return data


def number(text):
    need(text.isascii() and text.isdigit() and str(int(text)) == text, f"{text!r} is not a decimal number")
    return int(text)


def openssl_verifies(public, message, signature):
    spki = bytes.fromhex("302a300506032b6570032100") + public  # SubjectPublicKeyInfo of Ed25519 (RFC 8410)
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.join(folder, name) for name in ("key", "message", "signature")]
        for name, data in zip(names, (spki, message, signature)):
            with open(name, "wb") as file:
                file.write(data)
        command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER",
                   "-inkey", names[0], "-in", names[1], "-sigfile", names[2]]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def checkpoint(note, vkey):
    """The origin, size and root of a checkpoint that the key has signed."""
    name, key_id, key = vkey.split("+", 2)
    key = unbase64(key)
    need(len(key) == 33 and key[0] == 1, "the verifier key is not an Ed25519 key")
    need(sha256(name.encode(), b"\n", key)[:4].hex() == key_id, "the verifier key's id is wrong")
    need("\n\n" in note and note.endswith("\n"), "checkpoint is not a signed note")
    text, lines = note.rsplit("\n\n", 1)
    origin, size, root = text.split("\n")
    need(origin == name, f"checkpoint is of {origin}, not of {name}")
    signatures = []
    for line in lines[:-1].split("\n"):
        dash, signer, data = line.split(" ")
        need(dash == "\u2014", "signature line does not begin with a dash")
        data = unbase64(data)
        if signer == name and data[:4].hex() == key_id:
            signatures.append(data[4:])
    need(signatures, "checkpoint is not signed by the key")
    for signature in signatures:
        need(openssl_verifies(key[1:], (text + "\n").encode(), signature), "checkpoint's signature does not verify")
    return origin, number(size), unbase64(root)


def root_by_proof(index, size, hash, proof):
    """The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2)."""
    need(index < size, f"there is no event {index} among {size}")
    last = size - 1
    for sibling in proof:
        need(last > 0, "inclusion proof is too long")
        if index & 1 or index == last:
            hash = node(sibling, hash)
            while not index & 1:
                index, last = index >> 1, last >> 1
        else:
            hash = node(hash, sibling)
        index, last = index >> 1, last >> 1
    need(last == 0, "inclusion proof is too short")
    return hash


class Tree:
    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, hash):
        self.peaks.append(hash)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right = self.peaks.pop()
            self.peaks[-1] = node(self.peaks[-1], right)

    def root(self):
        if not self.peaks:
            return sha256()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node(peak, root)
        return root


def read_lines(path):
    """Each line of an export with the digest of the lines before it."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for raw in file:
            line = json.loads(raw.decode(), parse_float=lambda text: need(False, f"{text} is no whole number"))
            need(list(line) == [name for name in MEMBERS[line["line"]].split() if name in line], "members of a line")
            truths = [name for name, value in line.items() if isinstance(value, bool)]
            need(set(truths) <= {"whole", "erased", "withheld"}, "a number is no number")
            one_form = json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n"
            need(one_form.encode() == raw, "line is cut off or not in the one form of the format")
            yield line, digest.copy()
            digest.update(raw)


def take(lines, what, *kinds):
    line, digest = next(lines, (None, None))
    need(line, f"the export ends where {what} is expected")
    need(line["line"] in kinds, f"a {line['line']} line stands where {what} is expected")
    return line, digest


def verify_beginning(event, index, root, before):
    """Checks the first event of an incarnation; gives what the header of an export must say of it."""
    data, previous = event["data"], None
    origin, number, log_key = data["origin"], data["incarnation"], data["log_key"]
    domain = data.get("trust_domain", origin.rsplit("/log/", 1)[0])
    need(origin == f"{domain}/log/{number}" == log_key.split("+", 2)[0], "the origin is not of its trust domain and number")
    if before:
        previous = {"origin": before["origin"], "size": index, "root": root.hex()}
        said = data["previous_origin"], data["previous_size"], unbase64(data["previous_root"]).hex()
        need(said == tuple(previous.values()) and number > before["incarnation"], "it does not follow the one before")
    need(event["type"] == ("IncarnationStarted" if before else "LogStarted"), "no incarnation begins here")
    authority = unbase64(data["authority_key"].removeprefix("ssh-ed25519 ")).removeprefix(SSH)
    log_line = "ssh-ed25519 " + base64.b64encode(SSH + unbase64(log_key.split("+", 2)[2])[1:]).decode()
    need(len(data["key_certificates"]) == 2, "two key certificates are expected")
    for role, key, signature in zip(("issuer", "log"), (data["issuer_key"], log_line), data["key_certificates"]):
        text = f"agentd-host-key-v1\n{role}\n{domain}\n{key}\n".encode()
        need(openssl_verifies(authority, text, unbase64(signature)), f"the authority did not certify the {role} key")
    return {"origin": origin, "incarnation": number, "log_key": log_key, "previous": previous}


def verify_certificate(line, name, domain, key, authority):
    """From when to when an owner's certificate (OpenSSH's PROTOCOL.certkeys) lets an agent's key sign, in seconds."""
    kind, blob = line.split(" ")
    rest = blob = unbase64(blob)
    fields = []
    for size in (0, 0, 0, 8, 4, 0, 0, 8, 8, 0, 0, 0, 0, 0):
        if not size:
            size, rest = int.from_bytes(rest[:4], "big"), rest[4:]
        need(size <= len(rest), "the certificate is cut short")
        fields.append(rest[:size])
        rest = rest[size:]
    need(kind.encode() == fields[0] == b"ssh-ed25519-cert-v01@openssh.com" and not rest, "no certificate of an Ed25519 key")
    string = lambda data: len(data).to_bytes(4, "big") + data
    keys = [unbase64(key.removeprefix("ssh-ed25519 ")) for key in (key, authority)]
    need(SSH + fields[2] == keys[0] and fields[12] == keys[1], "the certificate is of another key, or by another one")
    need(fields[4] == b"\0\0\0\1" and not fields[9] and not fields[10], "the certificate says more than it may")
    need(fields[5] == b"agentd:" + name.encode(), "the certificate has another key id")
    need(fields[6] == string(f"{name}@{domain}".encode()), "the certificate is of another agent or host")
    after, before = (int.from_bytes(field, "big") for field in fields[7:9])
    need(before - after <= 30 * 86400 + 120, "the certificate holds for longer than 30 days")
    signature = fields[13].removeprefix(string(b"ssh-ed25519"))
    signed = blob[:-4 - len(fields[13])]
    need(openssl_verifies(keys[1].removeprefix(SSH), signed, signature[4:]), "the owner did not sign the certificate")
    return after, before


class Custody:
    """Agents in their owners' custody: each signed result needs a certificate that held then."""
    def __init__(self):
        self.agents, self.holders = {}, {}

    def follow(self, event):
        kind, data, name, agent = event["type"], event["data"], event["id"], self.agents.get(event["id"])
        second = calendar.timegm(time.strptime(event["time"][:19], "%Y-%m-%dT%H:%M:%S"))
        if kind == "AgentEnrolled":
            need((data["custody"] == "owner") == ("authority" in data), "custody and the owner's key do not go together")
            domain = data["agent_id"].removeprefix("spiffe://").split("/")[0]
            self.agents[name] = {"key": data["public_key"], "domain": domain, "held": None,
                                 "authority": data.get("authority", {}).get("public_key")}
        elif kind == "KeyRotated":
            agent.update(key=data["to"], held=None)
        elif kind == "KeyCertified":
            agent["held"] = held = verify_certificate(data["certificate"], name, agent["domain"], agent["key"], agent["authority"])
            need(held[0] <= second < held[1], "the certificate did not hold then")
        elif kind == "WorkClaimed":
            self.holders[event["run"]] = data["agent"]
        elif any(blob["media_type"] == "application/vnd.dsse.envelope+json" for blob in event.get("blobs", [])):
            agent = self.agents[self.holders[event["run"]]]
            held = agent["held"] or (0, 0)
            need(not agent["authority"] or held[0] <= second < held[1], "no certificate of the owner held then")


def verify_event(line, lines, header, versions, tree, begun, custody):
    """The leaf hash of an event that fits its subject, its proof where the export is a part, and its content."""
    index, body = line["index"], line["body"].encode()
    need(leaf(body).hex() == line["leaf"], "body does not have the leaf hash of the line")
    event = json.loads(body)
    need(event["v"] == 1 and event["index"] == index, "body is of another event or format")
    subject, version = (event["subject"], event["id"]), event["version"]
    last = versions.get(subject, 0)
    need(version == last + 1 if header["whole"] else version > last, f"version {version} of {subject} follows {last}")
    versions[subject] = version
    if not header["whole"]:
        proof, _ = take(lines, "its proof", "proof")
        need(proof["index"] == index, f"proof is of event {proof['index']}")
        found = root_by_proof(index, header["tree"]["size"], leaf(body), [unbase64(hash) for hash in proof["hashes"]])
        need(found.hex() == header["tree"]["root"], "the proof does not lead to the root of the header")
    for promised in event.get("blobs", []):
        blob, _ = take(lines, f"blob {promised['slot']}", "blob")
        need((blob["event"], blob["slot"]) == (index, promised["slot"]), "blob of another event or slot")
        if "erased" in blob or "withheld" in blob:
            need(len(blob) == 4 and True in (blob.get("erased"), blob.get("withheld")), "blob neither here nor absent")
            continue
        data = unbase64(blob["data"])
        committed = sha256(bytes.fromhex(blob["salt"]), data).hex(), len(data), blob["media_type"]
        need(committed == (promised["commitment"], promised["size"], promised["media_type"]),
             f"blob {blob['slot']} is not what the event commits to")
    if header["whole"] and (index == 0 or event["type"] in ("LogStarted", "IncarnationStarted")):
        begun.append(verify_beginning(event, index, tree.root(), begun[-1] if begun else None))
    if header["whole"]:
        custody.follow(event)
    return leaf(body)


def verify_export(path, vkey, *old):
    lines, tree, versions, begun, past, custody = read_lines(path), Tree(), {}, [], 0, Custody()
    header, _ = take(lines, "the header", "header")
    need(header["format"] == "agentd-export@v1" and isinstance(header["whole"], bool), "not an agentd-export@v1")
    need(header["log_key"] == vkey, "the export names another key")
    need(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", header["exported_at"]), "exported_at has another form")
    named = header["origin"].endswith(f"/log/{json.dumps(header['incarnation'])}")
    need(named, "the header's incarnation is not that of the origin")
    whole, size, old = header["whole"], header["tree"]["size"], [checkpoint(read(name).decode(), vkey) for name in old]
    for _, known, root in old:
        need(known <= size, f"the export ends at {size} events, an old checkpoint has {known}")
        need(whole or (known, root.hex()) == (size, header["tree"]["root"]), "the tree is not that of an old checkpoint")
    last, events = None, 0
    while not last:
        for _, known, root in old:
            need(not whole or known != tree.size or root == tree.root(),
                 f"the first {known} events are not those of an old checkpoint")
        with naming(f"event {tree.size}" if whole and tree.size < size else f"after event {past - 1}"):
            line, digest = take(lines, "an event or a checkpoint", "event", "checkpoint")
        if line["line"] == "event":
            with naming(f"event {line['index']}"):
                need(line["index"] >= past and (not whole or line["index"] == past), f"it stands where {past} should")
                need(line["index"] < size, "the tree of the header does not reach it")
                tree.push(verify_event(line, lines, header, versions, tree, begun, custody))
            past, events = line["index"] + 1, events + 1
            continue
        origin, covered, root = checkpoint(line["note"], vkey)
        need(origin == header["origin"], f"checkpoint is of {origin}")
        last = line.get("digest")
        need(whole or last, "an older checkpoint stands in a part")
        if whole:
            need(covered == tree.size,
                 f"checkpoint of {covered} events stands after {tree.size}: event {tree.size} is missing")
            need(root == tree.root(), f"one of the events before {covered} was changed, added, removed or moved")
    need((size, header["tree"]["root"]) == (covered, root.hex()), "the last checkpoint is not of the header's tree")
    for name, said in begun[-1].items() if begun else [("origin", None)] if whole else []:
        need(json.dumps(header.get(name)) == json.dumps(said), f"the header's {name} is not what an event announced")
    need(json.dumps(header["tree"]) == json.dumps({"size": covered, "root": root.hex()}), "tree of the header")
    digest.update(line["note"].encode())
    need(digest.hexdigest() == last and next(lines, None) is None, "the export was damaged")
    print(f"{events} events of {origin} hold" + ("" if whole else f" in the tree of {size}"))


def verify_proof(path, event, vkey):
    head, note = read(path).decode().split("\n\n", 1)
    first, *lines = head.split("\n")
    need(first == "c2sp.org/tlog-proof@v1", "not a tlog-proof@v1")
    if lines[0].startswith("extra "):
        unbase64(lines.pop(0)[6:])
    need(lines[0].startswith("index "), "the index is missing")
    index = number(lines[0][6:])
    origin, size, root = checkpoint(note, vkey)
    with naming(f"event {index}"):
        found = root_by_proof(index, size, leaf(read(event)), [unbase64(line) for line in lines[1:]])
        need(found == root, "the proof does not lead to the root")
    print(f"event {index} of {origin} holds in the tree of {size}")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main(arguments):
    try:
        if arguments[:1] == ["export"] and len(arguments) >= 3:
            verify_export(*arguments[1:])
        elif arguments[:1] == ["proof"] and len(arguments) == 4:
            verify_proof(*arguments[1:])
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except Exception as error:  # whatever does not parse does not hold
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
