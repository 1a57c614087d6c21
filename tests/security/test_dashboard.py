"""The dashboard answers to whom it is meant for: real requests to the real server."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import optuna
import pytest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def store(tmp_path):
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/s.db")
    study = optuna.create_study(storage=storage, study_name="mine")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    storage.engine.dispose()
    return f"sqlite:///{tmp_path}/s.db"


@contextmanager
def dashboard(store, *options):
    """(the port, the lines that were printed) of a running dashboard."""
    port = free_port()
    command = [sys.executable, "-m", "hpsearch", "dashboard", "--storage", store]
    server = subprocess.Popen(
        [*command, "--port", str(port), *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    said = []
    try:
        deadline = time.monotonic() + 60
        while not said or not answers(port):
            if not said:
                said.append(server.stdout.readline())
            assert time.monotonic() < deadline
            assert server.poll() is None, said + server.stdout.readlines()
        yield port, said
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 130
        said.extend(server.stdout.readlines())
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def answers(port):
    time.sleep(0.1)
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(port, method, path, host=None, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    if host is not None:
        headers["Host"] = host
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    found = response.status, response.read().decode()
    connection.close()
    return found


def studies(port):
    listed = json.loads(ask(port, "GET", "/api/studies")[1])
    return {one["study_name"]: one["study_id"] for one in listed["study_summaries"]}


def test_a_name_that_is_not_ours_gets_nothing(store):
    with dashboard(store, "--allow-host", "lab.example", "--allow-host", "b") as (port, said):
        for host in (
            f"127.0.0.1:{port}",
            f"localhost:{port}",
            f"LOCALHOST:{port}",
            f"[::1]:{port}",
            "lab.example:80",
            "B",
        ):
            assert ask(port, "GET", "/api/studies", host)[0] == 200
        for host in (
            f"evil.example:{port}", "evil.example", f"localhost.evil.example:{port}", "",
            f"evil.example:{port}@127.0.0.1", "192.168.1.5", "127.0.0.1.evil.example", "[",
        ):  # fmt: skip
            status, body = ask(port, "GET", "/api/studies", host)
            assert status == 403, host
            assert "mine" not in body
            assert "--allow-host" in body
            assert ask(port, "DELETE", f"/api/studies/{studies(port)['mine']}", host)[0] == 403
        assert studies(port) == {"mine": studies(port)["mine"]}
    assert len(said) == 1  # nothing is said of a dashboard that only this machine reaches


def says_what_others_reach(port, said):
    """The one line about other machines."""
    (warning,) = [line for line in said if f"Whoever reaches port {port}" in line]
    return warning


def test_a_page_of_another_site_changes_nothing(store):
    with dashboard(store, "--host", "0.0.0.0") as (port, said):
        assert ask(port, "GET", "/api/studies", f"192.168.1.5:{port}")[0] == 200
        assert ask(port, "GET", "/api/studies", f"evil.example:{port}")[0] == 403
        study = f"/api/studies/{studies(port)['mine']}"
        new = {"study_name": "theirs", "directions": ["minimize"]}
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": f"http://127.0.0.1:{port + 1}"},
            {"Origin": f"http://127.0.0.1:{port}.evil.example"},
            {"Referer": "http://evil.example/page"},
            {"Origin": "http://["},
        ):
            assert ask(port, "DELETE", study, **headers)[0] == 403
            assert ask(port, "POST", "/api/studies", body=new, **headers)[0] == 403
        assert list(studies(port)) == ["mine"]
        own = {"Origin": f"http://127.0.0.1:{port}"}
        assert ask(port, "POST", "/api/studies", body=new, **own)[0] == 201
        assert sorted(studies(port)) == ["mine", "theirs"]
        assert ask(port, "DELETE", f"/api/studies/{studies(port)['theirs']}")[0] == 204
    assert "delete" in says_what_others_reach(port, said)


def test_a_dashboard_to_look_at_changes_nothing(store, tmp_path):
    before = (tmp_path / "s.db").read_bytes()
    with dashboard(store, "--read-only", "--host", "0.0.0.0") as (port, said):
        study = f"/api/studies/{studies(port)['mine']}"
        assert ask(port, "GET", study)[0] == 200
        assert ask(port, "GET", f"{study}/param_importances")[0] == 200
        assert ask(port, "GET", "/dashboard")[0] == 200
        for method, path, body in (
            ("DELETE", study, None),
            ("POST", "/api/studies", {"study_name": "new", "directions": ["minimize"]}),
            ("POST", f"{study}/rename", {"study_name": "renamed"}),
            ("PUT", f"{study}/note", {"body": "text", "version": 1}),
            ("PATCH", study, None),
        ):
            status, sentence = ask(port, method, path, body=body)
            assert status == 403
            assert "--read-only" in sentence
        assert list(studies(port)) == ["mine"]
    assert (tmp_path / "s.db").read_bytes() == before
    assert "delete" not in says_what_others_reach(port, said)
