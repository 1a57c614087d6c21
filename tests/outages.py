"""Servers to restart and a network to cut: of this test's own, so that nobody else is disturbed."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import sqlalchemy as sa


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(url):
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with contextlib.suppress(sa.exc.DBAPIError), engine.connect():
        return True
    return False


class Server:
    """A database server with its files in a temporary folder, until the block ends."""

    program: list[str]
    owner: str
    url: str

    def __init__(self, *options):
        """`options` are more arguments of the server's program."""
        self.options = options

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hpsearch-server-"))
        shutil.chown(self.folder, self.owner)
        self.port = free_port()
        self.log = (self.folder / "log").open("wb")
        self.make()
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, *command):
        subprocess.run(command, user=self.owner, check=True, stdout=self.log, stderr=self.log)

    def start(self):
        self.process = subprocess.Popen(
            [*self.program, *self.options],
            user=self.owner,
            stdout=self.log,
            stderr=self.log,
            cwd=self.folder,
        )
        deadline = time.monotonic() + 60
        while not answers(self.url):
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)

    def stop(self):
        self.process.send_signal(self.stop_signal)
        self.process.wait(60)


class Postgres(Server):
    owner = "postgres"
    stop_signal = 2  # "fast": what is connected is cut off

    def make(self):
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        data = self.folder / "data"
        self.call(
            programs / "initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", data
        )
        self.program = [
            str(programs / "postgres"), "-D", str(data), "-p", str(self.port),
            "-k", str(self.folder),
        ]  # fmt: skip
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"


class MariaDB(Server):
    owner = "mysql"
    stop_signal = 15

    def make(self):
        data = self.folder / "data"
        self.call(
            "mariadb-install-db", "--no-defaults", f"--datadir={data}",
            "--auth-root-authentication-method=normal", "--skip-test-db",
        )  # fmt: skip
        self.program = [
            "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={data}", f"--port={self.port}",
            f"--socket={self.folder / 'socket'}", "--bind-address=127.0.0.1",
            f"--pid-file={self.folder / 'pid'}",
        ]  # fmt: skip
        self.url = f"mysql+pymysql://root@127.0.0.1:{self.port}/mysql"


class Network:
    """A way to `port` that can be cut: what is sent meanwhile arrives only after it."""

    def __init__(self, port):
        self._target = port
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts = 0

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._open.set()
        self._listener.close()

    def cut(self, seconds):
        self._open.clear()
        time.sleep(seconds)
        self.cuts += 1
        self._open.set()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.wait()
                far = socket.create_connection(("127.0.0.1", self._target))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._open.wait()
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
