from collections.abc import Iterator
from pathlib import Path

import pytest

import kitedb


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "social.kitedb"


@pytest.fixture
def db(path: Path) -> Iterator[kitedb.Database]:
    with kitedb.open(path) as db:
        yield db
