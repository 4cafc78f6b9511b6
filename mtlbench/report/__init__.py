"""Report: the document that `run` and `compare` produce, its Markdown form, the text below its tables."""

from mtlbench.report.document import document, shard_document
from mtlbench.report.markdown import markdown
from mtlbench.report.needs import needs
from mtlbench.report.remarks import remarks
from mtlbench.report.words import (
    all_arms,
    baseline_values,
    cell_legend,
    figure,
    legend,
    many_arms,
    many_clusters,
    span,
)

__all__ = [
    "all_arms",
    "baseline_values",
    "cell_legend",
    "document",
    "figure",
    "legend",
    "many_arms",
    "many_clusters",
    "markdown",
    "needs",
    "remarks",
    "shard_document",
    "span",
]
