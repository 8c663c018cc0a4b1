"""The example rule's signals beside a data set that has none: what `ml_directional` is tried with on real prices."""

from pathlib import Path

import numpy as np
import pandas as pd

from basis.market.sample import example_signals

PERP, SIGNALS = "perp/binance_btcusdt.parquet", "signals/btc_1h.parquet"


def with_example_signals(data: Path, folder: Path) -> Path:
    """Make `folder` a data set of links to all that `data` has, and of the sample's rule on its BTC perp by the hour.

    An hour without a bar has the price of the one before.
    """
    for entry in data.iterdir():
        (folder / entry.name).symlink_to(entry.resolve())
    bars = pd.read_parquet(data / PERP, columns=["timestamp", "open"]).set_index("timestamp")["open"]
    hourly = bars.resample("1h").first().ffill()
    columns = example_signals(hourly.index.to_numpy(), hourly.to_numpy(np.float64))
    (folder / SIGNALS).parent.mkdir()
    pd.DataFrame(columns | {"timestamp": hourly.index}).dropna().to_parquet(folder / SIGNALS)
    return folder
