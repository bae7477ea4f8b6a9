"""`cite` says what was done, from what `uns` says."""

import anndata as ad
import numpy as np
import pytest

import omicstl as otl
from omicstl._data.cite import references


def run(**entries):
    return ad.AnnData(np.ones((2, 2), np.float32), uns=entries)


FIT = {
    "kind": "plier",
    "params": {"seed": "0", "holdout": 0.2},
    "names": np.array(["a", "b"]),
    "n_iter": 35,
    "model": {},
}
PROJECTION = {
    "kind": "projection",
    "reference": {"kind": "plier", "digest": "0123456789abcdef", "key": "plier"},
    "params": {"standardize": "query", "missing": "model"},
    "names": np.array(["a", "b", "c"]),
}


def test_bibtex_is_well_formed():
    entries = references()
    assert {"Mao2019", "Taroni2019", "Wolf2018", "Virshup2024", "Bradbury2018", "Banchereau2016", "Chiche2014"} <= set(
        entries
    )
    for text in entries.values():
        assert text.count("{") == text.count("}")
        assert "title" in text
        assert "doi" in text or "url" in text


def test_nothing():
    text = otl.cite()
    assert text.startswith(f"The analysis used omicstl {otl.__version__}")
    assert text.count("\n@") == 3


def test_name():
    text = otl.cite("project")
    assert "@article{Taroni2019," in text
    with pytest.raises(KeyError, match="Did you mean 'plier'"):
        otl.cite("plierr")
    with pytest.raises(TypeError, match="of type int"):
        otl.cite(3)


def test_a_fit():
    text = otl.cite(run(plier=FIT, pca={"params": {}}, other={"kind": "unknown"}, number=np.float64(3)))
    paragraph = text.split("\n\n")[0]
    assert "which gave 2 factors after 35 iterations (seed 0)" in paragraph
    assert "share of 0.2" in paragraph
    assert "@article{Mao2019," in text
    assert "Taroni2019" not in text
    assert "(not recorded)" not in text


def test_a_projection_cites_the_reference_too():
    text = otl.cite(run(plier_projected=PROJECTION, again=PROJECTION))
    paragraph = text.split("\n\n")[0]
    assert paragraph.count("scored on 3 factors of a plier model (SHA-256 0123456789ab)") == 1
    assert "'query'" in paragraph
    assert text.index("Taroni2019,") < text.index("Mao2019,")
    assert text.count("@article{Mao2019,") == 1


def test_what_was_added_to_a_fit():
    adata = run(plier=FIT | {"stability": {"params": {"n_refits": 20}}})
    assert "measured over 20 refits with other seeds" in otl.cite(adata)


def test_after_a_round_trip(tmp_path):
    adata = run(plier=FIT, plier_projected=PROJECTION)
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert otl.cite(ad.read_h5ad(tmp_path / "a.h5ad")).split("\n\n")[0] == otl.cite(adata).split("\n\n")[0]
