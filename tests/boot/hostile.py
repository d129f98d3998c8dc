# The daemon's place, taken by somebody else: what scenes/hostile.sh has it try against the launcher. Its user and its files
# are the daemon's.
#   hostile.py ask RUNS RUN WHAT       one request; WHAT changes the spec of an honest step, or is {"request": …}
#   hostile.py starts RUNS CANARY N    N starts of each kind, whose folders are exchanged while the launcher is at them
#   hostile.py watch RUNS FILE SECONDS whoever makes a folder in RUNS as root has it exchanged: says "won" when FILE is ours
#   hostile.py naive RUNS UID          the control, as root: makes folders in RUNS by their paths, as no launcher may
import ctypes, json, os, random, socket, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)


def exchange(one, other):
    return libc.renameat2(-100, one.encode(), -100, other.encode(), 2) == 0


def spec(run):
    return {"version": 1, "run": run, "program": ["/usr/bin/id"], "environment": {}, "directory": "/usr", "input": {"text": ""},
            "level": "strict", "mounts": [], "run_as": {"uid": 2100500000, "gid": 2100500000}, "network": "none", "folders": [],
            "keep_out": [], "limits": {"wall_ms": 10000, "grace_ms": 0, "output_bytes": 4096, "memory_bytes": 1 << 28,
            "file_bytes": 1 << 20, "tasks": 64, "open_files": 256, "cpu_percent": None}}


def send(request):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect("/run/agentd/launch.sock")
    s.sendall(json.dumps(request).encode() + b"\n")
    s.shutdown(socket.SHUT_WR)
    answer = b""
    while more := s.recv(65536):
        answer += more
    return answer.decode()


def ask(runs, run, what):
    what = json.loads(what)
    step = what.pop("step", "program")
    request = what.pop("request", {"start": {"run": run, "agent": "x", "step": step}})
    asked = spec(run)
    asked["limits"].update(what.pop("limits", {}))
    asked.update(what)
    if "start" in request and "/" not in step:
        with open(f"{runs}/{run}/{step}.json", "w") as file:
            file.write(json.dumps(asked))
    print(send(request))


def full_fifo(path):
    os.mkfifo(path, 0o600)
    fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            os.write(fifo, b"x" * 4096)
    except BlockingIOError:
        return fifo


def lay(trap, kind, run, canary):
    if kind == "folder-link":
        return os.symlink(canary, trap)
    os.mkdir(trap, 0o711)
    if kind == "fifo":
        return full_fifo(trap + "/program.json")
    if kind == "spec-link":
        return os.symlink(canary + "/file", trap + "/program.json")
    with open(trap + "/program.json", "w") as file:
        file.write(json.dumps({**spec(run), "folders": [f"{runs_of(trap)}/{run}/made"]}))
    for name in ("program", "made"):
        os.symlink(canary, trap + "/" + name)


def runs_of(path):
    return os.path.dirname(path)


def starts(runs, canary, count):
    answers = {}
    for kind in ("fifo", "spec-link", "record-link", "folder-link"):
        for _ in range(int(count)):
            run = "w-" + "".join(random.choices("abcdefghijkmnpqrstuvwxyz23456789", k=16)) + ".1"
            folder, trap = f"{runs}/{run}", f"{runs}/.trap-{run}"
            os.mkdir(folder, 0o711)
            with open(folder + "/program.json", "w") as file:
                file.write(json.dumps({**spec(run), "folders": [folder + "/made"]}))
            fifo = lay(trap, kind, run, canary)
            told = []
            asks = threading.Thread(target=lambda: told.append(send({"start": {"run": run, "agent": "x", "step": "program"}})))
            asks.start()
            exchanged = 0
            while asks.is_alive():
                exchanged += exchange(folder, trap)
                time.sleep(random.random() / 500)
            word = next(iter(json.loads(told[0]))) if told and told[0].strip() else "nothing"
            if exchanged or word == "nothing":
                answers[word] = answers.get(word, 0) + 1
            if exchanged % 2:
                exchange(folder, trap)
            if fifo is not None:
                os.close(fifo)
            send({"kill": {"run": run, "step": "program"}})
            send({"remove": {"run": run, "units_only": False}})
    print(json.dumps(answers))


def watch(runs, target, seconds):
    sys.setswitchinterval(1)
    known, until, tries = set(os.listdir(runs)), time.monotonic() + float(seconds), 0
    trap, fifo = None, None
    while time.monotonic() < until:
        if trap is None:
            trap = f"{runs}/.watch-{os.getpid()}-{tries}"
            os.mkdir(trap, 0o711)
            fifo = full_fifo(trap + "/program.json")
            known.add(os.path.basename(trap))
        new = [name for name in os.listdir(runs) if name not in known]
        if not new:
            continue
        known.add(new[0])
        tries += 1
        folder = f"{runs}/{new[0]}"
        if not exchange(folder, trap):
            continue
        time.sleep(.02)
        # Who writes by the path stands still at the FIFO now, and goes on with what is put in its place.
        os.unlink(folder + "/program.json")
        os.symlink(target, folder + "/program.json")
        try:
            while os.read(fifo, 65536):
                pass
        except BlockingIOError:
            pass
        time.sleep(.05)
        if os.stat(target).st_uid == os.getuid():
            return print("won")
        os.close(fifo)
        trap = None
    print("not won, and", tries, "folders came")


def naive(runs, uid):
    while True:
        folder = f"{runs}/naive-{random.getrandbits(64):x}"
        try:
            os.mkdir(folder, 0o711)
            time.sleep(.005)
            with open(folder + "/program.json", "w") as file:
                file.write("{}")
            os.chown(folder + "/program.json", int(uid), int(uid))
        except OSError:
            pass
        time.sleep(.05)


{"ask": ask, "starts": starts, "watch": watch, "naive": naive}[sys.argv[1]](*sys.argv[2:])
