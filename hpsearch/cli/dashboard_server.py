"""optuna-dashboard on our store, on anybody's database, or on a journal."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from hpsearch.core.console import say
from hpsearch.errors import InputError
from hpsearch.extras import require
from hpsearch.store.sources import Source

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
READ_METHODS = ("GET", "HEAD")
IDLE_TIMEOUT_S = 30.0
"""How long a connection may say nothing: browsers open some in advance, served in turn."""
HEADERS = [
    ("X-Frame-Options", "SAMEORIGIN"),  # no other page may show ours and steer the clicks on it
    ("Cross-Origin-Resource-Policy", "same-origin"),
]


def serve(
    source: Source,
    host: str,
    port: int,
    console: Console,
    *,
    allow_hosts: Sequence[str] = (),
    read_only: bool = False,
) -> None:
    """Print the dashboard's address, then serve the dashboard until Ctrl-C.

    It answers only requests to this machine under a name of LOCAL_HOSTS, `host` or `allow_hosts`.
    It writes only what a person changes on its pages; with `read_only` it writes nothing. Raises
    InputError if the source holds no study, or nothing can listen at `host`:`port`.
    """
    require("optuna_dashboard")
    source.find([])
    addresses = _check_port(host, port)
    from optuna_dashboard import wsgi

    shown = f"[{host}]" if ":" in host else host
    where = f"The dashboard of {source.shown} is at http://{shown}:{port} (Ctrl-C ends it)"
    say(console, where)
    reachable = not all(address.is_loopback for address in addresses)
    if reachable:
        can = "see these studies" if read_only else "see, change and delete these studies"
        more = "" if read_only else " (--read-only lets nobody change them)"
        warning = f"Whoever reaches port {port} of this machine can {can}{more}."
        say(console, warning, style="yellow")
    hosts = {name.lower() for name in (*LOCAL_HOSTS, host, *allow_hosts)}
    if reachable:
        hosts.add(socket.gethostname().lower())
    app = wsgi(source.storage)
    checked = with_checks(app, hosts, any_address=reachable, read_only=read_only)
    listen(checked, host, port)


def with_checks(app: WSGIApp, hosts: set[str], *, any_address: bool, read_only: bool) -> WSGIApp:
    """`app`, but it refuses requests that a page of another site sends through a browser.

    Another site may make its own name point at this machine (DNS rebinding): then the header Host
    holds that name. Or its page posts to us: then Origin or Referer holds that site. `any_address`
    allows any numeric address as Host, because DNS rebinding needs a name.
    """

    def answer(environ: Environ, start: StartResponse) -> Iterable[bytes]:
        refusal = _refusal(environ, hosts, any_address=any_address, read_only=read_only)
        if refusal is not None:
            status, sentence = refusal
            body = f"{sentence}\n".encode()
            kind = ("Content-Type", "text/plain; charset=utf-8")
            start(status, [kind, ("Content-Length", str(len(body))), *HEADERS])
            return [body]

        def begin(status: str, headers: list[tuple[str, str]], *more: object) -> object:
            return start(status, [*headers, *HEADERS], *more)

        return app(environ, begin)

    return answer


def _refusal(
    environ: Environ, hosts: set[str], *, any_address: bool, read_only: bool
) -> tuple[str, str] | None:
    """(the status, the sentence) by which a request is refused; None if it is not."""
    host = environ.get("HTTP_HOST", "").lower()
    name = _host_name(host)
    if name not in hosts and not (any_address and _is_address(name)):
        return "403 Forbidden", (
            "This dashboard does not answer to that name of its machine: start it with"
            " hpsearch dashboard --allow-host NAME."
        )
    if environ["REQUEST_METHOD"] in READ_METHODS:
        return None
    if read_only:
        return "403 Forbidden", (
            "This dashboard changes nothing: it was started with hpsearch dashboard --read-only."
        )
    origin = environ.get("HTTP_ORIGIN") or environ.get("HTTP_REFERER")
    if origin is not None and _netloc(origin) != host:
        return "403 Forbidden", "A page of another site may change nothing in this dashboard."
    return None


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_name(host: str) -> str:
    """The header Host without the port and the brackets of an address."""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return ""
    return "" if parts.netloc != host or "@" in host else (parts.hostname or "").removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def listen(app: WSGIApp, host: str, port: int) -> None:
    """Answer requests until Ctrl-C, which is raised."""
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Handler(WSGIRequestHandler):
        timeout = IDLE_TIMEOUT_S

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a line for every picture of every page hides what matters."""

        def address_string(self) -> str:
            return str(self.client_address[0])  # looking up a name would ask a name server

    class Server(WSGIServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    with make_server(host, port, app, Server, Handler) as server:
        # A request that is being answered would swallow Ctrl-C, so this thread answers none.
        answering = threading.Thread(target=server.serve_forever, daemon=True)
        answering.start()
        answering.join()


def _check_port(host: str, port: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses that `host` stands for."""
    if not 1 <= port <= 65535:
        raise InputError(f"--port {port} is not possible: give a number from 1 to 65535.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except UnicodeError as error:
        raise InputError(f"--host {host!r} is not the name of a machine.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"Port {port} of {host} is taken: end what uses it, "
                f"or give another, such as --port {port % 65535 + 1}."
            ) from error
        reason = error.strerror or error
        raise InputError(f"Nothing can listen at {host}:{port}: {reason}.") from error
    return [ipaddress.ip_address(str(one[4][0]).split("%")[0]) for one in found]
