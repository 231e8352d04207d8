"""A version number comes in; a real Neo4j Community server on loopback goes out, without Docker.

Neo4j and its Browser are published as Java artifacts: Maven copies them once into `.cache/neo4j/<version>/lib`
(tests/neo4j_server/pom.xml), and the server is one Java process of our own with a home folder wherever the test wants it.

    with running("5.26.8", tmp_path / "home") as server:
        with server.driver() as driver:
            driver.execute_query("RETURN 1")
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

__all__ = ["QUICK_START", "VERSIONS", "Neo4jServer", "ServerMissing", "certificate", "make", "missing", "running"]

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("KGBUILD_NEO4J_CACHE") or ROOT / ".cache" / "neo4j")
POM = Path(__file__).resolve().parent / "neo4j_server" / "pom.xml"

# version -> its main class, the Java releases it runs on, and flags that Java needs
_RELEASES: dict[str, tuple[str, range, tuple[str, ...]]] = {
    "5.26.8": ("org.neo4j.server.CommunityEntryPoint", range(17, 22), ()),
    # without the opened packages its off-heap memory fails with "DirectByteBuffer is not available"
    "2026.08.1": (
        "org.neo4j.server.Neo4jCommunity",
        range(21, 100),
        tuple(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.nio", "java.io", "sun.nio.ch")),
    ),
}
VERSIONS = tuple(_RELEASES)
QUICK_START = ("-XX:TieredStopAtLevel=1",)  # up in 8 s rather than 12, and slower at long work: not where speed is measured
_SECONDS_TO_START = 120


class ServerMissing(Exception):
    """What this machine lacks for a Neo4j server; the message is the reason to give for a skipped test."""


@dataclass
class Neo4jServer:
    """One server: its home folder and ports stay the same when it is stopped, killed and started again."""

    version: str
    home: Path
    bolt_port: int
    http_port: int
    user: str = "neo4j"
    password: str = "kgbuild-tests"
    database: str = "neo4j"
    heap: str = "1g"
    java_options: tuple[str, ...] = ()
    tls: bool = False
    authority: Path | None = None  # with TLS: the certificate of the authority that signed the server's
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"localhost:{self.bolt_port}"

    @property
    def uri(self) -> str:
        return f"{'neo4j+ssc' if self.tls else 'neo4j'}://{self.address}"

    @property
    def http_uri(self) -> str:
        return f"http://localhost:{self.http_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that kgbuild and Aura's own file use."""
        return {
            "NEO4J_URI": self.uri,
            "NEO4J_USERNAME": self.user,
            "NEO4J_PASSWORD": self.password,
            "NEO4J_DATABASE": self.database,
        }

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def driver(self, uri: str = "", **configuration: Any) -> Any:
        """Open the official driver."""
        from neo4j import GraphDatabase

        return GraphDatabase.driver(uri or self.uri, auth=(self.user, self.password), **configuration)

    def start(self) -> None:
        """Start the server and wait until Bolt answers.

        Raises:
            RuntimeError: it ended or did not answer; the end of its log is in the message.
        """
        if self.pid:
            return
        main_class = _RELEASES[self.version][0]
        with (self.home / "logs" / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *_die_with_parent(),
                    *_java_command(self.version, self.home),
                    f"-Xmx{self.heap}",
                    "-XX:+UseSerialGC",  # the others start threads for each core, and tests share few
                    *self.java_options,
                    main_class,
                    f"--home-dir={self.home}",
                    f"--config-dir={self.home / 'conf'}",
                    "--console-mode",
                ],
                cwd=self.home,
                env=_environment(self.version, self.home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def stop(self) -> None:
        """Ask the server to end, and wait for it; does nothing where it does not run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End the server with SIGKILL, as a power failure would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def admin(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run what `neo4j-admin ARGUMENTS` runs, on this home folder.

        Raises:
            RuntimeError: it failed and `check` is on; its output is in the message.
        """
        command = [
            *_java_command(self.version, self.home),
            f"-Xmx{self.heap}",
            *self.java_options,
            "org.neo4j.cli.AdminTool",
            *map(str, arguments),
        ]
        done = subprocess.run(command, cwd=self.home, env=_environment(self.version, self.home), capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"neo4j-admin {arguments[:3]} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def admin_import(self, arguments: Iterable[str | Path], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `neo4j-admin database import full ARGUMENTS` against the stopped server."""
        if self.pid:
            raise RuntimeError("The server runs: stop() it before an offline import.")
        return self.admin("database", "import", "full", *arguments, check=check)

    def admin_script(self) -> Path:
        """Write bin/neo4j-admin, for scripts that call it from a folder of their own."""
        path = self.home / "bin" / "neo4j-admin"
        path.parent.mkdir(exist_ok=True)
        variables = {key: value for key, value in _environment(self.version, self.home).items() if key.startswith(("JAVA_", "NEO4J_"))}
        command = [*_java_command(self.version, self.home), "-Xmx1g", "org.neo4j.cli.AdminTool"]
        exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in variables.items())
        path.write_text(f'#!/bin/sh\n{exports}exec {shlex.join(command)} "$@"\n')
        path.chmod(0o755)
        return path

    def empty(self) -> None:
        """Remove every node, constraint and index of the database."""
        with self.driver() as driver, driver.session(database=self.database) as session:
            for row in session.run("SHOW CONSTRAINTS YIELD name RETURN name").data():
                session.run(f"DROP CONSTRAINT `{row['name']}`").consume()
            for row in session.run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name").data():
                session.run(f"DROP INDEX `{row['name']}`").consume()
            session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS").consume()

    def _wait(self) -> None:
        from neo4j.exceptions import DriverError, Neo4jError

        until = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"Neo4j {self.version} ended while it started.\n{self.log()}")
            try:
                with socket.create_connection(("127.0.0.1", self.bolt_port), timeout=1):
                    pass
                with self.driver() as driver:
                    driver.execute_query("RETURN 1", database_=self.database)
                return
            except (OSError, DriverError, Neo4jError):
                time.sleep(0.2)
        self.kill()
        raise RuntimeError(f"Neo4j {self.version} did not answer on {self.uri} within {_SECONDS_TO_START} s.\n{self.log()}")

    def log(self, characters: int = 4000) -> str:
        """Give the end of what the server printed."""
        return (self.home / "logs" / "console.log").read_text(errors="replace")[-characters:]


@contextmanager
def running(
    version: str, home: Path, *, settings: Iterable[str] = (), tls: bool = False, heap: str = "1g", java_options: tuple[str, ...] = ()
) -> Iterator[Neo4jServer]:
    """Make a server, run it, and kill it when the block ends, however it ends: stop() takes 5 to 10 s that tests need not wait."""
    server = make(version, home, settings=settings, tls=tls, heap=heap, java_options=java_options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def make(
    version: str, home: Path, *, settings: Iterable[str] = (), tls: bool = False, heap: str = "1g", java_options: tuple[str, ...] = ()
) -> Neo4jServer:
    """Make a home folder for a new server: configuration, password, with `tls` a certificate; does not start it.

    Args:
        settings: lines for neo4j.conf, `key=value`; they replace the lines here.
        tls: Bolt only with TLS (`server.bolt.tls_level=OPTIONAL` among the settings: with and without).
        heap: the most memory its Java may take.
        java_options: more flags for Java, such as QUICK_START.

    Raises:
        ServerMissing: Java or Maven is not there, or Maven cannot fetch the server.
    """
    assemble(version)
    bolt_port, http_port = _free_ports(2)
    home = home.resolve()
    for folder in ("conf", "data", "logs", "import", "run", "plugins", "licenses"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    server = Neo4jServer(
        version, home, bolt_port, http_port, heap=heap, java_options=java_options, tls=tls, authority=certificate(home) if tls else None
    )
    lines = _configuration(server) | dict(line.split("=", 1) for line in settings)
    (home / "conf" / "neo4j.conf").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    server.admin("dbms", "set-initial-password", server.password)
    return server


def missing(version: str) -> str | None:
    """Say what this machine lacks to run a version; None where nothing is missing."""
    try:
        assemble(version)
    except ServerMissing as error:
        return str(error)
    return None


def assemble(version: str) -> Path:
    """Give the folder with the server's jars; the first time Maven copies them there.

    It is made aside and renamed when whole, under a lock: processes that test side by side wait for one another.

    Raises:
        ServerMissing: Java or Maven is not there, or Maven cannot fetch the server.
    """
    java_home(version)
    library = CACHE / version / "lib"
    if library.is_dir():
        return library
    maven = shutil.which("mvn")
    if not maven:
        raise ServerMissing("no Maven (`mvn`) to assemble a Neo4j server with. On Debian or Ubuntu: apt install maven")
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{version}.lock"):
        if not library.is_dir():
            _copy_jars(maven, version, library)
    return library


def _copy_jars(maven: str, version: str, library: Path) -> None:
    building = library.with_name("lib.building")
    shutil.rmtree(building, ignore_errors=True)
    goal = [f"-Dneo4j.version={version}", f"-Dlib={building}", "dependency:copy-dependencies"]
    done = subprocess.run([maven, "-B", "-q", "-f", str(POM), *goal], capture_output=True, text=True)
    if done.returncode:
        first = next((line for line in done.stdout.splitlines() if "ERROR" in line), done.stdout[-300:] + done.stderr[-300:])
        raise ServerMissing(f"Maven could not fetch Neo4j {version}: {first.strip()}")
    building.rename(library)


@cache
def java_home(version: str) -> Path:
    """Find a Java that runs a version: JAVA_HOME, the PATH's, then what is installed under /usr/lib/jvm.

    Raises:
        ServerMissing: there is none.
    """
    releases = _RELEASES[version][1]
    found = {home: _java_release(home) for home in _java_homes()}
    fitting = [home for home, release in found.items() if release in releases]
    if not fitting:
        wanted = f"{releases.start} to {releases[-1]}" if releases[-1] < 99 else f"{releases.start} or later"
        seen = ", ".join(str(release) for release in sorted(set(found.values()))) or "none"
        raise ServerMissing(f"no Java {wanted} for Neo4j {version} (found: {seen}); set JAVA_HOME or install one")
    return fitting[0]


def _java_homes() -> list[Path]:
    named = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    on_path = [Path(java).resolve().parents[1] for java in [shutil.which("java")] if java]
    homes = [*named, *on_path, *sorted(Path("/usr/lib/jvm").glob("*"))]
    return [home for home in dict.fromkeys(homes) if (home / "bin" / "java").is_file()]


def _java_release(home: Path) -> int:
    said = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True).stderr
    number = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(number[1]) if number else 0


def _java_command(version: str, home: Path) -> list[str]:
    class_path = f"{home / 'plugins'}/*:{home / 'conf'}:{assemble(version)}/*"
    return [str(java_home(version) / "bin" / "java"), "-cp", class_path, f"-Dbasedir={home}", *_RELEASES[version][2]]


def _environment(version: str, home: Path) -> dict[str, str]:
    return os.environ | {"JAVA_HOME": str(java_home(version)), "NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}


def _die_with_parent() -> list[str]:
    # a test run that is itself killed must not leave servers behind
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _configuration(server: Neo4jServer) -> dict[str, str]:
    plain = {
        "server.default_listen_address": "127.0.0.1",
        "server.default_advertised_address": "localhost",
        "server.bolt.listen_address": f"127.0.0.1:{server.bolt_port}",
        "server.bolt.advertised_address": server.address,  # or the Browser and neo4j:// clients are sent to 7687
        "server.http.listen_address": f"127.0.0.1:{server.http_port}",
        "server.http.advertised_address": f"localhost:{server.http_port}",
        "server.https.enabled": "false",
        "dbms.usage_report.enabled": "false",
        "server.memory.pagecache.size": "256m",
        "db.tx_log.preallocate": "false",  # 256 MB for an empty database otherwise
        "dbms.security.auth_max_failed_attempts": "0",  # tests log in with wrong passwords
    }
    if not server.tls:
        return plain
    return plain | {
        "server.bolt.tls_level": "REQUIRED",
        "dbms.ssl.policy.bolt.enabled": "true",
        "dbms.ssl.policy.bolt.base_directory": "certificates",
        "dbms.ssl.policy.bolt.private_key": "private.key",
        "dbms.ssl.policy.bolt.public_certificate": "public.crt",
        "dbms.ssl.policy.bolt.client_auth": "NONE",
    }


def certificate(home: Path) -> Path:
    """Write a certificate for localhost and its key where the server looks for them; give its authority's."""
    import trustme
    from cryptography.hazmat.primitives import serialization

    folder = home / "certificates"
    folder.mkdir(exist_ok=True)
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8  # Neo4j reads no other form of elliptic keys
    (folder / "private.key").write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    (folder / "public.crt").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "ca.pem"


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports
