"""A user's own table: one card, no Python."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.config import load_benchmark
from mtlbench.data.own.card import OwnCard, read_own_card
from mtlbench.data.own.table import label_column, time_column
from mtlbench.errors import DataError, UsageError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare_own, summary
from mtlbench.schema import FIRST_ID, PADDING

CARD = """\
files = "shop-*.csv"
cluster = "user"
time = "at"
least_rows = 2

[fields]
user = "categorical"
item = "categorical"
price = { kind = "numeric", log = true, of = "item" }
past = { kind = "sequence", vocabulary = "item", length = 3 }

[tasks]
click = {}
purchase = { label = "bought", where = "click" }
liked = { label = "stars", at_least = 4 }
stars_given = { label = "stars", kind = "regression" }
"""
Prepare = Callable[..., Prepared]


def rows(count: int = 2000, seed: int = 0) -> pl.DataFrame:
    """Impressions with labels that no single column gives away."""
    rng = np.random.default_rng(seed)
    click = rng.random(count) < 0.4
    return pl.DataFrame(
        {
            "user": rng.integers(0, 200, count),
            "item": rng.integers(0, 50, count),
            "price": rng.exponential(10, count).round(2),
            "past": [rng.integers(0, 50, rng.integers(0, 5)).tolist() for _ in range(count)],
            "at": np.arange(count) + 1_700_000_000,
            "click": click.astype(int),
            "bought": click & (rng.random(count) < 0.3),
            "stars": np.where(click, rng.integers(1, 6, count).astype(float), np.nan),
            "note": ['a "quoted"\nnote, with commas'] * count,
        }
    )


def as_csv(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.schema["past"] == pl.String:
        return frame
    return frame.with_columns(pl.col("past").list.eval(pl.element().cast(pl.String)).list.join(" "))


@pytest.fixture
def make(tmp_path: Path) -> Prepare:
    """Write a card and files, and prepare them."""

    def prepared(card: str = CARD, **frames: pl.DataFrame) -> Prepared:
        for name, frame in (frames or {"shop-1": rows()}).items():
            as_csv(frame).write_csv(tmp_path / f"{name}.csv")
        (tmp_path / "my-shop.toml").write_text(card)
        return prepare_own(Home(tmp_path / "home"), tmp_path / "my-shop.toml", force=True)

    return prepared


def matrices(prepared: Prepared) -> dict[str, bytes]:
    return {
        str(file.relative_to(prepared.path)): file.read_bytes()
        for file in sorted(prepared.path.rglob("*.npy"))
    }


def test_a_card_makes_a_dataset(make: Prepare) -> None:
    prepared, frame = make(), rows()
    assert prepared.name == "my-shop"
    assert [prepared.manifest["splits"][split]["rows"] for split in SPLITS] == [1600, 200, 200]
    assert prepared.schema.task_names == ("click", "purchase", "liked", "stars_given")
    train = frame.head(1600)
    labels = prepared.open_split("train").labels
    assert (labels[:, 0] == train["click"].to_numpy()).all()
    clicked = train["click"].to_numpy() == 1
    assert np.isnan(labels[~clicked, 1:]).all()
    assert (labels[clicked, 1] == train["bought"].to_numpy()[clicked]).all()
    assert (labels[clicked, 2] == (train["stars"].to_numpy()[clicked] >= 4)).all()
    assert (labels[clicked, 3] == train["stars"].to_numpy()[clicked]).all()
    stars = prepared.schema.tasks[3]
    assert np.isclose(stars.mean, np.nanmean(labels[:, 3]))
    assert np.isclose(stars.deviation, np.nanstd(labels[:, 3]))
    price = np.log1p(frame["price"].to_numpy())
    scaled = (price[1800:] - price[:1600].mean()) / price[:1600].std()
    assert np.allclose(prepared.open_split("test").numeric[:, 0], scaled, atol=1e-4)
    assert summary(prepared)["cluster"] == "user"


def test_items_of_a_field_and_of_a_sequence_share_their_vocabulary(make: Prepare) -> None:
    prepared, frame = make(), rows()
    split = prepared.open_split("train")
    index = dict(zip(frame["item"].head(1600).to_list(), split.categorical[:, 1].tolist(), strict=True))
    assert set(prepared.vocabularies) == {"user", "item"}
    assert prepared.vocabularies["item"] == FIRST_ID + 50
    for past, coded in zip(frame["past"].head(300).to_list(), split.sequence.tolist(), strict=False):
        assert coded == [PADDING] * (3 - len(past[-3:])) + [index[item] for item in past[-3:]]


@pytest.mark.parametrize("suffix", ["parquet", "ndjson", "csv.gz", "tsv"])
def test_every_format_gives_the_same_matrices(make: Prepare, tmp_path: Path, suffix: str) -> None:
    expected = matrices(make())
    file = tmp_path / f"rows.{suffix}"
    frame = rows()
    if suffix == "parquet":
        frame.write_parquet(file)
    elif suffix == "ndjson":
        frame.write_ndjson(file)
    elif suffix == "csv.gz":
        as_csv(frame).write_csv(file, compression="gzip")
    else:
        as_csv(frame).write_csv(file, separator="\t")
    assert matrices(make(CARD.replace("shop-*.csv", file.name))) == expected


def test_files_may_differ_in_types_and_follow_by_name(make: Prepare, tmp_path: Path) -> None:
    """Ids are numbers in one file, texts in another, floats in a third."""
    expected = matrices(make())
    frame = rows()
    frame.slice(1500).cast({"item": pl.Float64}).write_parquet(tmp_path / "p-3.parquet")
    frame.slice(700, 800).cast({"item": pl.String, "click": pl.Boolean}).write_parquet(
        tmp_path / "p-2.parquet"
    )
    frame.head(700).write_ndjson(tmp_path / "p-1.jsonl")
    assert matrices(make(CARD.replace('"shop-*.csv"', '["p-*.jsonl", "p-*.parquet"]'))) == expected


def test_byte_order_mark_and_windows_line_ends_change_nothing(make: Prepare, tmp_path: Path) -> None:
    expected = matrices(make())
    text = as_csv(rows().drop("note")).write_csv()
    (tmp_path / "shop-1.csv").unlink()
    (tmp_path / "odd.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert matrices(make(CARD.replace("shop-*.csv", "odd.csv"))) == expected


def test_what_is_dropped_is_counted(make: Prepare) -> None:
    odd = rows(20).with_columns(
        user=pl.Series([None, *range(19)]),
        at=pl.Series([1, None, *range(18)]),
        click=pl.Series([1, 1, None, *[0] * 17]),
        stars=pl.lit(None),
    )
    prepared = make(**{"shop-1": rows(), "shop-2": odd})
    quirks = prepared.manifest["quirks"]
    assert quirks == {
        "rows": 2020,
        "rows_without_label": 1,
        "rows_without_cluster": 1,
        "rows_without_time": 1,
    }
    kept = sum(split["rows"] for split in prepared.manifest["splits"].values())
    assert quirks["rows"] == kept + sum(count for name, count in quirks.items() if name != "rows")


def test_a_price_that_is_no_number_is_missing_if_rare_and_an_error_if_not(make: Prepare) -> None:
    def spoilt(count: int) -> pl.DataFrame:
        price = rows(4000)["price"].cast(pl.String).to_list()
        return rows(4000).with_columns(price=pl.Series(["font-size: 12px"] * count + price[count:]))

    prepared = make(**{"shop-1": spoilt(3)})
    assert prepared.manifest["quirks"]["unreadable_price"] == 3
    assert prepared.open_split("train").numeric[:3, 0].tolist() == [0, 0, 0]  # the mean of train
    with pytest.raises(DataError, match=r"5 of 4,000 values of column 'price' .* such as 'font-size: 12px'"):
        make(**{"shop-1": spoilt(5)})


def test_a_column_may_say_the_split(make: Prepare) -> None:
    part = ["train"] * 1500 + [" Validation"] * 250 + ["test"] * 249 + ["later"]
    card = CARD.replace('time = "at"', 'split = "part"')
    prepared = make(card, **{"shop-1": rows().with_columns(part=pl.Series(part))})
    assert [prepared.manifest["splits"][split]["rows"] for split in SPLITS] == [1500, 250, 249]
    assert prepared.manifest["quirks"]["rows_in_no_split"] == 1


def test_files_may_say_the_split_and_validation_is_cut_by_cluster(make: Prepare, tmp_path: Path) -> None:
    files = 'files = { train = "shop-train.csv", test = "shop-test.csv" }'
    card = CARD.replace('files = "shop-*.csv"', files).replace('time = "at"', "")
    prepared = make(card, **{"shop-train": rows(), "shop-test": rows(300, seed=1)})
    frames = {split: pl.read_parquet(prepared.path / f"{split}.parquet") for split in SPLITS}
    assert len(frames["test"]) == 300
    assert len(frames["train"]) + len(frames["validation"]) == 2000
    assert set(frames["train"]["user"]) & set(frames["validation"]["user"]) == set()


def test_without_time_or_split_the_clusters_are_dealt_out(make: Prepare) -> None:
    prepared = make(CARD.replace('time = "at"', ""), **{"shop-1": rows(4000)})
    users = {split: set(pl.read_parquet(prepared.path / f"{split}.parquet")["user"]) for split in SPLITS}
    assert len(users["train"] | users["validation"] | users["test"]) == 200
    assert sum(map(len, users.values())) == 200
    assert 140 < len(users["train"]) < 180


def test_later_rows_change_nothing_of_train_and_validation(make: Prepare) -> None:
    before = matrices(make())
    frame = rows()
    changed = frame.tail(200).with_columns(
        user=pl.lit(9999), price=pl.lit(1.0), past=pl.lit([1, 2]), bought=pl.col("bought").reverse()
    )
    after = matrices(make(**{"shop-1": pl.concat([frame.head(1800), changed.cast(frame.schema)])}))
    assert {k: v for k, v in before.items() if "test" not in k} == {
        k: v for k, v in after.items() if "test" not in k
    }
    assert before != after


def test_a_field_that_gives_a_task_away_stops_it_unless_explained(make: Prepare) -> None:
    noise = np.random.default_rng(5).normal(size=4000)
    leaky = rows(4000).with_columns(price=(pl.col("click") + 0.5 * pl.Series(noise)).exp())
    with pytest.raises(
        DataError, match=r"price alone has AUC 0\.9.* on click .* beyond 0\.8 and not explained"
    ):
        make(**{"shop-1": leaky})
    make(CARD + '[explained]\nprice = "A discount is shown to those who clicked."\n', **{"shop-1": leaky})
    with pytest.raises(DataError, match=r"beyond 0\.85"):
        make("error_above = 0.85\n" + CARD + '[explained]\nprice = "Because."\n', **{"shop-1": leaky})


def test_the_same_again_is_nothing_and_another_card_needs_force(make: Prepare, tmp_path: Path) -> None:
    home, card = Home(tmp_path / "home"), tmp_path / "my-shop.toml"
    first = make()
    said: list[str] = []
    assert prepare_own(home, card, report=said.append).fingerprint == first.fingerprint
    assert said == ["datasets/my-shop/prepared is that already; nothing to do."]
    card.write_text(CARD.replace("least_rows = 2", "least_rows = 3"))
    with pytest.raises(UsageError, match=r"was prepared with least_rows 2 \(asked: 3\)"):
        prepare_own(home, card)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('cluster = "user"', "", "cluster: Field required"),
        ("log = true", "logg = true", "Unknown key in .*fields.price 'logg'. Did you mean 'log'"),
        ('time = "at"', 'tiem = "at"', "Unknown key in .*'tiem'. Did you mean 'time'"),
        ('"categorical"', '"categoric"', "fields.user"),
        ("length = 3", "length = 0", "greater than or equal to 1"),
        ("[tasks]\nclick = {}", "[tasks]\nprice = {}", "'price' is task 'price' or its label"),
        ('time = "at"', 'time = "at"\nsplit = "part"', "give one of them"),
        ('"shop-*.csv"', '{ train = "a.csv" }', "files is one pattern"),
        ('"shop-*.csv"', "3", "files"),
        ("at_least = 4", 'at_least = 4, kind = "regression"', "at_least makes a binary task"),
        ('cluster = "user"', 'cluster = "price"', "must be categorical"),
        ('cluster = "user"', 'cluster = "user', "is no TOML file"),
        ('vocabulary = "item"', 'vocabulary = "itm"', "no other field has the vocabulary 'itm'"),
        ("[tasks]", '[explained]\nprise = "So."\n\n[tasks]', "explained.prise: there is no such field"),
        ('past = { kind = "sequence",', 'past = { kind = "sequence", log = true,', "log is for a numeric"),
        ('cluster = "user"', 'clutser = "user"', "'clutser'. Did you mean 'cluster'"),
        ("click = {}", f"{'c' * 50} = {{ label = 'click' }}", "fits no table"),
        ('time = "at"', 'name = "taobao"', "is the name of another dataset"),
        ('time = "at"', 'name = "a b"', "is no name for a dataset"),
    ],
)
def test_a_card_that_makes_no_sense_is_explained(make: Prepare, old: str, new: str, says: str) -> None:
    assert old in CARD
    with pytest.raises(UsageError, match=says):
        make(CARD.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("shop-*.csv", "nothing-*.csv", "matches no file in"),
        ('"at"', '"when"', "shop-1.csv has no column 'when'; it has user, item, price"),
        ('label = "bought"', 'label = "note"', "column 'note' are not a number, yes or no"),
        ("click = {}", 'click = { label = "item" }', "is task 'click' or its label"),
        ("shop-*.csv", "my-shop.toml", "what format is it"),
    ],
)
def test_a_card_that_does_not_fit_is_explained(make: Prepare, old: str, new: str, says: str) -> None:
    with pytest.raises((DataError, UsageError), match=says) as error:
        make(CARD.replace(old, new))
    assert "Traceback" not in str(error.value)


def test_a_column_that_names_no_split_is_said(make: Prepare) -> None:
    card = CARD.replace('time = "at"', 'split = "user"')
    with pytest.raises(DataError, match=r"column 'user' holds '.+', and no row train, validation or test"):
        make(card)


def test_a_card_and_a_benchmark_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text('[[run]]\nmethod = "mmoe"\n')
    with pytest.raises(UsageError, match="is a benchmark, no card: mtlbench run"):
        read_own_card(tmp_path / "b.toml")
    (tmp_path / "c.toml").write_text(CARD)
    with pytest.raises(UsageError, match="is the card of a table, no benchmark: mtlbench prepare --card"):
        load_benchmark(tmp_path / "c.toml")


def test_a_file_cannot_be_in_two_splits(make: Prepare) -> None:
    files = 'files = { train = "shop-*.csv", test = "shop-2.csv" }'
    card = CARD.replace('files = "shop-*.csv"', files).replace('time = "at"', "")
    with pytest.raises(DataError, match=r"shop-2\.csv is both in files\.train and in files\.test"):
        make(card, **{"shop-1": rows(), "shop-2": rows(300)})


def test_a_name_that_reads_as_a_pattern_is_a_name(make: Prepare, tmp_path: Path) -> None:
    rows(1500).write_ndjson(tmp_path / "s[12].jsonl")
    rows(500, seed=1).write_ndjson(tmp_path / "s1.jsonl")
    prepared = make(CARD.replace("shop-*.csv", "s*.jsonl"))
    notes = pl.concat([pl.read_parquet(prepared.path / f"{split}.parquet") for split in SPLITS])["price"]
    expected = pl.concat([rows(500, seed=1), rows(1500)])["price"].log1p()
    assert sorted(notes.to_list()) == pytest.approx(sorted(expected.to_list()))


def test_ids_that_pandas_wrote_as_floats_are_the_same_ids(make: Prepare) -> None:
    expected = matrices(make())
    frame = rows().with_columns(pl.col("item").cast(pl.String) + ".0")
    assert matrices(make(**{"shop-1": frame})) == expected


@pytest.mark.parametrize("form", ['["{}"]', "['{}']", "[{}]", "{}"])
def test_lists_written_as_text_are_read_without_their_quotes(make: Prepare, form: str) -> None:
    expected = matrices(make())
    quote = form[1:-3].strip("{}[")
    joined = pl.col("past").list.eval(pl.element().cast(pl.String)).list.join(f"{quote}, {quote}")
    text = pl.format(form, joined)
    frame = rows().with_columns(
        past=pl.when(pl.col("past").list.len() > 0).then(text).otherwise(pl.lit("[]"))
    )
    assert matrices(make(**{"shop-1": frame})) == expected


def test_dates_and_numbers_in_one_column_of_times_are_refused(make: Prepare, tmp_path: Path) -> None:
    """Seconds beside dates would put the whole future into train."""
    frame = rows()
    frame.slice(1000).with_columns(at=pl.from_epoch("at")).write_parquet(tmp_path / "later.parquet")
    card = CARD.replace('"shop-*.csv"', '["shop-*.csv", "later.parquet"]')
    with pytest.raises(DataError, match="'at' holds dates on some rows and numbers on others"):
        make(card, **{"shop-1": frame.head(1000)})


def test_seconds_and_milliseconds_in_one_column_of_times_are_refused(make: Prepare) -> None:
    """Beside a row of time 0 as well."""
    frame = rows()
    row = pl.int_range(pl.len())
    at = pl.when(row == 0).then(0).when(row % 2 == 0).then(pl.col("at") * 1000).otherwise(pl.col("at"))
    with pytest.raises(DataError, match="'at' holds seconds on some rows and milliseconds on others"):
        make(**{"shop-1": frame.with_columns(at.alias("at"))})


def test_periods_are_told_in_dates(make: Prepare, tmp_path: Path) -> None:
    """A date in the first hours of 1970, which as a number would be small, disturbs nothing."""
    frame = rows()
    expected = {
        "train": "before 2023-11-14 22:40:00",
        "validation": "2023-11-14 22:40:00 to 2023-11-14 22:43:20",
        "test": "from 2023-11-14 22:43:20",
    }
    assert make(**{"shop-1": frame}).manifest["periods"] == expected
    first = pl.when(pl.int_range(pl.len()) == 0).then(3600).otherwise(pl.col("at"))
    dated = frame.with_columns(at=pl.from_epoch(first))
    assert make(**{"shop-1": dated}).manifest["periods"] == expected
    assert make(CARD.replace('time = "at"', ""), **{"shop-1": frame}).manifest["periods"] == {}


def test_a_table_of_which_no_row_is_left_says_so(make: Prepare) -> None:
    """The first row has no label, all others no user."""
    first = pl.int_range(pl.len()) == 0
    labels = (pl.when(~first).then(pl.col(name)).alias(name) for name in ("click", "bought", "stars"))
    frame = rows().with_columns(*labels, user=pl.when(first).then(pl.col("user")))
    with pytest.raises(DataError, match=r"No row of shop-1\.csv is left"):
        make(**{"shop-1": frame})


def test_dates_that_may_be_read_two_ways_are_refused(make: Prepare) -> None:
    frame = rows().with_columns(at=pl.lit("03/04/2024"))
    with pytest.raises(DataError, match=r"'at' are not a number or a date \(2024-01-31"):
        make(**{"shop-1": frame})


@pytest.mark.parametrize("suffix", ["csv", "ndjson"])
def test_a_column_without_any_value_is_named(make: Prepare, tmp_path: Path, suffix: str) -> None:
    """NDJSON has no header: a name that no record has would read as empty."""
    frame = rows().with_columns(price=pl.lit(None, dtype=pl.Float64))
    as_csv(frame).write_csv(tmp_path / "x.csv")
    frame.drop("price").write_ndjson(tmp_path / "x.ndjson")
    with pytest.raises(DataError, match="'price' is empty on every row"):
        make(CARD.replace("shop-*.csv", f"x.{suffix}"))


def test_infinite_numbers_are_counted_as_unreadable(make: Prepare) -> None:
    price = [float("inf"), float("-inf"), 1e300, *rows(4000)["price"].to_list()[3:]]
    prepared = make(**{"shop-1": rows(4000).with_columns(price=pl.Series(price))})
    assert prepared.manifest["quirks"]["unreadable_price"] == 3


def test_yes_and_no_make_a_numeric_field_also_where_they_mask_a_task(make: Prepare) -> None:
    card = CARD.replace("[tasks]\nclick = {}", 'bought = "numeric"\n\n[tasks]').replace(
        'purchase = { label = "bought", where = "click" }', 'seen = { label = "click", where = "bought" }'
    )
    frame = rows().with_columns(click=pl.Series(np.random.default_rng(3).random(2000) < 0.5))
    prepared = make(card, **{"shop-1": frame})
    values = np.unique(np.asarray(prepared.open_split("train").numeric[:, 1]))
    assert len(values) == 2


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_told_by_the_header(make: Prepare, tmp_path: Path, separator: str) -> None:
    expected = matrices(make())
    as_csv(rows()).write_csv(tmp_path / "other.csv", separator=separator)
    assert matrices(make(CARD.replace("shop-*.csv", "other.csv"))) == expected


def test_files_that_cannot_be_read_are_blamed_themselves(make: Prepare, tmp_path: Path) -> None:
    as_csv(rows()).write_csv(tmp_path / "cut.csv.gz", compression="gzip")
    whole = (tmp_path / "cut.csv.gz").read_bytes()
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"The files of .*my-shop\.toml cannot be read"):
        make(CARD.replace("shop-*.csv", "cut.csv.gz"))
    (tmp_path / "cut.csv.gz").write_bytes(whole[:12])
    with pytest.raises(DataError, match="cannot be read"):
        make(CARD.replace("shop-*.csv", "cut.csv.gz"))
    (tmp_path / "wide.csv").write_bytes("user,item".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        make(CARD.replace("shop-*.csv", "wide.csv"))
    (tmp_path / "head.csv").write_text(as_csv(rows(1)).write_csv().splitlines()[0] + "\n")
    with pytest.raises(DataError, match="hold no row"):
        make(CARD.replace("shop-*.csv", "head.csv"))
    (tmp_path / "twice.csv").write_text(as_csv(rows(300)).write_csv().replace("note", "click", 1))
    with pytest.raises(DataError, match="has column 'click' twice"):
        make(CARD.replace("shop-*.csv", "twice.csv"))


def test_parts_of_one_name_are_the_same_sources_again(tmp_path: Path) -> None:
    for day in (1, 2):
        (tmp_path / f"day={day}").mkdir()
        rows(1000, seed=day).write_parquet(tmp_path / f"day={day}" / "part-0.parquet")
    (tmp_path / "my-shop.toml").write_text(CARD.replace("shop-*.csv", "day=*/part-0.parquet"))
    home = Home(tmp_path / "home")
    first = prepare_own(home, tmp_path / "my-shop.toml")
    assert prepare_own(home, tmp_path / "my-shop.toml").fingerprint == first.fingerprint


def test_a_card_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read"):
        read_own_card(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1", "0", "", None, "nan", "NULL"], [1, 0, None, None, None, None]),
        (["True", " false ", "yes", "N", "1.0"], [1, 0, 1, 0, 1]),
    ],
)
def test_labels_are_read_as_people_write_them(texts: list[Any], numbers: list[Any]) -> None:
    from mtlbench.data.own.card import OwnTask

    frame = pl.DataFrame({"y": texts})
    assert frame.select(label_column("y", OwnTask())).to_series().to_list() == numbers


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-02 03:04:05", "2024-01-02 03:04:06"],
        ["2024-01-02T03:04:05Z", "2024-01-02T03:04:06Z"],
        ["2024-01-02", "2024-01-03"],
        ["2024-01-02T10:00:00+08:00", "2024-01-02T03:00:00+00:00"],
        ["9", "10.5"],
    ],
)
def test_times_are_compared_as_times(texts: list[str]) -> None:
    earlier, later = pl.DataFrame({"at": texts}).select(time_column("at")).to_series()
    assert earlier < later


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1), damage=st.binary(min_size=1, max_size=3), insert=st.booleans())
def test_damage_is_an_error_or_is_counted(
    tmp_path: Path, suffix: str, share: float, damage: bytes, insert: bool
) -> None:
    """Bytes replaced or put in at random: every row is prepared or counted, or an error says why."""
    file, frame = tmp_path / f"shop-1.{suffix}", rows(400).drop("note")
    if suffix == "csv":
        as_csv(frame).write_csv(file)
    elif suffix == "ndjson":
        frame.write_ndjson(file)
    else:
        frame.write_parquet(file)
    content = file.read_bytes()
    position = int(share * (len(content) - len(damage)))
    file.write_bytes(content[:position] + damage + content[position + (0 if insert else len(damage)) :])
    (tmp_path / "card.toml").write_text(CARD.replace("shop-*.csv", file.name))
    try:
        prepared = prepare_own(Home(tmp_path / "home"), tmp_path / "card.toml", force=True)
    except (DataError, UsageError) as error:
        said = str(error)
        assert "card.toml" in said
    else:
        quirks = prepared.manifest["quirks"]
        dropped = sum(count for name, count in quirks.items() if name.startswith("rows_"))
        assert quirks["rows"] == sum(s["rows"] for s in prepared.manifest["splits"].values()) + dropped
        assert json.dumps(quirks)


def test_the_readme_s_example_works(make: Prepare, tmp_path: Path) -> None:
    readme = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")
    card = next(block for block in readme.split("```toml\n") if "exports/april" in block).split("```")[0]
    assert read_example(tmp_path, card).fields["viewed"].vocabulary == "item_id"
    (tmp_path / "exports").mkdir()
    names = {"user": "user_id", "item": "item_id", "past": "viewed", "at": "shown_at", "click": "clicked"}
    rows(4000).rename(names).write_parquet(tmp_path / "exports" / "april-1.parquet")
    prepared = make(card)
    assert prepared.schema.task_names == ("click", "purchase", "liked")
    assert sum(split["rows"] for split in prepared.manifest["splits"].values()) == 4000


def read_example(folder: Path, text: str) -> OwnCard:
    (folder / "example.toml").write_text(text)
    return read_own_card(folder / "example.toml")
