"""A Bolt address in, answers to Cypher out, through the official driver: what a served embedded graph and Neo4j have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from kgbuild.errors import QueryError, StoreError, UsageError
from kgbuild.stores import Counts, read_counts

__all__ = ["SCHEMES", "Address", "BoltStore", "address_of"]

SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")


@dataclass(frozen=True)
class Address:
    """Where a graph is served, and what to say there; `pid` is the server's process, 0 for one that somebody else runs."""

    uri: str
    user: str
    database: str | None  # None: the user's home database
    password: str = field(repr=False)
    pid: int = 0

    def __str__(self) -> str:
        return f"{self.uri}, database {self.database}" if self.database else self.uri


def address_of(uri: str, *, ask: Callable[[str], str] | None = None, environment: Mapping[str, str] = os.environ) -> Address:
    """Complete a server's address from the environment, by the names of Aura's own file.

    `NEO4J_URI` where `uri` is "neo4j", `NEO4J_USERNAME` (default: neo4j), `NEO4J_PASSWORD` and `NEO4J_DATABASE` (default: the
    user's home database).

    Args:
        ask: Asks a person for the password where the environment has none; None where nobody can be asked.

    Raises:
        UsageError: The address is none, holds a password, or there is no password.
    """
    uri = environment.get("NEO4J_URI", "") if uri == "neo4j" else uri
    if not uri:
        raise UsageError("no address: NEO4J_URI is not set", advice="Set it, or give the address, e.g. neo4j://localhost:7687.")
    parts = urlsplit(uri)
    if parts.username or parts.password:
        raise UsageError(
            "the address holds a user name or password",
            advice="Put them into NEO4J_USERNAME and NEO4J_PASSWORD: an address is shown and logged.",
        )
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise UsageError(
            f"{uri!r} is no address of a Neo4j server", advice=f"Expected HOST:PORT after one of {', '.join(f'{s}://' for s in SCHEMES)}."
        )
    user = environment.get("NEO4J_USERNAME") or "neo4j"
    password = environment.get("NEO4J_PASSWORD") or (ask(f"Password of {user} at {uri}: ") if ask else "")
    if not password:
        raise UsageError(
            f"no password for {user} at {uri}", advice="Set NEO4J_PASSWORD in the environment; it is never taken as an argument."
        )
    return Address(uri, user, environment.get("NEO4J_DATABASE") or None, password)


class BoltStore:
    """A graph behind Bolt, asked through the official driver."""

    def __init__(self, driver: Any, where: Address) -> None:
        self._driver = driver
        self.where = where

    @classmethod
    def connect(cls, where: Address) -> Self:
        """Connect to a server that answers and lets the user in.

        Raises:
            StoreError: Nobody answers there, the certificate is not trusted, or the password is wrong.
        """
        return cls(_driver(where), where)

    def query(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Answer a query that only reads.

        Raises:
            QueryError: The server does not understand it, a parameter is missing, or it would write.
            StoreError: The server is gone.
        """
        import neo4j
        from neo4j.exceptions import DriverError, Neo4jError

        try:
            answer = self._driver.execute_query(
                cypher, dict(parameters or {}), database_=self.where.database, routing_=neo4j.RoutingControl.READ
            )
        except Neo4jError as error:
            forbidden = (error.code or "").endswith(("Forbidden", "AccessMode"))
            advice = "Queries only read; `kgbuild populate` makes the graph." if forbidden else ""
            raise QueryError(f"the query was refused: {error.message or error}", advice=advice) from error
        except DriverError as error:
            raise StoreError(f"{self.where.uri} does not answer: {error}", advice="Is the server still running?") from error
        return [{key: _plain(value) for key, value in record.items()} for record in answer.records]

    def counts(self) -> Counts:
        """Count nodes by label and edges by type, as the database holds them now."""
        return read_counts(self)

    def close(self) -> None:
        """Close the connections."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _driver(where: Address) -> Any:
    import logging

    import neo4j
    from neo4j.exceptions import AuthError, ConfigurationError, DriverError, Neo4jError

    logging.getLogger("neo4j").addHandler(logging.NullHandler())  # it would tell of every retry on the screen
    try:
        driver = neo4j.GraphDatabase.driver(
            where.uri,
            auth=(where.user, where.password),
            user_agent="kgbuild",
            notifications_min_severity="OFF",
            max_transaction_retry_time=60,
        )
    except (ConfigurationError, ValueError) as error:
        raise StoreError(f"{where.uri} is no address that the driver takes: {error}") from error
    try:
        driver.verify_connectivity()
        with driver.session(database=where.database) as session:
            session.run("RETURN 1").consume()
    except (DriverError, Neo4jError) as error:
        driver.close()
        advice = "Check NEO4J_USERNAME and NEO4J_PASSWORD." if isinstance(error, AuthError) else _ADVICE
        raise StoreError(f"{where.uri} does not let {where.user} in: {error}", advice=advice) from error
    return driver


_ADVICE = (
    "Is the server running, and is this its Bolt port? Encryption goes by the address: neo4j+s:// wants a certificate whose authority this "
    "machine trusts (SSL_CERT_FILE names one of your own), neo4j+ssc:// takes any certificate, neo4j:// none."
)


def _plain(value: Any) -> Any:
    """Turn what the driver gives (nodes, relationships, paths, dates) into scalars, lists and maps."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each) for each in value]
    if hasattr(value, "nodes") and hasattr(value, "relationships"):  # a path
        return [_plain(each) for pair in zip(value.nodes, [*value.relationships, None], strict=True) for each in pair if each is not None]
    if hasattr(value, "items"):  # a node or a relationship
        return {str(key): _plain(each) for key, each in value.items()}
    return str(value)
