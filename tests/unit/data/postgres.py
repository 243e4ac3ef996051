"""A real PostgreSQL server for tests; they are skipped, with the reason, where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from adbc_driver_postgresql import dbapi

from sumwise.demo.postgres import available, private_server


@dataclass(frozen=True)
class Server:
    """uri: of its owner, password and all."""

    uri: str

    def run(self, *statements: str) -> None:
        """Statements that give nothing back, each one committed."""
        with dbapi.connect(self.uri, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def fill(self, name: str, table: object) -> None:
        """A table of the rows of an Arrow table."""
        with dbapi.connect(self.uri) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(name, table, mode="replace")
            connection.commit()


@pytest.fixture(scope="session", name="postgres")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests."""
    if not available():
        pytest.skip("PostgreSQL's server programs, or its user, are not on this machine: apt install postgresql")
    with private_server(tmp_path_factory.mktemp("postgresql")) as uri:
        yield Server(uri)
