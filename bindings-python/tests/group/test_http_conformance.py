"""The cases of ``tests/http-conformance/``: asked over HTTP of everything that answers the endpoints of replication.

``scripts/test-group.sh`` builds what it wants: ``KITEDB_COMMAND`` is the command, ``KITEDB_ROUTER`` the example ``router`` of
``kitedb-http``, and ``ts`` has its templates compiled.
"""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_databases import Scene
from http_patterns import ABSENT, filled, unlike
from http_targets import AUTH, PLACE, Answer, Server, Target, targets

Json = Any

TARGETS = targets()
# What an answer is expected to be.
EXPECTED = ("status", "code", "error", "headers", "body", "text", "hides")
# So often an answer is asked for again that comes once a follower has got there.
TRIES = 1_000


def cases() -> list[tuple[str, Json, str | None]]:
    """Each case with its name, and once for each of the routes that it is for."""
    found = []
    for file in sorted((PLACE / "cases").glob("*.json")):
        read = json.loads(file.read_text())
        for case in read["cases"]:
            name = f"{read['subject']}: {case['name']}"
            found += [(name, case, each) for each in case.get("each", [None])]
    return found


def why_not(target: Target, name: str, case: Json, each: str | None) -> str | None:
    """Why a target does not run a case."""
    for differs in target.differs:
        if differs["case"] == name and differs.get("left_out", False):
            return str(differs["why"])
    asked = {each} | {step["ask"].split()[1] for step in case["steps"] if "ask" in step}
    reasons = (target.routes[route]["none"] for route in sorted(filter(None, asked)) if "none" in target.routes.get(route, {}))
    return next(reasons, None)


def runs() -> list[Any]:
    every = itertools.product(TARGETS, cases())
    wanted = [(target, *case) for target, case in every if why_not(target, *case) is None]
    # By target: of one the servers are up together.
    return [pytest.param(*run, id="-".join(filter(None, (run[0].name, run[1], run[3])))) for run in wanted]


class Servers:
    """Those that are up, with what they serve. Cases that change nothing share one for each database and way to admit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.up: dict[str, tuple[Scene, Server]] = {}

    def of(self, target: Target, case: Json) -> tuple[Scene, Server]:
        key = json.dumps([target.name, case["database"], case["auth"]])
        if key not in self.up:
            self.up[key] = self.start(target, case)
        return self.up[key]

    def start(self, target: Target, case: Json) -> tuple[Scene, Server]:
        folder = self.folder / str(sum(1 for _ in self.folder.iterdir()))
        scene = Scene(folder, case["database"])
        return scene, target.start(scene.path, scene.role, case["auth"], folder / "log")

    def stop(self) -> None:
        for _, server in self.up.values():
            server.stop()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("http"))
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def ran() -> set[tuple[str, str, str | None]]:
    """What ran, to its end."""
    return set()


def amiss(step: Json, answer: Answer, names: dict[str, Json]) -> str | None:
    """How an answer is not what a step expects, or not what every answer is to be."""
    body: Json = answer.body if answer.body is not None else ABSENT
    if answer.status != step["status"]:
        return f"the status is {answer.status}, and not {step['status']}"
    if answer.headers.get("cache-control") != "no-store":
        return "it may be stored"
    if answer.status >= 400:
        failed = {"success": False, "error": {"$type": "text"}, "code": step["code"], "kind": {"$type": "text"}}
        if what := unlike(failed, body):
            return what
        if step.get("error", "") not in body["error"] or not body["error"]:
            return f"the error does not say what it is to: {body['error']!r}"
    found = {name: answer.headers.get(name, ABSENT) for name in step.get("headers", {})}
    if what := unlike(step.get("headers", {}), found, "the headers"):
        return what
    if "body" in step and (what := unlike(filled(step["body"], names), body)):
        return what
    for pattern in step.get("text", []):
        if not re.search(pattern, answer.text, re.MULTILINE):
            return f"no line is {pattern}"
    shown = (name for name in step.get("hides", []) if filled(name, names) in answer.text)
    return next((f"it shows {name}" for name in shown), None)


class Run:
    """A case that one target runs."""

    def __init__(self, target: Target, name: str, case: Json, each: str | None, scene: Scene, server: Server) -> None:
        self.target, self.name, self.case, self.each, self.scene, self.server = target, name, case, each, scene, server
        self.names: dict[str, Json] = {"folder": str(scene.folder)}

    def step(self, step: Json) -> None:
        if "do" in step:
            self.scene.do(step, self.names)
            return
        route = step["ask"].split()[1]
        route = self.each if route == "$each" and self.each is not None else route
        asked = {**step, "query": filled(step.get("query", {}), self.names)}
        differs = self.difference(step)
        expected = step
        if differs is not None:
            expected = {**{name: value for name, value in step.items() if name not in EXPECTED}, **differs["expect"]}
        answer = self.target.ask(self.server, self.case["auth"], asked, route)
        for _ in range(TRIES):
            if not self.is_to_be_asked_again(expected, answer):
                break
            answer = self.target.ask(self.server, self.case["auth"], asked, route)
        what = amiss(expected, answer, self.names)
        assert what is None, f"{what}\n{answer.status} {answer.headers}\n{answer.text[:2000]}"
        if differs is not None and not differs.get("sometimes", False):
            assert amiss(step, answer, self.names) is not None, f"it does not differ any more: {differs}"
        for name, members in step.get("keep", {}).items():
            kept = answer.body
            for member in members:
                kept = kept[member]
            self.names[name] = kept

    def difference(self, step: Json) -> Json | None:
        """In what a target differs from what a step expects."""
        named = step.get("name")
        of_step = (d for d in self.target.differs if d["case"] == self.name and named in d.get("steps", []))
        return next(of_step, None) if named is not None else None

    def is_to_be_asked_again(self, step: Json, answer: Answer) -> bool:
        """Whether this is not there yet: a follower may be on its way, and the answer is one of a success until it is."""
        if "until_status" in step:
            return answer.status == 200 and step["until_status"] != 200
        return "until" in step and answer.status == 200 and unlike(step["until"], answer.body) is not None


@pytest.mark.parametrize(("target", "name", "case", "each"), runs())
def test_case(
    target: Target, name: str, case: Json, each: str | None, servers: Servers, ran: set[tuple[str, str, str | None]]
) -> None:
    alone = case.get("alone", False)
    scene, server = servers.start(target, case) if alone else servers.of(target, case)
    try:
        run = Run(target, name, case, each, scene, server)
        for nth, step in enumerate(case["steps"], 1):
            try:
                run.step(step)
            except BaseException as error:
                error.add_note(f"in step {nth}, {json.dumps(step)[:300]}")
                raise
    finally:
        if alone:
            server.stop()
            scene.close()
    ran.add((target.name, name, each))


def test_each_case_ran_on_each_target_that_states_no_reason(ran: set[tuple[str, str, str | None]]) -> None:
    every = {(target.name, name, each): why_not(target, name, case, each) for target in TARGETS for name, case, each in cases()}
    assert len(TARGETS) == 5 and len(every) >= 5 * 63
    assert ran == {run for run, why in every.items() if why is None}


def test_the_mapping_states_differences_that_there_are_with_their_reasons() -> None:
    names = {name: case for name, case, _ in cases()}
    logical = {"status", "metrics", "snapshot", "log", "transport_snapshot", "transport_log", "pull", "reseed", "promote"}
    for target in TARGETS:
        assert target.routes.keys() == logical
        for differs in target.differs:
            assert len(differs["why"]) > 20, differs
            steps = {step.get("name") for step in names[differs["case"]]["steps"]}
            assert differs.get("left_out", False) or set(differs["steps"]) <= steps, differs
            assert differs.keys() <= {"case", "steps", "expect", "why", "left_out", "sometimes"}
        for route in target.routes.values():
            assert len(route.get("none", "a reason is not needed")) > 20


def test_the_cases_say_what_the_runner_reads() -> None:
    known = {"name", "ask", "do", "shows", "query", "json", "raw", "blanks", "headers_sent", "keep", "until", "until_status"}
    for name, case, _ in cases():
        assert case.keys() <= {"name", "database", "auth", "each", "alone", "steps"}, name
        assert case["auth"] in AUTH
        for step in case["steps"]:
            assert "do" in step or step.keys() <= known | set(EXPECTED), f"{name}: {step}"
            assert "do" in step or ("code" in step) == (step["status"] >= 400), f"{name}: {step}"
            changes = "do" in step and step["do"] != "open the copy"
            assert case.get("alone", False) or not changes, f"{name} changes what others see"


def test_what_differs_is_told_apart() -> None:
    """Of the runner: what would let a case pass whatever is answered."""
    unequal: list[tuple[Json, Json]] = [
        (1, True),
        (1, 1.0),
        (0, None),
        (None, ABSENT),
        ([], None),
        ([1, 2], [2, 1]),
        ([{}], []),
        ({"a": 1}, {"b": 1}),
        ({"a": {"b": 1}}, {"a": None}),
        ({"$any": True}, None),
        ({"$absent": True}, None),
        ({"$begins": "a"}, "ba"),
        ({"$contains": "a"}, ["a"]),
        ({"$at_least": 1}, True),
        ({"$type": "number"}, "1"),
    ]
    for wanted, found in unequal:
        assert unlike(wanted, found) is not None, (wanted, found)
    assert unlike({"a": [1, {"$any": True}], "b": {"$absent": True}}, {"a": [1, 2], "c": 3}) is None
    headers = {"cache-control": "no-store"}
    failed = {"success": False, "error": "no", "code": "X", "kind": "input"}
    step = {"status": 409, "code": "X"}
    assert amiss(step, Answer(409, headers, "", failed), {}) is None
    assert amiss({**step, "error": "yes"}, Answer(409, headers, "", failed), {}) is not None
    wrong = [{**failed, **one} for one in ({"success": True}, {"code": "Y"}, {"error": ""}, {"kind": None})]
    answers = [Answer(400, headers, "", failed), Answer(409, {}, "", failed)]
    for answer in answers + [Answer(409, headers, "", body) for body in [None, *wrong]]:
        assert amiss(step, answer, {}) is not None, answer
    assert amiss({"status": 200, "hides": ["$folder"]}, Answer(200, headers, "in /here", {}), {"folder": "/here"}) is not None
    assert amiss({"status": 200, "text": ["^a$"]}, Answer(200, headers, "b\naa\n", None), {}) is not None
