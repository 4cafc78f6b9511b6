"""`python -m mtlbench`: the same as the `mtlbench` command."""

from mtlbench.cli import main

if __name__ == "__main__":
    main()
