#!/usr/bin/env python3
"""The JSON Lines that kitedb 0.2 exported, as those that `kitedb import` reads.

    scripts/export-of-0-2.py graph.jsonl | kitedb import new.kitedb - --format jsonl

Nodes keep their ids and keys, edges their types, both their properties. What 0.2 did not export is not there: labels, stored vectors,
and properties whose name it had lost. An edge whose type it had lost is called by the type's number.
"""

import json
import sys


def value(tagged):
    """
    >>> value({"type": "int", "value": 1}), value({"type": "float", "value": 1.0}), value({"type": "null"})
    (1, 1.0, None)
    >>> value({"type": "vector", "value": [0.5]})
    {'$vector': [0.5]}
    """
    kind, held = tagged["type"], tagged.get("value")
    if kind == "vector":
        return {"$vector": held}
    if kind == "float":
        return float(held)
    if kind in ("null", "bool", "int", "string"):
        return held
    raise ValueError(f"there is no value of type {kind!r} in 0.2")


def props(found):
    return {name: value(tagged) for name, tagged in found.items()}


def converted(line):
    """The line for an element, or None for what is no element.

    >>> converted('{"type":"header","data":{"version":1}}')
    >>> converted('{"type":"node","data":{"id":1,"key":"ada","props":{"n":{"type":"int","value":1}}}}')
    '{"type": "node", "node_id": 1, "key": "ada", "props": {"n": 1}}'
    >>> converted('{"type":"node","data":{"id":3,"key":null,"props":{}}}')
    '{"type": "node", "node_id": 3, "props": {}}'
    >>> converted('{"type":"edge","data":{"dst":2,"etype":1,"etype_name":"KNOWS","props":{},"src":1}}')
    '{"type": "edge", "src_id": 1, "dst_id": 2, "label": "KNOWS", "props": {}}'
    """
    element = json.loads(line)
    kind, data = element["type"], element["data"]
    if kind == "node":
        key = {"key": data["key"]} if data.get("key") is not None else {}
        return json.dumps({"type": "node", "node_id": data["id"], **key, "props": props(data["props"])}, ensure_ascii=False)
    if kind == "edge":
        ends = {"src_id": data["src"], "dst_id": data["dst"]}
        label = data.get("etype_name") or str(data["etype"])
        return json.dumps({"type": "edge", **ends, "label": label, "props": props(data["props"])}, ensure_ascii=False)
    if kind in ("header", "schema"):
        return None
    raise ValueError(f"there is no {kind!r} in an export of 0.2")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") if len(sys.argv) > 1 else sys.stdin as lines:
        for number, line in enumerate(lines, 1):
            try:
                told = converted(line) if line.strip() else None
            except (KeyError, TypeError, ValueError) as error:
                sys.exit(f"line {number} is none of an export of kitedb 0.2: {error}")
            if told is not None:
                print(told)
