"""Architectures, one file a paper. Targets are strings, so that listing them loads no torch."""

from mtlbench.registry import Entry

METHODS: dict[str, Entry] = {
    "single-task": Entry(
        "mtlbench.methods.single_task:SingleTask",
        "an independent model a task: the baseline",
        family="baseline",
    ),
    "single-task-wide": Entry(
        "mtlbench.methods.single_task_wide:SingleTaskWide",
        "independent models, together as large as a multi-task one",
        family="baseline",
    ),
    "disjoint": Entry(
        "mtlbench.methods.disjoint:Disjoint",
        "the multi-task code path with nothing shared: tests the code",
        family="baseline",
    ),
    "embedding-sharing": Entry(
        "mtlbench.methods.embedding_sharing:EmbeddingSharing",
        "one embedding table for all tasks, a network and tower a task",
        family="baseline",
    ),
    "hard-sharing": Entry(
        "mtlbench.methods.hard_sharing:HardSharing",
        "one bottom for all tasks, a tower a task",
        family="sharing",
        paper="Caruana 1997",
    ),
    "soft-sharing": Entry(
        "mtlbench.methods.soft_sharing:SoftSharing",
        "a network a task, held together by an L2 penalty",
        family="sharing",
        paper="Duong et al. 2015",
    ),
    "mmoe": Entry(
        "mtlbench.methods.mmoe:MMoE",
        "experts that all tasks share, a gate a task",
        family="sharing",
        paper="Ma et al. 2018",
    ),
    "base-rate": Entry(
        "mtlbench.floors.base_rate:BaseRate",
        "each task's mean on train, whatever the row",
        family="floor",
    ),
    "logistic": Entry(
        "mtlbench.floors.logistic:Logistic",
        "logistic or ridge regression on one-hot ids, a model a task",
        family="floor",
        paper="McMahan et al. 2013",
    ),
    "gbdt": Entry(
        "mtlbench.floors.gbdt:Gbdt",
        "gradient-boosted trees, a model a task",
        family="floor",
        paper="Friedman 2001",
    ),
}
