"""Configuration starts fast: it imports none of the heavy libraries."""

import subprocess
import sys

HEAVY = ("numba", "numpy", "pandas", "polars", "pyarrow", "plotly", "matplotlib", "ccxt", "web3")
SCRIPT = f"""
import sys, time
begin = time.perf_counter()
from basis.config import load_config
for mode in ("pure_lending", "btc_basis"):
    load_config(mode, environ={{}}).to_yaml()
print(time.perf_counter() - begin, *[name for name in {HEAVY} if name in sys.modules])
"""


def test_import_footprint():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    seconds, *heavy = done.stdout.split()
    assert heavy == []
    assert float(seconds) < 5  # generous: other work may share the machine
