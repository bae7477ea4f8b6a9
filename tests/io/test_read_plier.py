"""Published PLIER results: what is read from an R list and from tables, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import rdata
from scipy.stats import mannwhitneyu

import omicstl as otl
from omicstl._data import store
from omicstl.models.factors import projection
from omicstl.models.factors.plier import published as plier_published
from tests.contract.cases import fitted, query
from tests.support.rds import factor, frame, integer, listing, matrix, rds, real, strings


def published() -> dict:
    """What PLIER would return in R for the fit of the cases: C without its held-out members, B of its own data."""
    reference = fitted()
    model = otl.get.model(reference)
    trained, heldout = model.trained.toarray(), (model.prior - model.trained).toarray() > 0
    names = [f"LV{i + 1}" for i in range(model.names.size)]
    return {
        "Z": pd.DataFrame(model.loadings.astype(np.float64), model.features, names),
        "U": pd.DataFrame(model.weights.astype(np.float64), model.sets, names),
        "C": pd.DataFrame(trained, model.features, model.sets),
        "B": pd.DataFrame(reference.obsm["plier"].T.astype(np.float64), names, reference.obs_names),
        "L1": model.prior_weight,
        "L2": model.score_penalty,
        "L3": model.set_penalty,
        "heldOutGenes": {s: list(model.features[heldout[:, j]]) for j, s in enumerate(model.sets)},
        "summary": summary(reference),
    }


def summary(reference) -> pd.DataFrame:
    table = reference.uns["plier"]["summary"]
    number = table["factor"].str.split().str[0].str[2:]
    return pd.DataFrame(
        {
            "pathway": table["set"],
            "LV index": number,
            "AUC": table["auc"],
            "p-value": table["p_nominal"],
            "FDR": table["fdr_nominal"],
        }
    )


def r_list(parts: dict) -> dict:
    """The same as values of R, with the residuals and the tables that are not read."""
    nodes = {"residual": real(np.zeros(50))}
    for name in ("B", "Z", "U", "C"):
        table = parts[name]
        nodes[name] = matrix(table.to_numpy(), table.index, None if name == "Z" else table.columns)
    nodes |= {name: real([parts[name]]) for name in ("L1", "L2", "L3")}
    held = parts["heldOutGenes"]
    nodes["heldOutGenes"] = listing([strings(genes) for genes in held.values()], held)
    nodes["withPrior"] = integer([1, 2], names=strings(["LV1", "LV2"]))
    table = parts["summary"]
    columns = {name: strings(list(table[name])) if i < 2 else real(table[name]) for i, name in enumerate(table)}
    nodes["summary"] = frame(columns, len(table))
    return nodes


def as_rds(nodes: dict) -> bytes:
    return rds(listing(nodes.values(), nodes))


@pytest.fixture(scope="module")
def parts():
    return published()


@pytest.fixture
def write(tmp_path):
    def write(nodes, name="plier.rds", pack=gzip.compress):
        path = tmp_path / name
        path.write_bytes(pack(nodes if isinstance(nodes, bytes) else as_rds(nodes)))
        return path

    return write


@pytest.fixture
def folder(tmp_path, parts):
    """Tables as ``write.table(x, sep = "\\t", quote = FALSE, col.names = NA)`` leaves them."""
    for name in ("Z", "U", "C", "B", "summary"):
        parts[name].to_csv(tmp_path / f"{name}.tsv", sep="\t")
    pd.DataFrame({"value": {name: parts[name] for name in ("L1", "L2", "L3")}}).to_csv(
        tmp_path / "parameters.tsv", sep="\t"
    )
    pairs = [(s, gene) for s, genes in parts["heldOutGenes"].items() for gene in genes]
    pd.DataFrame(pairs, columns=["set", "gene"]).to_csv(tmp_path / "heldOutGenes.tsv", sep="\t")
    return tmp_path


def same(one, two) -> bool:
    return store.digest(one.to_dict()) == store.digest(two.to_dict())


def test_an_r_list_gives_the_fit_back(parts, write):
    own = otl.get.model(fitted())
    model = otl.io.read_plier(write(r_list(parts)))
    assert model.kind == "plier"
    for name in ("loadings", "weights", "auc", "heldout", "prior_indices", "prior_indptr"):
        np.testing.assert_array_equal(getattr(model, name), getattr(own, name), err_msg=name)
    for name in ("features", "sets", "names"):
        assert getattr(model, name).tolist() == getattr(own, name).tolist()
    assert (model.prior_weight, model.score_penalty, model.set_penalty) == pytest.approx(
        (own.prior_weight, own.score_penalty, own.set_penalty), rel=0
    )
    assert model.n_obs == own.n_obs
    assert model.mean is model.scale is None
    assert "learnt from" in repr(model)
    assert "no training mean and spread" in repr(model)
    np.testing.assert_allclose(model.score_cov, np.cov(parts["B"].to_numpy()), atol=1e-4)


def test_projection_gives_the_published_scores(parts, write):
    reference = fitted()
    bare = ad.AnnData(reference.X, obs=reference.obs[[]], var=reference.var[[]])
    otl.tl.project(bare, otl.io.read_plier(write(r_list(parts))), standardize="query", missing="mean")
    np.testing.assert_allclose(bare.obsm["plier"].T, parts["B"], atol=2e-4 * np.abs(parts["B"].to_numpy()).max())
    assert bare.uns["plier"]["reference"]["kind"] == "plier"
    assert "Taroni" in otl.cite(bare)
    assert "@article{Mao2019" in otl.cite(bare)


def test_quality_is_near_that_of_the_fit(parts, write):
    """The noise is estimated without the data; its sum over genes is exact but for what is clipped."""
    own, model = otl.get.model(fitted()), otl.io.read_plier(write(r_list(parts)))
    assert model.noise.mean() == pytest.approx(own.noise.mean(), abs=0.01)
    assert np.corrcoef(model.noise, own.noise)[0, 1] > 0.9
    for step in (1, 2, 4):
        present = np.arange(0, own.features.size, step)
        one, two = (projection.factor_quality(m, present, projection.panel(m, present, "model")) for m in (own, model))
        np.testing.assert_allclose(two.expected_r, one.expected_r, atol=0.02)
        np.testing.assert_allclose(two.expected_slope, one.expected_slope, atol=0.02)


def test_noise_against_the_residuals():
    """Where all residuals are seen: a ridge on random loadings."""
    rng = np.random.default_rng(0)
    z, y = (
        np.abs(rng.standard_normal((300, 4))),
        rng.standard_normal((300, 50)) + rng.standard_normal((300, 4)) @ rng.standard_normal((4, 50)),
    )
    y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, ddof=1, keepdims=True)
    b = np.linalg.solve(z.T @ z + 20 * np.eye(4), z.T @ y)
    names = [f"g{i}" for i in range(300)]
    result = plier_published.Published(Z=pd.DataFrame(z, names), L2=20.0, B=pd.DataFrame(b))
    _, noise = plier_published.moments(plier_published.check(result))
    assert noise.mean() == pytest.approx(((y - z @ b) ** 2).sum(axis=1).mean() / 49, abs=1e-3)


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gzip", "bzip2", "xz"]
)
def test_every_compression_of_r(pack, parts, write):
    assert same(otl.io.read_plier(write(r_list(parts), "a.RDS", pack)), otl.io.read_plier(write(r_list(parts))))


def test_version_2_of_the_format_and_another_writer(parts, write, tmp_path):
    old = write(rds(listing(r_list(parts).values(), r_list(parts)), version=2), "old.rds")
    assert same(otl.io.read_plier(old), otl.io.read_plier(write(r_list(parts))))
    table = parts["Z"]
    rdata.write_rds(tmp_path / "other.rds", {"Z": table.set_axis(table.index.astype(object)), "L2": np.array([2.5])})
    model = otl.io.read_plier(tmp_path / "other.rds")
    np.testing.assert_array_equal(model.loadings, table.to_numpy(np.float32))
    assert model.features.tolist() == table.index.tolist()
    assert model.score_penalty == 2.5


def test_a_folder_of_tables_gives_the_same(parts, folder, write):
    assert same(otl.io.read_plier(folder), otl.io.read_plier(write(r_list(parts))))
    for name in ("Z", "U"):  # write.table's own default: no name over the row names, and quotes; another separator
        (folder / f"{name}.tsv").unlink()
        text = parts[name].to_csv(quoting=2).split(",", 1)[1]
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert same(otl.io.read_plier(str(folder)), otl.io.read_plier(write(r_list(parts))))


def test_the_least_that_is_needed(parts, folder):
    for name in ("U", "C", "B", "summary", "heldOutGenes"):
        (folder / f"{name}.tsv").unlink()
    (folder / "parameters.tsv").write_text("\tvalue\nL2\t3\n")
    model = otl.io.read_plier(folder)
    assert model.names.tolist() == [f"LV{i + 1}" for i in range(model.names.size)]
    assert model.sets.size == 0
    assert model.score_cov is model.noise is None
    assert model.n_obs == 0
    assert np.isnan(model.prior_weight)
    assert "learnt elsewhere" in repr(model)
    adata = query()
    otl.tl.project(adata, model, standardize="query")
    table = otl.io.factor_table(parts["Z"], penalty=3)
    other = query()
    otl.tl.project(other, table, standardize="query")
    np.testing.assert_array_equal(adata.obsm["plier"], other.obsm["factor_table"])


def test_sets_without_members_are_named_by_the_published_tests(parts, folder):
    own = otl.get.model(fitted())
    for name in ("C", "heldOutGenes"):
        (folder / f"{name}.tsv").unlink()
    model = otl.io.read_plier(folder)
    assert model.names.tolist() == own.names.tolist()
    assert any(" " in name for name in model.names)
    assert model.prior.nnz == 0
    assert (model.auc == 0.5).all()
    assert len(otl.get.loadings(model)) == own.features.size


def test_factors_of_r_are_read_by_their_levels(parts, write):
    """Before R 4 the columns of `summary` are factors: their codes are not the numbers of the factors."""
    nodes = r_list(parts)
    del nodes["heldOutGenes"]
    del nodes["C"]
    table = parts["summary"]
    columns = {
        name: factor([str(v) for v in table[name]]) if i < 2 else real(table[name]) for i, name in enumerate(table)
    }
    nodes["summary"] = frame(columns, len(table))
    assert otl.io.read_plier(write(nodes)).names.tolist() == otl.get.model(fitted()).names.tolist()


def test_names_follow_held_out_members(parts, write):
    """The named set of a factor is confirmed by its held-out members, tested here with scipy."""
    model = otl.io.read_plier(write(r_list(parts)))
    prior, heldout = model.prior.toarray() > 0, (model.prior - model.trained).toarray() > 0
    named = [i for i, name in enumerate(model.names) if " " in name]
    assert named
    for i in named:
        j = model.sets.tolist().index(model.names[i].split(" ", 1)[1])
        outside = ~prior[:, model.weights[:, i] > 0].any(axis=1)
        z = model.loadings[:, i]
        found = mannwhitneyu(z[heldout[:, j]], z[outside], alternative="greater")
        assert found.statistic / (heldout[:, j].sum() * outside.sum()) > 0.7
        assert found.pvalue < 0.05


def test_rows_and_columns_in_any_order(parts, write):
    changed = dict(parts)
    changed["C"] = parts["C"].iloc[::-1, ::-1]
    assert same(otl.io.read_plier(write(r_list(changed))), otl.io.read_plier(write(r_list(parts))))


def test_round_trip_in_a_file(parts, write, tmp_path):
    model = otl.io.read_plier(write(r_list(parts)))
    assert model.to_dict()["version"] == 2
    otl.io.write_model(tmp_path / "m.npz", model)
    assert same(otl.io.read_model(tmp_path / "m.npz"), model)
    tree = model.to_dict() | {"version": 1}
    with pytest.raises(KeyError, match="mean"):
        otl.models.kinds.from_dict(tree)
    assert otl.get.model(fitted()).to_dict()["version"] == 1  # complete models are written as ever


def test_what_needs_the_training_data_is_refused(parts, write):
    model = otl.io.read_plier(write(r_list(parts)))
    for how in ("reference", "center"):
        with pytest.raises(ValueError, match=f"standardize='{how}' needs the mean and spread .* what others publish"):
            otl.tl.project(query(), model, standardize=how)
    with pytest.raises(
        ValueError, match="cannot be standardised automatically.*plier model has no training statistics"
    ):
        otl.tl.project(query()[:3].copy(), model)
    with pytest.raises(ValueError, match="plier model has no training mean to match to: what others publish"):
        otl.pp.match_distribution(query(), model)
    adata = fitted().copy()
    tree = model.to_dict()
    adata.uns["plier"] = {**adata.uns["plier"], "model": tree, "digest": store.digest(tree)}
    with pytest.raises(ValueError, match="fitted and published elsewhere, without the mean and spread"):
        otl.tl.stability(adata, n_refits=1)


def test_scores_that_are_not_centred_draw_a_warning(parts, write):
    changed = dict(parts)
    changed["B"] = parts["B"] + 5
    with pytest.warns(otl.ScaleWarning, match="not centred .* not z-scored before that fit"):
        otl.io.read_plier(write(r_list(changed)))


def test_paths(parts, write, tmp_path, monkeypatch):
    with pytest.raises(TypeError, match="`path` must be a path, got DataFrame"):
        otl.io.read_plier(parts["Z"])
    with pytest.raises(FileNotFoundError, match="There is no file or folder"):
        otl.io.read_plier(tmp_path / "no.rds")
    with pytest.raises(ValueError, match=r"neither an .rds file nor a folder.*otl.io.read_model reads"):
        otl.io.read_plier(write(b"", "model.npz"))
    with pytest.raises(ValueError, match=r"neither an .rds file nor a folder of tables; pass"):
        otl.io.read_plier(write(r_list(parts), "plier.RData"))
    monkeypatch.setitem(sys.modules, "rdata", None)
    with pytest.raises(ImportError, match=r'pip install "omicstl\[r\]"'):
        otl.io.read_plier(write(r_list(parts)))
