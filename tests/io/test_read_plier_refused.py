"""Damaged and hostile PLIER results: refused with the reason, before memory is taken and with nothing executed."""

from __future__ import annotations

import gzip
import lzma
import struct
import tracemalloc

import numpy as np
import pytest

import omicstl as otl
from omicstl.io import _bounded, _plier_tables, _rds
from tests.support.rds import (
    NULL,
    Node,
    altrep,
    factor,
    frame,
    integer,
    listing,
    matrix,
    rds,
    real,
    serialise,
    strings,
    text,
)

GENES, SETS = ["CD19", "CD3E", "NKG7"], ["B", "T"]


def nodes(**changes) -> dict:
    """A small PLIER result of three genes, two sets, two factors and four samples, with some values exchanged."""
    b = np.array([[1.0, -1, 2, -2], [0.5, 0.5, -1, 0]])
    parts = {
        "B": matrix(b),
        "Z": matrix([[1.0, 0], [0, 2], [0.5, 0.5]], GENES),
        "U": matrix([[1.0, 0], [0, 1]], SETS),
        "C": matrix([[1, 0], [0, 1], [0, 0]], GENES, SETS),
        "L1": real([1.0]),
        "L2": real([2.0]),
        "heldOutGenes": listing([strings(["NKG7"]), strings([])], SETS),
    } | changes
    return {name: node for name, node in parts.items() if node is not None}


def as_rds(parts: dict) -> bytes:
    return rds(listing(parts.values(), parts))


def refused(path, *words: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){path.name}.* cannot be used as a PLIER result: .*{'.*'.join(words)}"):
        otl.io.read_plier(path)


@pytest.fixture
def write(tmp_path):
    def write(content, pack=gzip.compress):
        path = tmp_path / "plier.rds"
        path.write_bytes(pack(content if isinstance(content, bytes) else as_rds(content)))
        return path

    return write


def test_the_small_result_is_read(write):
    model = otl.io.read_plier(write(nodes()))
    assert model.loadings.tolist() == [[1, 0], [0, 2], [0.5, 0.5]]
    assert model.heldout.tolist() == [False, True, False]
    assert otl.io.read_plier(write(nodes(heldOutGenes=None))).heldout.sum() == 0
    assert otl.io.read_plier(write(nodes(B=NULL, heldOutGenes=NULL))).score_cov is None


def as_altrep(name, state):
    return serialise(altrep(name, state), {})


def pair(*items) -> bytes:
    return struct.pack(">i", 2) + b"".join(serialise(item, {}) for item in items)


def test_compact_forms_of_vectors(write):
    """What R 3.5 and later writes for 1:n, as.character(1:n) and wrapped vectors."""
    rows = as_altrep("deferred_string", pair(altrep("compact_intseq", serialise(real([3, 1, 1]), {})), integer([0])))
    wrapped = as_altrep("wrap_real", serialise(listing([real([2.5]), integer([0, 0])]), {}))
    z = real(np.arange(6.0), dim=integer([3, 2]), dimnames=listing([rows, NULL]))
    model = otl.io.read_plier(write(nodes(Z=z, C=None, U=None, heldOutGenes=None, L2=wrapped)))
    assert model.features.tolist() == ["1", "2", "3"]
    assert model.score_penalty == 2.5


def test_text_in_latin1_and_integers(write):
    names = Node(16, struct.pack(">i", 3) + text("CD19", 4, "latin1") + text("µ", 4, "latin1") + text("é"))
    z = matrix([[1, 0], [0, 2], [1, 1]], make=integer)
    z = z._replace(attributes=z.attributes | {"dimnames": listing([names, NULL])})
    assert otl.io.read_plier(write(nodes(Z=z, C=None, heldOutGenes=None))).features.tolist() == ["CD19", "µ", "é"]


def test_a_data_frame_of_numbers_is_a_matrix(write):
    table = frame({"LV1": real([1.0, 0, 0.5]), "LV2": real([0.0, 2, 0.5])}, 3, GENES)
    assert otl.io.read_plier(write(nodes(Z=table))).loadings[1, 1] == 2


ENVIRONMENT = struct.pack(">ii", 4, 0) + NULL * 4
CLOSURE = struct.pack(">i", 3) + NULL * 3
CALL = struct.pack(">i", 6) + struct.pack(">i", 1) + text("system") + NULL
POINTER = struct.pack(">i", 22) + NULL * 2
S4 = struct.pack(">i", 25 | 0x300) + NULL


@pytest.mark.parametrize(
    ("node", "word"),
    [
        (ENVIRONMENT, "an environment"),
        (struct.pack(">i", 253), "an environment"),
        (CLOSURE, "a function"),
        (CALL, "code"),
        (POINTER, "an external pointer"),
        (S4, "an S4 object, such as a sparse matrix"),
        (struct.pack(">i", 24), "raw bytes"),
        (struct.pack(">i", 77), "something of type 77"),
    ],
)
def test_what_is_no_plain_data(node, word, write):
    refused(write(rds(node)), f"it holds {word.split(',')[0]}|no list")
    refused(write(nodes(other=node)), word, "only vectors, matrices, lists and data frames are read")
    hidden = real([1.0], comment=node)
    refused(write(nodes(L2=hidden)), word)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "cut off"),
        (b"no serialisation at all", "no binary .rds file"),
        (b"RDX3\nX\n", "a workspace of R"),
        (b"A\n3\n", "no binary .rds file"),
        (b"X\n" + struct.pack(">iii", 9, 0, 0), "version 9"),
        (rds(real([1.0])), "no list"),
        (rds(listing([real([1.0])])), "no PLIER result: its list has no names"),
        (rds(listing([real([1.0])], ["scores"])), "no PLIER result: its list has 'scores'"),
        (rds(listing([real([1.0])], ["Z", "U"])), "1 values and 2 names"),
        (rds(listing([real([1.0]), real([1.0])], ["Z", "Z"])), "more than one 'Z'"),
        (rds(frame({"Z": real([1.0])}, 1)), "a data frame"),
        (as_rds(nodes()) + b"more", "goes on after the end"),
        (rds(struct.pack(">iii", 19, 1, 255 | 7 << 8)), "a reference points nowhere"),
    ],
)
def test_no_result_at_all(content, word, write):
    for pack in (bytes, gzip.compress):
        refused(write(content, pack), word)


def test_cut_off_anywhere(write):
    whole = as_rds(nodes())
    for end in (*range(0, len(whole), 37), len(whole) - 1):
        refused(write(whole[:end]))
    packed = gzip.compress(whole)
    for end in range(1, len(packed), 29):
        refused(write(packed[:end], bytes))
    xz = lzma.compress(whole)
    refused(write(xz[: len(xz) // 2], bytes), "damaged or cut off")


@pytest.mark.filterwarnings("ignore:The scores in:omicstl.ScaleWarning")
def test_flipped_bytes_are_refused_or_harmless(write):
    """Without a checksum some changes give another number; nothing else than `ValueError` may come of the rest."""
    whole, read, seen = as_rds(nodes()), 0, 0
    rng = np.random.default_rng(0)
    for at in rng.integers(len(whole), size=150):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(rng.integers(8))
        path = write(bytes(changed), bytes)
        message = ""
        try:
            otl.io.read_plier(path)
            read += 1
        except ValueError as error:
            message = str(error)
        seen += "cannot be used as a PLIER result" in message
    assert read + seen == 150
    assert 0 < read < 75
    packed = bytearray(gzip.compress(whole))
    packed[len(packed) // 2] ^= 4  # a compressed file has one
    refused(write(bytes(packed), bytes), "damaged")


LONG = struct.pack(">iii", -1, 1 << 8, 0)  # 2^40 elements


@pytest.mark.parametrize(
    "node",
    [
        Node(14, LONG),
        Node(13, struct.pack(">i", 2**31 - 1)),
        Node(16, LONG),
        Node(19, LONG),
        Node(14, struct.pack(">i", -7)),
        Node(16, struct.pack(">iii", 1, 9, 2**31 - 1)),
        altrep("compact_intseq", serialise(real([1e12, 1, 1]), {})),
        altrep("compact_realseq", serialise(real([np.nan, 1, 1]), {})),
        altrep("compact_intseq", serialise(real([]), {})),
        altrep("my_class", serialise(real([1.0]), {})),
    ],
)
@pytest.mark.parametrize("name", ["Z", "L2"])
def test_declared_sizes_are_not_believed(name, node, write):
    path = write(nodes(**{name: serialise(node, {})}))
    tracemalloc.start()
    refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


def test_a_bomb_of_zeros(write, monkeypatch):
    """50 MB of zeros in 50 kB: beyond the bound it is refused while it is read; below, what is not needed is not held."""
    node = Node(14, struct.pack(">i", 6_500_000) + bytes(52_000_000))
    path = write(nodes(residual=node))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    otl.io.read_plier(path)
    peak = tracemalloc.get_traced_memory()[1]
    assert peak < 20 * 2**20
    monkeypatch.setattr(_bounded, "MAX_STREAM", 10**7)
    refused(path, "at most 1,250,000 are read|more than 10,000,000 bytes")
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    monkeypatch.undo()
    monkeypatch.setattr(_rds, "MAX_HELD", 10**6)
    refused(write(nodes(B=node)), "it declares a value of 6,500,000 elements")


def test_many_and_deeply_nested_values(write, monkeypatch):
    deep = real([1.0])
    for _ in range(40):
        deep = listing([deep])
    refused(write(nodes(other=deep)), "nested more than 24 deep")
    monkeypatch.setattr(_rds, "MAX_ITEMS", 1000)
    refused(write(nodes(other=strings(["a"] * 1200))), "more than 1,000")


def test_symbols_and_what_refers_to_them(write, monkeypatch):
    """A reference takes four bytes, and what it stands for may take a million."""
    symbol = struct.pack(">i", 1) + text("a" * 2**16)
    many = struct.pack(">ii", 19, 2001) + symbol + struct.pack(">i", 255 | 1 << 8) * 2000
    monkeypatch.setattr(_rds, "MAX_HELD", 2**21)
    for parts, word in (
        ({"Z": many}, "at most 2,097,152 are read"),
        ({"other": listing([symbol] * 300)}, "at most 16,777,216 are read"),
    ):
        path = write(parts)
        tracemalloc.start()
        refused(path, word)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 30 * 2**20


BAD = {
    "no Z": ({"Z": None}, "it has no Z"),
    "no L2": ({"L2": None}, "it has no L2"),
    "Z of text": ({"Z": strings(["a"] * 6, dim=integer([3, 2]))}, "Z is no matrix of numbers"),
    "Z a vector": ({"Z": real([1.0, 2])}, "Z is no matrix"),
    "Z an array": ({"Z": real(np.ones(8), dim=integer([2, 2, 2]))}, "Z is no matrix"),
    "Z of another size": ({"Z": real(np.ones(5), dim=integer([3, 2]))}, "Z is no matrix"),
    "Z a factor": (
        {"Z": Node(13, factor(["a", "b"] * 3).body, factor(["a", "b"] * 3).attributes | {"dim": integer([3, 2])})},
        "Z is no matrix",
    ),
    "Z with a text column": ({"Z": frame({"LV1": strings(GENES)}, 3, GENES)}, "Z is no matrix"),
    "Z with NaN": (
        {"Z": matrix([[np.nan, 0], [1, 1], [1, np.inf]], GENES)},
        "Z holds 2 values that are missing, infinite or huge",
    ),
    "Z with NA": ({"Z": matrix([[-(2**31), 0], [1, 1], [1, 1]], GENES, make=integer)}, "Z holds 1 values"),
    "Z huge": ({"Z": matrix([[1e300, 0], [1, 1], [1, 1]], GENES)}, "Z holds 1 values"),
    "Z negative": ({"Z": matrix([[-1.0, 0], [1, 1], [1, 1]], GENES)}, "negative values.*otl.io.factor_table"),
    "Z without names": ({"Z": matrix(np.ones((3, 2)))}, "Z has rows or columns without gene names"),
    "Z with NA names": ({"Z": matrix(np.ones((3, 2)), ["a", None, "b"])}, "without gene names"),
    "Z with empty names": ({"Z": matrix(np.ones((3, 2)), ["a", " ", "b"])}, "without gene names"),
    "genes twice": ({"Z": matrix(np.ones((3, 2)), ["a", "b", "a"])}, "gene names more than once: 'a'"),
    "too few names": ({"Z": matrix(np.ones((3, 2)), ["a", "b"])}, "Z is no matrix"),
    "no genes": ({"Z": matrix(np.ones((0, 2)), [])}, "Z is empty: 0 rows and 2 columns"),
    "L2 zero": ({"L2": real([0.0])}, "L2 must be a number above 0, got 0"),
    "L2 NaN": ({"L2": real([np.nan])}, "L2 must be a number above 0"),
    "L2 two numbers": ({"L2": real([1.0, 2])}, "L2 is not one number"),
    "L2 text": ({"L2": strings(["2"])}, "L2 is not one number"),
    "U of three factors": ({"U": matrix(np.ones((2, 3)), SETS)}, "U has 3 columns .factors., and Z has 2"),
    "U negative": ({"U": matrix(-np.ones((2, 2)), SETS)}, "U holds negative values"),
    "sets twice": ({"U": matrix(np.ones((2, 2)), ["B", "B"])}, "U has gene set names more than once: 'B'"),
    "B of three factors": ({"B": matrix(np.ones((3, 4)))}, "B has 3 rows .factors., and Z has 2"),
    "B with NaN": ({"B": matrix([[np.nan] * 4] * 2)}, "B holds 8 values"),
    "C of other genes": ({"C": matrix(np.zeros((3, 2)), ["CD19", "CD3E", "X"], SETS)}, "not the same: 'NKG7', 'X'"),
    "C of other sets": ({"C": matrix(np.zeros((3, 1)), GENES, ["B"])}, "C has 1 gene sets and U 2"),
    "C of other numbers": ({"C": matrix(np.full((3, 2), 0.5), GENES, SETS)}, "C must hold 0 and 1"),
    "C without U": ({"U": None}, "the gene sets C without their weights U"),
    "held out of nothing": (
        {"heldOutGenes": listing([strings(["NKG7"])], ["D"])},
        "heldOutGenes names 'D', which is not in U",
    ),
    "held-out strangers": (
        {"heldOutGenes": listing([strings(["X"])], ["B"])},
        "heldOutGenes names 'X', which is not in Z",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_parts_that_do_not_agree(what, write):
    changes, word = BAD[what]
    refused(write(nodes(**changes)), word)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "Z.tsv").write_text("\tV1\tV2\nCD19\t1\t0\nCD3E\t0\t2\nNA\t1\t1\n")
    (folder / "parameters.tsv").write_text("\tvalue\nL2\t2\n")
    return folder


def test_a_gene_called_na_is_a_gene(folder):
    assert otl.io.read_plier(folder).features.tolist() == ["CD19", "CD3E", "NA"]


@pytest.mark.parametrize(
    ("file", "content", "word"),
    [
        ("Z.tsv", b"", "'Z.tsv' is empty"),
        ("Z.tsv", b"\tV1\n", "no line after the names"),
        ("Z.tsv", b"gene\nCD19\n", "'Z.tsv' has 1 column; names of the rows"),
        ("Z.tsv", b"\tV1\nCD19\tNA\n", "'Z.tsv' cannot be read as a table: could not convert string to float"),
        ("Z.tsv", b"\tV1\nCD19\t1\nCD3E\t1\t2\t3\n", "'Z.tsv' cannot be read as a table"),
        ("Z.tsv", b"\tV1\nCD19\t1\t2\t3\nCD3E\t1\t2\t3\n", "'Z.tsv' has 2 names of columns and 4 fields"),
        ("Z.tsv", b"\tV1\tV2\nCD19\t1\t1\nCD3E\t1", "'Z.tsv' cannot be read as a table"),
        (
            "C.tsv.gz",
            gzip.compress(b"\t" * 2_000_000 + b"\nCD19\t1\n", mtime=0),
            "'C.tsv.gz' has more than 1,000,000 columns",
        ),
        ("Z.tsv", b"\tV1\nCD19\tInf\n", "Z holds 1 values that are missing, infinite"),
        ("Z.tsv", b"\xff\xfe\tV1\nCD19\t1\n", "codec can't decode"),
        ("Z.csv", b",V1\nCD19,1\n", "it has Z twice: 'Z.tsv' and 'Z.csv'"),
        ("U.tsv", b"\tV1\nB\t1\n", "U has 1 columns"),
        ("C.tsv.gz", gzip.compress(b"\tB\nCD19\t1\n", mtime=0)[:-9], "damaged or cut off"),
        ("parameters.tsv", b"\ta\tb\nL2\t1\t2\n", "parameters has 3 columns"),
        ("parameters.tsv", b"\tvalue\nL2\ttwo\n", "could not convert string to float: 'two'"),
        ("parameters.tsv", b"\tvalue\nL1\t2\n", "it has no L2"),
        ("heldOutGenes.tsv", b"\tpathway\tgene\n1\tB\tCD19\n", "'set' and 'gene' are needed"),
    ],
)
def test_tables_that_are_refused(file, content, word, folder):
    (folder / file).write_bytes(content)
    refused(folder, word)


def test_a_folder_of_something_else(tmp_path):
    refused(tmp_path, "it has no Z")


def test_a_table_that_is_a_bomb(folder, monkeypatch):
    monkeypatch.setattr(_plier_tables, "MAX_TABLE", 10**6)
    (folder / "B.tsv.gz").write_bytes(gzip.compress(b"\ts1\n" + b"LV1\t0\n" * 10**6))
    refused(folder, "more than 1,000,000 bytes")
