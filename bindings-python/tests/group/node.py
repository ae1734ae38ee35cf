"""A node of a group, told what to do by lines of JSON: a method of its database with arguments."""

import json
import sys
from typing import Any

import kitedb

path, options = sys.argv[1:]
db = kitedb.open(path, **json.loads(options))


def load(prefix: str, times: int) -> str | None:
    """Commits everything that a graph can hold, and some of it again. Returns the last token."""
    token: str | None = None
    for n in range(times):
        with db.transaction() as tx:
            node = tx.create_node(
                f"{prefix}{n}",
                labels=["Person"],
                props={"n": n, "list": [n, "x", None, b"\0"], "map": {"at": kitedb.DateTime.parse("2015-07-21T21:40:32.142+02:00")}},
            )
            tx.set_node_vector(node, "embedding", [n, 0.5])
            other = tx.upsert_node("hub", {"last": n}).id
            tx.add_parallel_edge(node, "KNOWS", other, {"since": 1.5})
            tx.add_parallel_edge(node, "KNOWS", other)
            if n % 3 == 0:
                tx.delete_node(node)
            token = tx.commit_with_token()
    return token


for line in sys.stdin:
    asked = json.loads(line)
    answer: dict[str, Any]
    try:
        call = load if asked["method"] == "load" else getattr(db, asked["method"])
        result = call(*asked.get("args", []))
        answer = {"result": dict(result) if isinstance(result, kitedb.Record) else result}
    except kitedb.KiteDbError as error:
        answer = {"code": error.code, "message": str(error)}
    print(json.dumps(answer, default=str), flush=True)
