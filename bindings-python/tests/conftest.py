import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import kitedb

# Whoever started this in the background may have had it ignored, by this process and those that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "social.kitedb"


@pytest.fixture
def db(path: Path) -> Iterator[kitedb.Database]:
    with kitedb.open(path) as db:
        yield db
