"""`basis data` and `basis modes`: what they print, their exit codes, and that nothing half-written stays."""

import pytest
from small_market import SERIES, damage, naive, nulled, swapped, twice, with_value, without

from basis.market import sample as sample_module


@pytest.fixture
def quick_sample(monkeypatch):
    """Writes two files in place of the whole sample, so that a test is quick."""

    def write(directory, seed=0):
        names = ["spot/a.parquet", "perp/b.parquet"]
        for name in names:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(f"seed {seed}")
        return [directory / name for name in names]

    monkeypatch.setattr(sample_module, "write_sample", write)


@pytest.fixture
def broken_sample(monkeypatch):
    """Fails after the first file, as the test says."""

    def use(error):
        def write(directory, seed=0):
            (directory / "spot").mkdir(parents=True)
            (directory / "spot/a.parquet").write_text("half")
            raise error

        monkeypatch.setattr(sample_module, "write_sample", write)

    return use


def test_list_names_every_series(basis, small_data):
    done = basis("data", "list", small_data)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["series", "rows", "first", "last", "step", "columns"]
    assert [line.split()[0] for line in lines[1:]] == sorted(SERIES)
    gas = next(line for line in lines if line.startswith("gas/ethereum"))
    assert gas.split()[1:7] == ["193", "2024-05-01", "00:00", "2024-05-09", "00:00", "1h"]
    assert next(line for line in lines if line.startswith("aave/usdt")).split()[6] == "1d"


def test_check_of_a_clean_set_is_0(basis, small_data):
    done = basis("data", "check", small_data)
    assert (done.code, done.err) == (0, "")
    assert "clean" in done.out


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (nulled("2024-05-05T03:00", "2024-05-05T05:00"), "hole"),
        (twice(20), "duplicate"),
        (swapped(20), "unsorted"),
        (naive, "naive_stamp"),
        (without("open"), "missing_column"),
        (with_value("open", 20, -1.0), "out_of_range"),
    ],
)
def test_check_with_findings_is_1_and_names_them(basis, own_data, change, kind):
    damage(own_data, "spot/binance_btcusdt", change)
    done = basis("data", "check", own_data)
    assert (done.code, done.err) == (1, "")
    assert any(line.split()[:2] == ["spot/binance_btcusdt", kind] for line in done.out.splitlines())


def test_check_counts_its_findings(basis, own_data):
    damage(own_data, "perp/okx_btcusdt", naive)
    done = basis("data", "check", own_data)
    assert done.out.splitlines()[-1] == f"{own_data}: 1 finding"


def test_check_of_a_mode_is_of_its_files_in_its_window(basis, own_data):
    window = ["--mode", "btc_basis", "--start", "2024-05-04", "--end", "2024-05-07"]
    assert basis("data", "check", own_data, *window).code == 0
    (own_data / "aave/usdt.parquet").write_text("no parquet, and not used")
    damage(own_data, "spot/bybit_btcusdt", nulled("2024-05-07T03:00", "2024-05-07T05:00"))
    assert basis("data", "check", own_data, *window).code == 0
    damage(own_data, "spot/bybit_btcusdt", nulled("2024-05-05T03:00", "2024-05-05T05:00"))
    done = basis("data", "check", own_data, *window)
    assert (done.code, done.err) == (1, "")
    assert [line.split()[:2] for line in done.out.splitlines()[1:-1]] == [["spot/bybit_btcusdt", "hole"]]
    (own_data / "perp/okx_btcusdt.parquet").unlink()
    done = basis("data", "check", own_data, *window)
    assert "okx has no prices in this window; those of bybit stand in" in done.out
    assert basis("data", "check", own_data, "--start", "2024-05-04").code == 2
    assert basis("data", "check", own_data, "--mode", "btc_bassis").code == 2
    done = basis("data", "check", own_data, "--mode", "btc_basis", "--start", "2024-01-01", "--end", "2024-05-07")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize("command", ["list", "check"])
def test_no_data_set_is_wrong_input(basis, tmp_path, command):
    for folder in (tmp_path, tmp_path / "missing"):
        done = basis("data", command, folder)
        assert done.code == 2
        assert done.out == ""
        assert str(folder) in done.err


def test_sample_writes_a_new_folder(basis, quick_sample, tmp_path, listing):
    done = basis("data", "sample", tmp_path / "deep" / "market", "--seed", 5)
    assert (done.code, done.err) == (0, "")
    assert listing() == [
        "deep",
        "deep/market",
        "deep/market/perp",
        "deep/market/perp/b.parquet",
        "deep/market/spot",
        "deep/market/spot/a.parquet",
    ]
    assert (tmp_path / "deep/market/spot/a.parquet").read_text() == "seed 5"


def test_sample_fills_an_empty_folder(basis, quick_sample, tmp_path):
    (tmp_path / "market").mkdir()
    assert basis("data", "sample", tmp_path / "market").code == 0
    assert (tmp_path / "market/spot/a.parquet").is_file()


def test_sample_leaves_a_filled_folder_alone(basis, quick_sample, tmp_path, listing):
    (tmp_path / "mine.txt").write_text("mine")
    done = basis("data", "sample", tmp_path)
    assert done.code == 2
    assert "--force" in done.err
    assert listing() == ["mine.txt"]


def test_sample_by_force_replaces_its_own_files_only(basis, quick_sample, tmp_path, listing):
    (tmp_path / "mine.txt").write_text("mine")
    assert basis("data", "sample", tmp_path, "--seed", 1).code == 2
    assert basis("data", "sample", tmp_path, "--seed", 1, "--force").code == 0
    assert basis("data", "sample", tmp_path, "--seed", 2, "--force").code == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "perp/b.parquet").read_text() == "seed 2"
    assert listing() == ["mine.txt", "perp", "perp/b.parquet", "spot", "spot/a.parquet"]


def test_sample_that_cannot_be_written_is_wrong_input(basis, quick_sample, tmp_path, listing):
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file", tmp_path / "file" / "market"):
        done = basis("data", "sample", target)
        assert done.code == 2
        assert str(target) in done.err
        assert done.err.count("\n") == 1
    assert listing() == ["file"]


def test_sample_on_a_full_disk_leaves_nothing(basis, broken_sample, tmp_path, listing):
    broken_sample(OSError(28, "No space left on device"))
    done = basis("data", "sample", tmp_path / "deep" / "market")
    assert done.code == 2
    assert "No space left" in done.err
    assert listing() == []


def test_sample_interrupted_leaves_nothing(basis, broken_sample, tmp_path, listing):
    broken_sample(KeyboardInterrupt())
    done = basis("data", "sample", tmp_path / "deep" / "market")
    assert done.code == 130
    assert "Traceback" not in done.err
    assert listing() == []


@pytest.mark.slow
def test_sample_passes_its_own_check_but_for_the_holes_it_is_given(basis, tmp_path):
    assert basis("data", "sample", tmp_path / "market").code == 0
    done = basis("data", "check", tmp_path / "market")
    assert done.code == 1
    assert {line.split()[1] for line in done.out.splitlines()[1:-1]} == {"hole"}


def test_modes_are_listed_as_shipped(basis, monkeypatch):
    monkeypatch.setenv("BASIS__SHARE_CLASS", "ETH")
    done = basis("modes")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[:2] for line in lines[1:] if line.startswith("btc_basis")] == [["btc_basis", "USDT"]]
    assert "funding" in next(line for line in lines if line.startswith("btc_basis"))
