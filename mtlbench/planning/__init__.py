"""Before a benchmark is run: what it can detect, and how long it takes.

`pilot` chooses a few of its runs, `power` reads variances off them, `pace` times steps, `plan` puts these
together; `foresight` holds the warnings that `run` gives by itself.
"""
