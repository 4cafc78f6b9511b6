"""The main job: turn a benchmark into runs, runs into outcomes and outcomes into verdicts."""
