"""The main job: a benchmark to runs, the runs to outcomes, the outcomes to verdicts."""
