"""optuna-dashboard on our store, on anybody's database, or on a journal."""

from __future__ import annotations

import errno
import socket

from rich.console import Console
from rich.text import Text

from hpsearch.errors import InputError
from hpsearch.sources import Source


def serve(source: Source, host: str, port: int, console: Console) -> None:
    """Serve the dashboard until Ctrl-C, having said where.

    Nothing but what a person changes on its pages is written there. Raises InputError if the source
    holds no study, or nothing can listen at `host`:`port`.
    """
    source.find([])
    _check_free(host, port)
    from optuna_dashboard import run_server

    shown = f"[{host}]" if ":" in host else host
    where = f"The dashboard of {source.shown} is at http://{shown}:{port} (Ctrl-C ends it)"
    console.print(Text(where), soft_wrap=True)
    run_server(source.storage, host=host, port=port)
    # The server swallows Ctrl-C, the only thing that ends it.
    raise KeyboardInterrupt


def _check_free(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise InputError(f"--port {port} is not possible: give a number from 1 to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
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
