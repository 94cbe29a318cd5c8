"""k-means against the definition and scikit-learn, what happens to empty clusters, and that threads change nothing."""

import os
import subprocess
import sys

import numpy as np
import pytest

from scar.runs import Embeddings
from scar.selection.diversity.assign import assign, means
from scar.selection.diversity.kmeans import k_means, lloyd, plus_plus
from scar.selection.diversity.vectors import Vectors
from tests.selection.embedded import families


def vectors(rows):
    return Vectors(Embeddings.of_array(rows), np.arange(len(rows)))


def distances(rows, centres):
    return ((rows.astype(np.float64)[:, None] - centres.astype(np.float64)[None]) ** 2).sum(axis=2)


@pytest.mark.parametrize("scale", [1, 100])
def test_each_row_goes_to_its_nearest_centre(scale):
    draw = np.random.default_rng(0)
    rows = (scale * draw.standard_normal((5000, 8))).astype(np.float32)
    centres = (scale * draw.standard_normal((40, 8))).astype(np.float32)
    labels = assign(rows, centres)
    assert (labels == distances(rows, centres).argmin(axis=1)).all()
    expected = [rows[labels == number].astype(np.float64).mean(axis=0) for number in range(40)]
    np.testing.assert_allclose(means(rows, labels, centres), expected, rtol=1e-4, atol=1e-6 * scale)


def test_of_two_centres_that_are_as_near_the_first_is_taken():
    rows = families(3000, 64, dtype=np.float32)
    centres = np.concatenate([rows[5:15], rows[5:15], rows[:1]])
    assert assign(rows, centres)[5:15].tolist() == distances(rows[5:15], rows[5:15]).argmin(axis=1).tolist()
    # Mirror images are as near exactly, and a matrix product may say otherwise.
    draw = np.random.default_rng(1)
    half = draw.standard_normal((20, 31)).astype(np.float32)
    pair = np.concatenate([np.hstack([half, np.ones((20, 1))]), np.hstack([half, -np.ones((20, 1))])])
    flat = np.hstack([draw.standard_normal((500, 31)), np.zeros((500, 1))]).astype(np.float32)
    assert assign(flat, pair.astype(np.float32)).max() < 20


@pytest.mark.slow
def test_it_reaches_the_inertia_of_scikit_learn_from_the_same_start():
    cluster = pytest.importorskip("sklearn.cluster")
    rows = families(20_000, 16, dtype=np.float32)
    start = rows[np.random.default_rng(0).permutation(len(rows))[:30]]
    theirs = cluster.KMeans(30, init=start, n_init=1, max_iter=20, tol=0, algorithm="lloyd").fit(rows)
    whole = k_means(vectors(rows), 30, start=start, per_centre=1000)
    assert whole.inertia == pytest.approx(theirs.inertia_, rel=1e-4)
    # The default learns on 7,680 of the rows.
    assert k_means(vectors(rows), 30, start=start).inertia <= 1.01 * theirs.inertia_


def test_labels_and_distances_are_those_of_its_centres():
    rows = families(600, 6, dtype=np.float32)
    found = k_means(vectors(rows), 12, per_centre=20)
    exact = distances(vectors(rows).take(np.arange(600)), found.centres)
    assert (found.labels == exact.argmin(axis=1)).all()
    np.testing.assert_allclose(found.distances, exact.min(axis=1), atol=1e-9)
    assert found.inertia == pytest.approx(exact.min(axis=1).sum())
    nearest = [
        members[exact[members, number].argmin()]
        for number in range(12)
        if (members := np.flatnonzero(found.labels == number)).size
    ]
    assert found.central().tolist() == nearest


def test_a_centre_that_loses_its_rows_gets_the_farthest_one():
    rows = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [9.0]], dtype=np.float32)
    centres, _ = lloyd(rows, np.array([[0.1], [5.0], [-50.0]], dtype=np.float32), 20)
    assert sorted(centres.ravel().tolist()) == pytest.approx([0.1, 5.05, 9.0])
    # The farthest, 9, is alone with the centre 5: taking it would leave that one without rows.
    rows = np.array([[0.0], [0.1], [0.2], [9.0]], dtype=np.float32)
    centres, _ = lloyd(rows, np.array([[0.1], [5.0], [-50.0]], dtype=np.float32), 1)
    assert centres.ravel().tolist() == pytest.approx([0.15, 9.0, 0.0])


def test_more_centres_than_distinct_rows_end_well():
    rows = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    found = k_means(vectors(rows), 9)
    assert len(found.centres) == 4 and found.inertia == 0
    centres, _ = lloyd(rows, np.eye(4, dtype=np.float32)[[0, 0, 0, 1]], 20)
    assert len(np.unique(assign(rows, centres))) == 4
    assert k_means(vectors(rows[:1]), 1).labels.tolist() == [0]


def test_first_centres_are_distinct_and_far_ones_are_drawn_more_often():
    rows = np.repeat(np.eye(3, dtype=np.float32), [98, 1, 1], axis=0)
    for seed in range(20):
        assert sorted(rows[plus_plus(rows, 3, np.random.default_rng(seed))].argmax(axis=1)) == [0, 1, 2]
    near = np.array([[1, 0], [0.995, 0.0998], [0, 1]], dtype=np.float32)
    seconds = [
        int(picked[1]) for s in range(300) if (picked := plus_plus(near, 2, np.random.default_rng(s)))[0] == 0
    ]
    # Squared distances of 0.01 and 2: a chance of 1 in 200.
    assert seconds.count(2) >= 0.95 * len(seconds)


PROGRAM = """
import hashlib, numpy as np
from scar.runs import Embeddings
from scar.selection.diversity.kmeans import k_means
from scar.selection.diversity.vectors import Vectors
draw = np.random.default_rng(0)
rows = draw.standard_normal((20000, 48)).astype(np.float16)
found = k_means(Vectors(Embeddings.of_array(rows), np.arange(len(rows))), 60, iterations=6)
print(hashlib.sha256(found.centres.tobytes() + found.labels.tobytes() + found.distances.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_threads_change_nothing():
    run = [sys.executable, "-c", PROGRAM]
    said = {
        subprocess.run(
            run,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": n, "OMP_NUM_THREADS": n},
        ).stdout
        for n in ("1", "2")
    }
    assert len(said) == 1 and len(said.pop()) > 64
