"""Data sets from elsewhere: nothing outside is read, and a damaged file is one message."""

import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from basis.config import load_config
from basis.errors import DataError, InputError
from basis.files import Unreadable, open_parquet, read_parquet
from basis.market import DataProvider
from basis.market.quality import check, list_series
from basis.market.sources.reader import DataFolder
from basis.results.table import Table, Text
from support.damage import damaged, trials

WINDOW = {"start": "2024-02-01", "end": "2024-02-03"}


@pytest.mark.parametrize(
    "path", ["signals/../../secret.parquet", "../secret.parquet", "secret.parquet", "/etc/hostname", "spot//x", "a/b/c"]
)
def test_nothing_outside_the_data_set_is_read(sample_data, path):
    folder = DataFolder(sample_data)
    for read in (folder.has, folder.columns, folder.stamps, lambda where: folder.table(where, ("open",))):
        with pytest.raises(DataError, match="is no file of a data set"):
            read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(sample_data, tmp_path):
    data = shutil.copytree(sample_data, tmp_path / "data")
    (data / "gas" / "ethereum.parquet").unlink()
    os.mkfifo(data / "gas" / "ethereum.parquet")
    with pytest.raises(DataError, match="gas/ethereum"):
        DataProvider(data, load_config("btc_basis", WINDOW, environ={})).series()
    assert check(data)


def test_damaged_files_are_one_message(sample_data, tmp_path):
    """Whatever is asked of a data set: a run's panel, its series, what is wrong with it."""
    data = shutil.copytree(sample_data, tmp_path / "data")
    config = load_config("btc_basis", WINDOW, environ={})
    used = ["spot/binance_btcusdt", "perp/okx_btcusdt", "funding/bybit_btcusdt", "gas/ethereum", "spot/bybit_ethusdt"]
    refused = 0
    for chance in trials(60):
        path = data / f"{chance.choice(used)}.parquet"
        content = path.read_bytes()
        path.write_bytes(damaged(content, chance))
        for ask in (lambda: DataProvider(data, config).panel(), DataProvider(data, config).series):
            try:
                ask()
            except DataError:
                refused += 1
        path.write_bytes(content)
    assert refused


def test_checks_go_through_damaged_files(sample_data, tmp_path):
    data = tmp_path / "data"
    for chance in trials(60):
        shutil.rmtree(data, ignore_errors=True)
        (data / "spot").mkdir(parents=True)
        source = chance.choice(sorted(sample_data.glob("*/*.parquet")))
        (data / source.parent.name).mkdir(exist_ok=True)
        (data / source.parent.name / source.name).write_bytes(damaged(source.read_bytes(), chance))
        check(data)
        list_series(data)


def test_a_page_that_was_damaged_is_never_read_as_other_numbers(tmp_path):
    """What is written has checksums of its pages, and they are verified."""
    stamps = np.arange(2_000).astype("M8[us]")
    values = np.random.default_rng(1).normal(size=2_000)
    words = Text.of([f"word {i % 7}" for i in range(2_000)])
    table = Table(
        "x", {"timestamp": stamps, "value": values, "word": words}, dict.fromkeys(("timestamp", "value", "word"), "")
    )
    path = tmp_path / "x.parquet"
    table.write(path)
    content = path.read_bytes()
    noticed = 0
    for chance in trials(200):
        place = chance.randrange(len(content))
        bad = bytearray(content)
        bad[place] ^= 1 << chance.randrange(8)
        try:
            read = Table.parse("x", bytes(bad))
            found = read["value"].tobytes(), list(read["word"])
        except (Unreadable, InputError):  # damaged, or a column has another name
            noticed += 1
        else:
            assert found == (values.tobytes(), list(words.values())), place
    assert noticed > 150


def test_the_sample_has_checksums(sample_data):
    path = sample_data / "spot" / "binance_btcusdt.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with pytest.raises(Unreadable, match="CRC"):
        read_parquet(open_parquet(bytes(content)))


def test_every_kind_of_column_is_refused_or_read(tmp_path):
    """A column of another type is one message, for a run and for the checks."""
    count = 100
    stamp = pa.array(np.arange(count) * 3_600_000_000 + 1_704_067_200_000_000, pa.timestamp("us", "UTC"))
    strangers = [
        pa.array([[1.0]] * count), pa.array([{"a": 1}] * count), pa.array(["x"] * count), pa.array([b"x"] * count),
        pa.array([True] * count), pa.array([None] * count), pa.array([1] * count, pa.decimal128(9, 2)),
        pa.array(["x"] * count).dictionary_encode(), pa.array([1] * count, pa.duration("us")),
        pa.array(np.arange(count), pa.time64("us")), pa.array([2**62] * count), pa.array([1.0] * count, pa.float16()),
    ]  # fmt: skip
    for at, stranger in enumerate(strangers):
        for columns in ({"timestamp": stranger, "open": stranger}, {"timestamp": stamp, "open": stranger}):
            folder = tmp_path / f"{at}{len(list(tmp_path.iterdir()))}"
            (folder / "spot").mkdir(parents=True)
            pq.write_table(pa.table(columns), folder / "spot" / "binance_btcusdt.parquet")
            check(folder)
            list_series(folder)
            try:
                DataFolder(folder).table("spot/binance_btcusdt.parquet", ("open",))
            except DataError:
                pass
