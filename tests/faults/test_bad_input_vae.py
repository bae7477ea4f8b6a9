"""Bad input to `tl.vae`: every message says what, got, allowed and the way out, and nothing of the object is changed."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from tests.support import refusals

N, P = 40, 30
FEW = otl.tl.Training(epochs=2, batch_size=20)


def logs():
    rng = np.random.default_rng(0)
    x = rng.normal(8, 1, (N, P)).astype(np.float32)
    obs = pd.DataFrame({"batch": ["a", "b"] * (N // 2), "age": rng.normal(50, 9, N)}, index=[f"S{i}" for i in range(N)])
    return ad.AnnData(x, obs, pd.DataFrame(index=[f"GENE{i}" for i in range(P)]))


def counts():
    adata = logs()
    adata.X = np.random.default_rng(0).poisson(3, (N, P)).astype(np.float32)
    return adata


def changed(make, **values):
    adata = make()
    for place, value in values.items():
        if place == "x":
            adata.X[3, 4] = value
        else:
            adata.obs[place] = value
    return adata


def empty_row():
    adata = counts()
    adata.X[7] = 0
    return adata


def whole(x):
    adata = logs()
    adata.X = x(adata.X)
    return adata


def with_obsm(value):
    adata = logs()
    adata.obsm["modules"] = value
    return adata


def huge():
    """One gene whose z-score no network survives."""
    adata = logs()
    adata.X[:, 0] = 0
    adata.X[3, 0] = 1
    return adata


SETS = {"one": [f"GENE{i}" for i in range(12)], "two": [f"GENE{i}" for i in range(10, 25)]}
NB = {"likelihood": "nb"}
REFUSED = {
    "NaN": (lambda: changed(logs, x=np.nan), {}, ValueError, ["contains 1 NaN value", "'S3'", "'GENE4'", "Impute"]),
    "infinite": (lambda: changed(logs, x=np.inf), {}, ValueError, ["1 infinite", "'S3'", "'GENE4'"]),
    "huge": (lambda: changed(logs, x=1e20), {}, ValueError, [r"1e\+20", "overflow"]),
    "negative counts": (lambda: changed(counts, x=-1), NB, ValueError, ["adata.X has negative values", "raw counts are needed", "layer='counts'"]),
    "broken counts": (lambda: changed(counts, x=1.5), NB, ValueError, ["adata.X is not made of integers", "likelihood='nb'", "layer='counts'", "gaussian"]),
    "log data as counts": (logs, {"likelihood": "zinb"}, ValueError, ["not made of integers", "likelihood='zinb'"]),
    "a cell without counts": (empty_row, NB, ValueError, ["1 observations have no counts in adata.X: 'S7'", "filter_cells"]),
    "shares above one": (logs, {"likelihood": "bernoulli"}, ValueError, ["adata.X has values from", "between 0 and 1", "counts > 0"]),
    "few observations": (lambda: logs()[:9].copy(), {}, ValueError, ["at least 10 observations, got 9", "otl.tl.project"]),
    "no variance at all": (lambda: whole(np.ones_like), {}, ValueError, ["All 30 variables of adata.X have one value", "nothing to learn"]),
    "more factors than genes": (logs, {"n_factors": 31}, ValueError, ["`n_factors` must be at most the 30 variables of adata.X that vary, got 31"]),
    "unknown likelihood": (logs, {"likelihood": "negbin"}, ValueError, ["`likelihood` must be one of 'gaussian'", "got 'negbin'"]),
    "near likelihood": (logs, {"likelihood": "gausian"}, ValueError, ["Did you mean 'gaussian'"]),
    "unknown decoder": (logs, {"decoder": "lienar"}, ValueError, ["`decoder` must be one of 'mlp'", "Did you mean 'linear'"]),
    "no factor": (logs, {"n_factors": 0}, ValueError, ["`n_factors` must be >= 1, got 0"]),
    "layers of nothing": (logs, {"hidden": (10, 0)}, ValueError, ["`hidden` must be >= 1, got 0", r"hidden=\(250, 100\)"]),
    "one number for layers": (logs, {"hidden": 128}, TypeError, ["`hidden` must be a list of integers", r"got 128 .*hidden=\[128\]"]),
    "negative weight": (logs, {"kl_weight": -1.0}, ValueError, ["`kl_weight` must be >= 0"]),
    "warm-up beyond the end": (logs, {"kl_warmup": 3}, ValueError, ["`kl_warmup` must be at most the number of epochs, got 3 of 2"]),
    "training of another kind": (logs, {"training": 50}, TypeError, ["`training` must be an otl.tl.Training or None, got 50"]),
    "a mask without sets": (logs, {"decoder": "masked"}, ValueError, ["decoder='masked' needs `gene_sets`"]),
    "sets without a mask": (logs, {"decoder": "mlp", "gene_sets": SETS}, ValueError, ["`gene_sets` have no use with decoder='mlp'"]),
    "factors beside sets": (logs, {"n_factors": 5, "gene_sets": SETS}, ValueError, ["`n_factors` has no use with decoder='masked', got n_factors=5", "n_extra"]),
    "extra without sets": (logs, {"n_extra": 2}, ValueError, ["`n_extra` has no use with decoder='mlp'"]),
    "min_genes without sets": (logs, {"min_genes": 5, "decoder": "linear"}, ValueError, ["`min_genes` has no use with decoder='linear'"]),
    "positive hidden layers": (logs, {"positive": True}, ValueError, ["positive=True", "decoder='linear'"]),
    "no set left": (logs, {"gene_sets": {"few": ["GENE1"]}}, ValueError, ["None of the 1 sets", "min_genes=10", "'few', has 1"]),
    "sets of other genes": (logs, {"gene_sets": {"x": ["A", "B"]}}, ValueError, ["No gene is shared"]),
    "no such batch": (logs, {"batch_key": "bacth"}, KeyError, ["'bacth' not found in adata.obs", "Did you mean 'batch'"]),
    "batch twice": (logs, {"batch_key": "batch", "covariates": ["batch"]}, ValueError, ["'batch' is named as `batch_key` and in `covariates`"]),
    "covariates as text": (logs, {"covariates": "age"}, TypeError, ["`covariates` must be a list of names", r"covariates=\['age'\]"]),
    "missing batch": (lambda: changed(logs, batch=[None] * 2 + ["a", "b"] * 19), {"batch_key": "batch"}, ValueError, [r"adata.obs\['batch'\] is missing in 2 of 40", "unknown"]),
    "one batch": (lambda: changed(logs, batch="a"), {"batch_key": "batch"}, ValueError, ["has one level, 'a'", "nothing to adjust for"]),
    "a batch of one": (lambda: changed(logs, batch=["a"] * 39 + ["b"]), {"batch_key": "batch"}, ValueError, ["single observation: 'b'", "Merge"]),
    "one age": (lambda: changed(logs, age=3.0), {"covariates": ["age"]}, ValueError, [r"adata.obs\['age'\] has one value"]),
    "two places": (logs, {"layer": "a", "obsm": "b"}, ValueError, ["`layer` and `obsm` are two places"]),
    "no such layer": (logs, {"layer": "counts"}, KeyError, ["'counts' not found in adata.layers"]),
    "no such matrix": (lambda: with_obsm(np.ones((N, 3))), {"obsm": "module"}, KeyError, ["'module' not found in adata.obsm", "Did you mean 'modules'"]),
    "text in a matrix": (lambda: with_obsm(np.full((N, 3), "a")), {"obsm": "modules"}, TypeError, [r"adata.obsm\['modules'\] must be a matrix of real numbers"]),
    "no folder": (logs, {"model_path": "nowhere/vae.npz"}, FileNotFoundError, ["'nowhere' of `model_path` does not exist"]),
    "divergence": (huge, {"hidden": (), "kl_weight": 3e38}, ValueError, ["diverged in epoch", "lower learning rate", "largest absolute value was 6"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, options, error, words = REFUSED[name]
    few = {} if "gene_sets" in options else {"n_factors": 2}
    refusals.refused(otl.tl.vae, make(), error, words, **({"training": FEW} | few | options))


def test_a_model_too_large_is_refused_before_the_fit(monkeypatch):
    from omicstl.models.factors.vae import fit

    monkeypatch.setattr(fit, "fit_vae", lambda *args, **kwargs: pytest.fail("it was fitted"))
    with otl.settings.override(model_in_adata=10_000):
        refusals.refused(
            otl.tl.vae,
            logs(),
            ValueError,
            ["The model would take 0 MB", "model_path='vae.npz'", "hidden"],
            training=FEW,
        )


def test_the_size_is_known_before_the_fit():
    from omicstl._data import store
    from omicstl.models.factors.vae.options import VaeOptions, size_in_bytes

    for hidden in ((9, 5), ()):
        adata = logs()
        otl.tl.vae(adata, n_factors=3, hidden=hidden, batch_key="batch", decoder="linear", training=FEW)
        options = VaeOptions(n_factors=3, hidden=hidden, decoder="linear")
        expected = store.n_bytes(adata.uns["vae"]["model"])
        assert size_in_bytes(options, P, 2, N) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("make", "options", "words"), [
    (counts, {}, "looks like raw counts"),
    (lambda: whole(lambda x: 2**x), {}, "not a logarithmic scale"),
])  # fmt: skip
def test_doubts_about_the_scale(make, options, words):
    with pytest.warns(otl.ScaleWarning, match=words):
        otl.tl.vae(make(), n_factors=2, hidden=(4,), training=FEW, **options)
