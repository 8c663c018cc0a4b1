"""Damage done to files by a seed: what a disk, a transfer or a stranger may make of them.

The environment makes the tests try more, or other, damage; `make fuzz` sets it:
``BASIS_FUZZ_SEED`` another seed, ``BASIS_FUZZ_COUNT`` so many trials, ``BASIS_FUZZ_SECONDS`` trials for so long,
``BASIS_FUZZ_TRIAL`` this trial alone, ``BASIS_FUZZ_NOTE`` a file that names the trial under way.
"""

import itertools
import json
import os
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

#: What may stand where something else is expected.
STRANGERS = (
    None, True, -1, 0, 2**70, 1e308, "", "x" * 5_000, "../../etc/passwd", "\x1b[2J\u202e", "\ud800", [], {}, [[]],
    {"a": None}, "2024-13-45", "NaN", -0.0,
)  # fmt: skip


def trials(count: int) -> Iterator[random.Random]:
    """So many sources of chance, each of its own seed; the environment may ask for more."""
    given = {name: os.environ.get(f"BASIS_FUZZ_{name}") for name in ("SEED", "COUNT", "SECONDS", "TRIAL", "NOTE")}
    seed, seconds, note = given["SEED"] or "0", given["SECONDS"], given["NOTE"]
    numbers: Iterable[int] = range(int(given["COUNT"] or count)) if seconds is None else itertools.count()
    if given["TRIAL"] is not None:
        numbers, seconds = [int(given["TRIAL"])], None
    end = time.monotonic() + float(seconds or "inf")
    for trial in numbers:
        if trial and time.monotonic() > end:
            return
        if note is not None:
            Path(note).write_text(f"{trial}")
        yield random.Random(f"{seed} {trial}")


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Bytes with a few flipped, a stretch zeroed, cut, repeated or filled with noise."""
    data = bytearray(content)
    place = chance.randrange(len(data))
    length = chance.choice((1, 4, 32, len(data) // 3 + 1))
    kind = chance.randrange(6)
    if kind == 0:
        for _ in range(chance.choice((1, 3, 40))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        data[place : place + length] = bytes(len(data[place : place + length]))
    elif kind == 2:
        del data[place:]
    elif kind == 3:
        data[place:place] = data[place : place + length]
    elif kind == 4:
        del data[place : place + length]
    else:
        data[place : place + length] = chance.randbytes(length)
    return bytes(data)


def changed_json(content: bytes, chance: random.Random) -> bytes:
    """JSON in which one value, key or entry is another."""
    held = json.loads(content)
    places = list(_places(held))
    parent, key = chance.choice(places)
    kind = chance.randrange(3)
    if kind == 0 and isinstance(parent, dict):
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[str(chance.choice(STRANGERS))] = parent.pop(key)
    else:
        parent[key] = chance.choice(STRANGERS)
    return json.dumps(held).encode()


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(pairs):
        yield node, key
        yield from _places(value)
