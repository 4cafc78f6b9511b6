"""Before a benchmark is run: what it can detect, and how long it takes. `mtlbench plan`, and warnings of `run`.

`pilot` chooses a few of its runs, `power` reads variances off them, `pace` times steps, `plan` puts these
together; `foresight` is what `run` says of its own accord.
"""
