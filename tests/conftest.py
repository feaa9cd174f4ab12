"""Fixtures every tier shares: a fresh storage root, the real data where it is at hand, one Ray for a test session."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from cluster.runtime import export_environment, ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from tests.postgresql import postgresql_server

REPOSITORY = Path(__file__).resolve().parent.parent
export_environment()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation of its own under the test's folder."""
    monkeypatch.setenv("SHOPREEL_HOME", str(tmp_path / "shopreel"))
    for name in ("SHOPREEL_TRACKING_URI", "SHOPREEL_EVENT_STORE", "SHOPREEL_PSEUDONYM_KEY", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return Settings.load()


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return Storage(settings.storage_root)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a PostgreSQL server; the test is skipped where none can be started."""
    with postgresql_server() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed here")
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    return request.getfixturevalue("database_url_postgresql")


@pytest.fixture
def database_url_postgresql(postgresql: str) -> str:
    """An empty schema of the PostgreSQL server."""
    schema = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(postgresql)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    engine.dispose()
    return f"{postgresql}&options=-csearch_path%3D{schema}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photos, clips and viewing logs, `$SHOPREEL_DATA` or `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("SHOPREEL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder}; set SHOPREEL_DATA to their folder")
    return folder


@pytest.fixture(scope="module")
def ray_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ray with two logical CPUs for one test module; every listener stays on loopback."""
    root = str(tmp_path_factory.mktemp("ray-home"))
    with ray_session(Settings.load({"SHOPREEL_HOME": root}), num_cpus=2):
        yield
