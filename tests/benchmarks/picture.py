"""Draw the picture of the README, a run on a real data set: ``notebooks/overview.png``.

The data set is the one that ``BASIS_TEST_DATA`` names, else ``../shared/market_data`` beside the checkout.
"""

import os
from pathlib import Path

import basis

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "notebooks" / "overview.png"
MODE, WINDOW = "usdt_market_neutral_no_leverage", {"start": "2024-05-14", "end": "2025-09-17"}
DATA = Path(os.environ.get("BASIS_TEST_DATA") or ROOT.parent / "shared" / "market_data")


def main() -> None:
    if not DATA.is_dir():
        raise SystemExit(f"{DATA} is no folder: name a real data set by BASIS_TEST_DATA.")
    result = basis.backtest(basis.load_config(MODE, WINDOW, environ={}), DATA)
    figure = result.plot.overview(backend="matplotlib")
    # without the version of the library, so that the same run gives the same file
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
