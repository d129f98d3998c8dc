"""What lies outside of a sandbox: listeners on every kind of socket, until it is ended. outside.py FOLDER NAME"""

import os
import socket
import sys

folder, name = sys.argv[1:]
tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
tcp.bind(("127.0.0.1", 0))
tcp.listen(64)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
unix.bind(folder + "/socket")
unix.listen(64)
os.chmod(folder + "/socket", 0o777)
abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
abstract.bind("\0" + name)
abstract.listen(64)
with open(folder + "/ports.new", "w", encoding="ascii") as ports:
    ports.write(f"{tcp.getsockname()[1]} {udp.getsockname()[1]}\n")
os.rename(folder + "/ports.new", folder + "/ports")
sys.stdin.read()
