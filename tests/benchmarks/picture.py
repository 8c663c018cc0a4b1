"""Draw the picture of the README, a run on the sample: ``notebooks/overview.png``."""

from pathlib import Path

import basis

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "notebooks" / "overview.png"
MODE, WINDOW = "usdt_market_neutral_no_leverage", {"start": "2024-01-01", "end": "2025-06-30"}


def main() -> None:
    result = basis.backtest(basis.load_config(MODE, WINDOW, environ={}), ROOT / "data" / "sample")
    figure = result.plot.overview(backend="matplotlib")
    # without the version of the library, so that the same run gives the same file
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
