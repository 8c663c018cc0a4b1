"""Draw the pictures of the README: a run on a real data set, and a small one for each notebook, on the sample.

``notebooks/overview.png`` takes the data set that ``BASIS_TEST_DATA`` names, else ``../shared/market_data`` beside the
checkout. The small ones are ``notebooks/thumbnails/<number>.png``.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import basis

ROOT = Path(__file__).resolve().parents[2]
PICTURE, THUMBNAILS = ROOT / "notebooks" / "overview.png", ROOT / "notebooks" / "thumbnails"
SAMPLE = ROOT / "data" / "sample"
MODE, WINDOW = "usdt_market_neutral_no_leverage", {"start": "2024-05-14", "end": "2025-09-17"}
DATA = Path(os.environ.get("BASIS_TEST_DATA") or ROOT.parent / "shared" / "market_data")
#: Dots an inch of the picture, and of a small one, whose text is not meant to be read.
SHARP, SMALL = 110, 30


def run(mode: str, data: Path = SAMPLE, **overrides: Any) -> Any:
    return basis.backtest(basis.load_config(mode, overrides, environ={}), data)


def compared() -> Any:
    return basis.compare(*(run(mode, start="2024-06-01") for mode in ("btc_basis", "eth_basis", "pure_lending")))


#: Number of a notebook → its small picture.
FIGURES: dict[str, Callable[[], Any]] = {
    "01": lambda: run("btc_basis").plot.equity("matplotlib"),
    "02": lambda: run("btc_basis").plot.attribution("waterfall", backend="matplotlib"),
    "03": lambda: run("eth_leveraged", start="2025-05-20", end="2025-07-10").plot.drawdown("matplotlib"),
    "04": lambda: compared().plot.growth("matplotlib"),
    "05": lambda: run("btc_basis", start="2024-06-01", end="2024-09-01").plot.positions("matplotlib"),
    "06": lambda: run("usdt_market_neutral", start="2024-06-01").plot.attribution(backend="matplotlib"),
}


def save(figure: Any, path: Path, dots: int) -> None:
    # without the version of the library, so that the same run gives the same file
    figure.savefig(path, dpi=dots, metadata={"Software": None})
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


def main() -> None:
    THUMBNAILS.mkdir(exist_ok=True)
    for number, figure in FIGURES.items():
        save(figure(), THUMBNAILS / f"{number}.png", SMALL)
    if not DATA.is_dir():
        raise SystemExit(f"{DATA} is no folder: name a real data set by BASIS_TEST_DATA.")
    save(run(MODE, DATA, **WINDOW).plot.overview("matplotlib"), PICTURE, SHARP)


if __name__ == "__main__":
    main()
