"""What a strict JSON reader costs, and what others let through: `python benchmarks/json_reader.py`.

Compares the reader of web/body.py with json.loads and, where it is installed
(it is no dependency), orjson, on one account body.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import timeit
from collections.abc import Callable
from typing import Any

from accounts_service.families.signals import examples
from accounts_service.web import body

_ROUNDS = 7
_LOOPS = 20_000

_ODD = {
    "equal keys": b'{"a": 1, "a": 2}',
    "2**64": b"18446744073709551616",
    "NaN": b"NaN",
    "1e999": b"1e999",
    "NUL": rb'"\u0000"',
    "half a pair": rb'"\ud800"',
    "40 levels": b"[" * 40 + b"]" * 40,
}


def _readers() -> dict[str, Callable[[bytes], Any]]:
    readers: dict[str, Callable[[bytes], Any]] = {"web/body.py": body.parse, "json.loads": json.loads}
    if importlib.util.find_spec("orjson"):
        readers["orjson.loads"] = importlib.import_module("orjson").loads
    return readers


def _outcome(read: Callable[[bytes], Any], raw: bytes) -> str:
    try:
        return repr(read(raw))[:24]
    except Exception:  # noqa: BLE001  # whatever a reader refuses with
        return "refused"


def main() -> None:
    """Print microseconds a document, then what each reader makes of odd ones."""
    document = json.dumps(examples.GOOD["email"]).encode()
    readers = _readers()
    print(f"{len(document)} bytes, best of {_ROUNDS} rounds of {_LOOPS}")
    for name, read in readers.items():
        best = min(timeit.repeat(lambda read=read: read(document), repeat=_ROUNDS, number=_LOOPS))  # type: ignore[misc]  # bound at once
        print(f"  {name:14}{best / _LOOPS * 1e6:8.2f} µs")
    print(f"{'':14}" + "".join(f"{name:28}" for name in readers))
    for what, raw in _ODD.items():
        print(f"  {what:12}" + "".join(f"{_outcome(read, raw):28}" for read in readers.values()))


if __name__ == "__main__":
    main()
