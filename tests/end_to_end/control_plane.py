"""The control plane as its checks see it: ranks started by hand, frames (distributed/wire.h), and a relay that hears what a
rank says."""
import os
import select
import socket
import struct
import subprocess
import threading

from ranks import command

HEAD = struct.Struct("<IHHI")  # magic, version, type, length of the payload; 32 bytes of HMAC follow the payload
HELLO, WELCOME, HEARTBEAT, FAIL = 2, 3, 5, 13
MAGIC = int.from_bytes(b"INGT", "little")
MAC = 32


def frame(kind, payload, mac=b"\0" * MAC, length=None):
    return HEAD.pack(MAGIC, 1, kind, len(payload) if length is None else length) + payload + mac


def start_rank(bench, run, rank, port, secret, *more, ranks=2, stopped=False):
    """A rank of its own, or one that stands still before its first instruction."""
    environment = {**os.environ, "INGOT_RANK": str(rank), "INGOT_WORLD_SIZE": str(ranks), "INGOT_LOCAL_RANK": str(rank),
                   "INGOT_LOCAL_SIZE": str(ranks), "INGOT_COORDINATOR": f"127.0.0.1:{port}",
                   "INGOT_SECRET_FILE": str(secret), "OMP_NUM_THREADS": "1"}
    wrapper = ["sh", "-c", 'kill -STOP $$; exec "$@"', "sh"] if stopped else []
    return subprocess.Popen([*wrapper, bench.ingot, *command(bench, run), *more], cwd=bench.work, env=environment,
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def secret_file(bench):
    path = bench.work / "secret"
    path.touch(mode=0o600)
    path.write_bytes(os.urandom(32).hex().encode())
    return path


class Relay:
    """Between rank 1 and rank 0, to hear what rank 1 says."""

    def __init__(self, to):
        self.to, self.recorded = to, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.to), timeout=5)
            except OSError:
                near.close()
                continue
            said = bytearray()
            self.recorded.append(said)
            threading.Thread(target=self.pass_on, args=(near, far, said), daemon=True).start()

    @staticmethod
    def pass_on(near, far, said):
        while True:
            for sock in select.select([near, far], [], [])[0]:
                try:
                    data = sock.recv(65536)
                    (far if sock is near else near).sendall(data)
                except OSError:
                    data = b""
                if not data:
                    near.close()
                    far.close()
                    return
                if sock is near:
                    said += data
