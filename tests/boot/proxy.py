# A bus between a launcher and the real one, on which systemd knows less: each word of a property is exchanged for one of the
# same length that no systemd knows.
#   proxy.py SOCKET REAL WORD…
import array, os, socket, sys, threading

ours, real, words = sys.argv[1], sys.argv[2], [word.encode() for word in sys.argv[3:]]


def receive(side):
    data, ancillary, _, _ = side.recvmsg(65536, socket.CMSG_LEN(16 * 4), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, came in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(came[: len(came) - len(came) % 4])
    return data, list(fds)


def carry(source, target, words):
    try:
        while True:
            data, fds = receive(source)
            if not data:
                break
            for word in words:
                data = data.replace(b"\0" + word + b"\0", b"\0" + word[:-1] + b"X\0")
            sent = socket.send_fds(target, [data], fds) if fds else target.send(data)
            target.sendall(data[sent:])
            for fd in fds:
                os.close(fd)
    except OSError:
        pass
    for side in (source, target):
        try:
            side.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


listener = socket.socket(socket.AF_UNIX)
listener.bind(ours)
os.chmod(ours, 0o666)
listener.listen(64)
print("listening", flush=True)
while True:
    near, _ = listener.accept()
    far = socket.socket(socket.AF_UNIX)
    far.connect(real)
    threading.Thread(target=carry, args=(near, far, words), daemon=True).start()
    threading.Thread(target=carry, args=(far, near, []), daemon=True).start()
