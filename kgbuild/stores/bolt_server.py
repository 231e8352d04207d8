"""An embedded graph in, a Bolt address out: one process serves the database on loopback, any number ask it.

The server opens the database to write, since drivers commit the transactions in which they read; whoever comes over Bolt is a
user that may only read. Its password and address lie in a file that only the user can read; the file goes when the server
does. The engine opens an HTTP port too, on loopback and with the same password.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kgbuild.errors import StoreError
from kgbuild.stores.bolt import Address
from kgbuild.stores.embedded import DATABASE, engine, keep_log

__all__ = ["address", "serve", "serving"]

_HOST = "127.0.0.1"
_USER = "kgbuild"
_GROUP = {"access": [], "resultSetLimit": -1, "readTimeout": -1, "types": {"*": {"access": ["readRecord"]}}}


def address(path: Path) -> Address | None:
    """Read an address file; None when there is none, or its server runs no more."""
    try:
        found = Address(**json.loads(path.read_text(encoding="utf-8")))
        os.kill(found.pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        raise StoreError(f"{path} is another user's", advice="Only the user who runs `kgbuild serve` may read it.") from None
    except (ValueError, TypeError) as error:
        raise StoreError(f"{path} is not an address file: {error}", advice="Remove it, and start `kgbuild serve` again.") from error
    return found


def serve(folder: Path, address_path: Path, *, port: int = 7687, say: Callable[[str], None] = print) -> None:
    """Serve the database in a folder until the process is told to stop (Control-C, or SIGTERM).

    Args:
        port: Bolt port; 0 takes any that is free.

    Raises:
        StoreError: There is no database, another process has it open, the port is taken, or the graph is served already.
    """
    with serving(folder, address_path, port=port) as where, _stopped() as stop:
        say(f"Serving the graph at {where.uri} as user {where.user}, database {where.database}.")
        say(f"The password is in {address_path}. Stop with Control-C.")
        stop.wait()
    say("Stopped.")


@contextmanager
def serving(folder: Path, address_path: Path, *, port: int = 0) -> Iterator[Address]:
    """Serve the database in a folder for as long as the block runs.

    Raises:
        StoreError: As `serve`.
    """
    if not (folder / DATABASE / "schema.json").exists():
        raise StoreError(f"{folder} holds no graph database", advice="Run `kgbuild populate` to build the graph.")
    if running := address(address_path):
        raise StoreError(f"the graph is served already, at {running.uri} by process {running.pid}", advice="Use that, or stop it first.")
    where = Address(
        f"bolt://{_HOST}:{_free_port(port)}",
        _USER,
        DATABASE,
        os.environ.get("KGBUILD_SERVE_PASSWORD") or secrets.token_urlsafe(24),
        os.getpid(),
    )
    arcadedb = engine(folder)
    log = keep_log(folder)
    try:
        with tempfile.TemporaryDirectory(prefix="kgbuild-serve-") as root:
            server = _server(arcadedb, folder, Path(root), where)
            try:
                _write_address(address_path, where)
                yield where
            finally:
                with suppress(FileNotFoundError):
                    address_path.unlink()
                server.stop()
    finally:
        log.close()


def _server(arcadedb: Any, folder: Path, root: Path, where: Address) -> Any:
    """Start the engine's server with one database and one user, who may read it and nothing else."""
    settings = {
        "host": _HOST,
        "mode": "development",  # in production it does not say what is wrong with a query
        "http_port": str(_free_port(0)),
        "bolt_port": int(where.uri.rsplit(":", 1)[1]),
        "bolt_defaultDatabase": where.database,
        "server_plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "server_databaseDirectory": str(folder.absolute()),
        "server_databaseLoadAtStartup": False,
        "opencypher_loadCsv_allowFileUrls": False,
        "opencypher_loadCsv_allowRemoteUrls": False,
    }
    server = arcadedb.ArcadeDBServer(str(root), secrets.token_urlsafe(24), config=settings)  # nobody is told root's password
    try:
        server.start()
        _admit(server, where)
        server.get_database(where.database)
    except Exception as error:
        server.stop()
        raise StoreError(
            f"the graph in {folder} cannot be served: {str(error).splitlines()[0]}",
            advice="Is another kgbuild reading it? Let it finish first.",
        ) from error
    return server


def _admit(server: Any, where: Address) -> None:
    import jpype

    as_json = jpype.JClass("com.arcadedb.serializer.json.JSONObject")
    security = server._java_server.getSecurity()  # the package has no word for users and groups
    security.saveGroup(where.database, "reader", as_json(json.dumps(_GROUP)))
    user = {"name": where.user, "password": str(security.encodePassword(where.password)), "databases": {where.database: ["reader"]}}
    security.createUser(as_json(json.dumps(user)))


def _write_address(path: Path, where: Address) -> None:
    """Write the file under another name first, so that nobody reads half of it; it is the user's alone from the start."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        json.dump(asdict(where), handle, indent=1)
    aside.replace(path)


def _free_port(port: int) -> int:
    """Give the port back if nobody has it, and for 0 one that nobody has."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise StoreError(
                f"port {port} cannot be used: {error.strerror}", advice="Give another one: `kgbuild serve --port 0` takes any free port."
            ) from error
        return int(probe.getsockname()[1])


@contextmanager
def _stopped() -> Iterator[threading.Event]:
    """Give an event that Control-C and SIGTERM set; the Java machine would otherwise end the process before it is tidy."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
