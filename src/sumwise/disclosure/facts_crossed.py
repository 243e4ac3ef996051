"""Facts of mixed models with several grouping factors, or many effects a group.

The atom is the component: levels that a chain of rows joins.  Of a component, as of a group, everything that leaves of
a linear model is made of A = Z'WZ and B = Z'W [X y], Z being the columns of all its levels, and of a generalized one
its log-likelihood and derivatives.  So components are judged where models of one factor judge groups (facts_lmm.py,
facts_vectors.py); a level's share in anything is part of its component's.

Where crossed levels make one component of a site its sums are that component's, and those of its levels follow from
enough rounds: a policy that lets no group be told refuses.  One that does (min_groups = 1) lets each level be told, so
the smallest group is the level with the fewest rows, of any factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, eye_array, hstack
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsmr, splu

from sumwise.disclosure import facts_lmm
from sumwise.disclosure.facts import DesignFacts, linear_design, spanned
from sumwise.disclosure.facts_lmm import NOISE, PASSES, ROUNDING, SOME, asked, share_of_residuals
from sumwise.disclosure.facts_vectors import Effects, vector_design
from sumwise.disclosure.figures import by_name, digit_gaps, effective, leverage, told, widest
from sumwise.disclosure.figures_groups import group_leverage, of_groups, share, told_share
from sumwise.maths import covariance
from sumwise.maths.columns import Column
from sumwise.models.crossed_terms import RandomTerm, Terms
from sumwise.models.glmm_vectors_messages import VectorQuestion

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST = 300
"""Effects of a component up to which it is compared with others.  A larger one is like no other: its share is 1."""

LARGEST_INFORMATION = 2000
"""The same for its part in the information about beta."""


class Rows(facts_lmm.Rows, Protocol):
    """Rows of a model with several terms in brackets; z: the columns of all of them."""

    @property
    def size(self) -> Floats: ...
    @property
    def random(self) -> Sequence[RandomTerm]: ...


@dataclass(frozen=True, slots=True)
class ByComponent:
    """The rows, with their components in the place of groups.   fewest: rows of the level that has the fewest, of
    those in which an effect is not zero.
    """

    rows: Rows
    group: Ints
    groups: range
    fewest: int

    @staticmethod
    def of(rows: Rows, counted: Floats) -> ByComponent:
        """counted (n,): zero in rows that take no part; they join nothing."""
        live, codes, at = counted > 0, [], 0
        for term in rows.random:
            codes.append(at + term.group)
            at += len(term.groups)
        first, others = codes[0], codes[1:] or codes
        ends = [np.concatenate([one[live] for one in some]) for some in ([first] * len(others), others)]
        links = coo_array((np.ones(len(ends[0]), dtype=np.int8), (ends[0], ends[1])), shape=(at, at))
        label = np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)
        used, group = np.unique(label[first], return_inverse=True)
        counts = [np.bincount(term.group[live & (z != 0)]) for term in rows.random for z in term.z]
        fewest = min((int(count[count > 0].min(initial=len(rows.y))) for count in counts), default=0)
        return ByComponent(rows, np.asarray(group, dtype=np.int64), range(len(used)), fewest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rows, name)

    @property
    def terms(self) -> Terms:
        """The terms in brackets."""
        return Terms(self.rows.random)


def crossed_lmm_design(rows: Rows, effects: Sequence[str], parameters: int) -> DesignFacts:
    """Facts of a linear mixed model's rows.  effects: names of the columns of Z; parameters: that it estimates."""
    base, w = linear_design(rows), np.ones(len(rows.y)) if rows.weights is None else rows.weights
    by, names = ByComponent.of(rows, w), [f"the effect '{name}'" for name in effects]
    response = rows.y if rows.offset is None else rows.y - rows.offset
    within = [r for r in _within([*rows.x, response], rows, w) if r.any()]
    judged = [leverage([*spanned(rows), *(Column((z,)) for z in rows.z)], rows.weights)]
    if within:
        judged.append(leverage([Column((r,)) for r in within], rows.weights))
    groups = _live(by, w)
    return replace(
        base,
        parameters=parameters,
        groups=groups,
        smallest_group=by.fewest,
        effective=base.effective | by_name(names, [effective(z, w) for z in rows.z]),
        leverage=max(base.leverage, *judged),
        digit_gaps=widest([base.digit_gaps, *(digit_gaps(z) for z in rows.z)]),
        group_leverage=1.0 if groups < 2 else _apart(by, within, w, groups - 1),
    )


def crossed_vector_design(by: ByComponent, family: str, effects: Sequence[str], parameters: int) -> DesignFacts:
    """Facts of a generalized linear mixed model's rows, as crossed_lmm_design."""
    return replace(vector_design(by, family, effects, parameters), smallest_group=by.fewest)


def effects_of_components(by: ByComponent, question: VectorQuestion, site: Any) -> Effects:
    """At the question's only point.  site: who answers (models/glmm_crossed_site.py).  Laplace's approximation looks at
    the modes alone.
    """
    point, p = question.points[0], len(by.rows.x)
    terms, moved = by.terms, [v - c for v, c in zip((*by.rows.x, *by.rows.z), question.centre, strict=True)]
    Lambda = terms.factors(point[p : p + covariance.size(terms.blocks)])
    effect, _ = site.modes(question)
    eta, turned = np.zeros(len(by.rows.y)), []
    starts = np.cumsum([p, *terms.blocks])
    for f, of_factor in enumerate(terms.of_factor):
        code = by.rows.random[of_factor[0]].group
        columns = [moved[k] for t in of_factor for k in range(starts[t], starts[t + 1])]
        eta = eta + sum(z * effect[f][code, k] for k, z in enumerate(columns))
        own = [sum(z * Lambda[f][i, k] for i, z in enumerate(columns)) for k in range(len(columns))]
        turned += [_sparse(a, code, len(by.rows.random[of_factor[0]].groups)) for a in own]
    Z = hstack(turned).tocsr()

    def largest(w: Floats) -> float:
        return max(share(_information(by, moved[:p], Z, w)), _moved(by, moved[:p], Z, w))

    return Effects(eta, np.zeros(len(eta)), largest)


# -- components --


def _live(by: ByComponent, w: Floats) -> int:
    return int(np.count_nonzero(of_groups((w > 0).astype(np.float64), by.group, len(by.groups))))


def _sparse(z: Floats, code: Ints, levels: int) -> csr_array:
    """(n, levels): z at the level of its row."""
    return csr_array((z, code, np.arange(len(z) + 1)), shape=(len(z), levels))


def _columns_of_levels(rows: Rows) -> csr_array:
    """Z (n, effects)."""
    blocks = [_sparse(z, term.group, len(term.groups)) for term in rows.random for z in term.z]
    return csr_array(hstack(blocks, format="csr"))


def _parts(by: ByComponent, Z: csr_array) -> Iterator[tuple[Ints, csr_array, Ints]]:
    """For each component its rows, its part of Z, and which columns of Z these are."""
    order = np.argsort(by.group, kind="stable")
    sizes = np.bincount(by.group, minlength=len(by.groups))
    for rows in np.split(order.astype(np.int64), np.cumsum(sizes)[:-1]):
        some = Z[rows]
        used = np.unique(some.indices).astype(np.int64)
        yield rows, some[:, used], used


def _within(columns: Sequence[Floats], rows: Rows, w: Floats) -> list[Floats]:
    """(n,) what the effects of all levels leave of the columns; zero where that is rounding."""
    root = np.sqrt(w)
    Z = _columns_of_levels(rows).multiply(root[:, None]).tocsr()
    size = np.sqrt(np.asarray(Z.multiply(Z).sum(axis=0)).ravel())
    Z = Z.multiply(1 / np.where(size > 0, size, 1.0)).tocsr()
    found = []
    for column in columns:
        rest = root * column
        for _ in range(PASSES):
            rest = rest - Z @ lsmr(Z, rest, atol=1e-13, btol=1e-13, conlim=0, maxiter=10_000)[0]
        rest = np.divide(rest, root, out=np.zeros(len(w)), where=w > 0)
        rest[np.abs(rest) <= ROUNDING * np.abs(column).max(initial=0.0)] = 0.0
        found.append(rest)
    return found


def _apart(by: ByComponent, within: Sequence[Floats], w: Floats, others: int) -> float:
    """The largest share of one component in what leaves of a linear mixed model, as of a group in facts_lmm.py.  And of
    a level in the sums that bring starting values.
    """
    columns, weights, count = spanned(by.rows), by.rows.weights, len(by.groups)
    return max(
        _between(by, w, others),
        group_leverage(columns[:-1], weights, by.group, count),
        told(group_leverage(columns, weights, by.group, count), others),
        told(share_of_residuals([r * np.sqrt(w) for r in within], by.group), others),
        *(told_share(np.square(sums)) for sums in _of_levels(by.rows, w)),
    )


def _of_levels(rows: Rows, w: Floats) -> Iterator[Floats]:
    """(levels,) what each level adds to the moments' `between`."""
    y = rows.y if rows.offset is None else rows.y - rows.offset
    for term in rows.random:
        if "(Intercept)" in term.columns:
            total, weight = (of_groups(v, term.group, len(term.groups)) for v in (w * y, w))
            used = weight > 0
            yield total[used] ** 2 / weight[used]
            yield weight[used] ** 2


def _between(by: ByComponent, w: Floats, others: int) -> float:
    """The largest share of one component in a combination of the functions of A that weigh B B', as in facts_lmm.py.

    Whoever knows columns of X, as everybody knows the intercept, knows their part of B, and has equations for that of
    the response alone: those of the intercept count as they are, and those of all columns where others do not hide one.
    """
    Z, kind = _columns_of_levels(by.rows), _kinds(by.rows)
    level = np.concatenate([np.arange(len(t.groups)) for t in by.rows.random for _ in t.z])
    mean = np.asarray(Z.multiply(Z).T @ w).ravel()
    mean = np.array([values.mean() if values.any() else 1.0 for values in np.split(mean, _ends(kind))])
    Z = Z.multiply(1 / np.sqrt(mean[kind])).tocsr()
    X = np.stack([np.ones(len(w)), *(x / max(float(np.abs(x).max(initial=0.0)), 1e-300) for x in by.rows.x)], axis=1)
    squares, lines, known = [], [], []
    alike: dict[tuple[bytes, ...], tuple[Floats, Floats]] = {}
    for rows, part, used in _parts(by, Z):
        if not np.any(w[rows] > 0):
            continue
        if part.shape[1] > LARGEST:
            return 1.0
        weighed = part.multiply(w[rows, None])
        A, of = (part.T @ weighed).toarray(), np.unique(level[used], return_inverse=True)[1]
        key = (A.tobytes(), kind[used].tobytes(), of.tobytes())
        if key not in alike:
            values, vectors = np.linalg.eigh(A)
            alive = values > 1e-12 * max(float(values.max()), 0.0)
            of_values = (values[alive] ** 0.5, values[alive] ** -0.5)
            root, back = (vectors[:, alive] * d @ vectors[:, alive].T for d in of_values)
            alike[key] = (np.array(_functions(by.rows, root, kind[used], of)), back)
        F, back = alike[key]
        upper = np.triu_indices(len(used))
        squares.append(F[:, *upper] * np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0)))
        known.append(back @ (weighed.T @ X[rows]))
        lines.append(F[::SOME] @ known[-1])
    size = np.sqrt(np.sum([np.square(one).sum(axis=0) for one in known], axis=0))
    there = size > ROUNDING * np.sqrt(np.sum(w[:, None] * np.square(X), axis=0))
    of_columns = [(one / np.where(there, size, np.inf)).transpose(0, 2, 1).reshape(-1, one.shape[1]) for one in lines]
    of_intercept = [one[:, :, 0] for one in lines]
    return max(_largest(squares), _largest(of_intercept), told(_largest(of_columns), others))


def _kinds(rows: Rows) -> Ints:
    """Which effect, of all terms, each column of Z is."""
    return np.repeat(np.arange(len(rows.z)), [len(term.groups) for term in rows.random for _ in term.z])


def _ends(kind: Ints) -> Ints:
    return np.flatnonzero(np.diff(kind)) + 1


def _functions(rows: Rows, root: Floats, kind: Ints, level: Ints) -> list[Floats]:
    """(k, k) each, what weighs B B' of a component in units of A.  root: of A; kind, level (k,): of its effects, whose
    mean diagonal of A is 1.
    """
    term = np.repeat(np.arange(len(rows.random)), [len(t.z) for t in rows.random])
    names = [name for t in rows.random for name in t.columns]
    same, one = level[:, None] == level, np.eye(len(kind))
    found = [root @ np.linalg.pinv(root, rcond=1e-9, hermitian=True)]
    for S in asked(np.ones(len(names))):
        inside = root @ ((S * (term[:, None] == term))[kind][:, kind] * same) @ root  # terms do not vary together
        K = inside @ np.linalg.inv(one + inside)
        found.append((K + K.T) / 2)
    diagonal = np.maximum(np.square(root).sum(axis=0), 1e-300)
    intercepts = [kind == k for k, name in enumerate(names) if name == "(Intercept)"]
    return [*found, *(root * np.where(own, 1 / diagonal, 0.0) @ root for own in intercepts)]  # the moments' `between`


def _largest(blocks: Sequence[Floats]) -> float:
    """The largest share of one component in a combination of rows.  blocks: its part of each row, (rows, k)."""
    _, values, V = np.linalg.svd(np.concatenate(blocks, axis=1), full_matrices=False)
    V = V[values > NOISE * values[0]]
    if not len(V):
        return 0.0
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    return float(max(np.linalg.eigvalsh(part @ part.T)[-1] for part in np.split(V, ends, axis=1)))


def _labels(by: ByComponent, Z: csr_array, w: Floats) -> Ints:
    """The component of each effect."""
    label, live = np.zeros(Z.shape[1], dtype=np.int64), Z[w > 0]
    label[live.indices] = np.repeat(by.group[w > 0], np.diff(live.indptr))  # others may lie between two components
    return label


def _moved(by: ByComponent, x: Sequence[Floats], Z: csr_array, w: Floats) -> float:
    """The largest share of one component in how sums of scores times a column change with the effects, where others do
    not hide it: effects move the scores of a level together, and so do points that differ in theta alone.
    """
    found = []
    for column in x:
        moved = Z.T @ (w * column)
        if np.abs(moved).max(initial=0.0) > ROUNDING * (abs(Z).T @ (w * np.abs(column))).max(initial=0.0):
            found.append(moved)
    return told(share_of_residuals(found, _labels(by, Z, w)), _live(by, w) - 1)


def _information(by: ByComponent, x: Sequence[Floats], Z: csr_array, w: Floats) -> Floats:
    """(components, p, p) each one's part of the information about beta.  x: columns of X (n,), which are scaled to at
    most 1; Z: Z Lambda (n, effects); w (n,).   Where one is too large, it alone is said to have all.
    """
    X = [column / max(float(np.abs(column).max(initial=0.0)), 1e-300) for column in x]
    count, label = len(by.groups), _labels(by, Z, w)
    largest = int(np.argmax(sizes := np.bincount(label, minlength=count)))
    parts = np.zeros((count, len(X), len(X)))
    if count == 1 or sizes[largest] > LARGEST_INFORMATION:
        parts[largest] = np.eye(len(X))
        return parts
    weighed = Z.multiply(w[:, None]).tocsr()
    B = np.stack([weighed.T @ column for column in X], axis=1)
    C = splu((Z.T @ weighed + eye_array(Z.shape[1])).tocsc()).solve(B)
    for i, one in enumerate(X):
        for j, other in enumerate(X):
            parts[:, i, j] = of_groups(w * one * other, by.group, count) - of_groups(B[:, i] * C[:, j], label, count)
    return parts
