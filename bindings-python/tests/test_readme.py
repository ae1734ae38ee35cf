"""The code in the README and in the tour runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "bindings-python" / "README.md", ROOT / "docs" / "tour.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs_in_its_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = re.findall(r"^```py(?:thon)?\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    assert found, "there is some"
    for code in found:
        exec(compile(code, str(page), "exec"), {"__name__": "__main__"})
