"""A server's address comes from the environment by Aura's names, and its password from nowhere else."""

from __future__ import annotations

import pytest

from kgbuild.errors import UsageError
from kgbuild.stores.bolt import Address, address_of

AURA = {"NEO4J_URI": "neo4j+s://1234.databases.neo4j.io", "NEO4J_USERNAME": "ada", "NEO4J_PASSWORD": "secret", "NEO4J_DATABASE": "kg"}


def test_auras_own_file_is_enough() -> None:
    assert address_of("neo4j", environment=AURA) == Address("neo4j+s://1234.databases.neo4j.io", "ada", "kg", "secret")


def test_an_address_that_is_given_wins_and_the_rest_has_defaults() -> None:
    found = address_of("bolt://localhost:7687", environment={"NEO4J_URI": "neo4j://other", "NEO4J_PASSWORD": "secret"})
    assert found == Address("bolt://localhost:7687", "neo4j", None, "secret")


def test_a_person_is_asked_for_the_password_where_the_environment_has_none() -> None:
    asked: list[str] = []
    found = address_of("neo4j://here", ask=lambda question: asked.append(question) or "typed", environment={})
    assert (found.password, asked) == ("typed", ["Password of neo4j at neo4j://here: "])


@pytest.mark.parametrize(
    ("uri", "environment", "message"),
    [
        ("neo4j", {}, "NEO4J_URI is not set"),
        ("neo4j://here", {}, "no password for neo4j at neo4j://here"),
        ("http://here:7474", AURA, "'http://here:7474' is no address of a Neo4j server"),
        ("localhost:7687", AURA, "is no address"),
        ("neo4j://", AURA, "is no address"),
    ],
)
def test_what_is_no_address_is_refused(uri: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        address_of(uri, environment=environment)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(UsageError, match="holds a user name or password") as refused:
        address_of("neo4j://ada:hunter2@here", environment=AURA)
    assert "hunter2" not in str(refused.value)
    assert "secret" not in repr(address_of("neo4j", environment=AURA)) + str(address_of("neo4j", environment=AURA))
