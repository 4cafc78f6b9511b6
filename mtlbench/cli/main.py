"""Entry point of the program: errors that the user can fix become one sentence with their own exit code."""

import errno
import os
import signal
import sys
from types import FrameType

from mtlbench.cli.app import Stopped, app
from mtlbench.errors import MtlbenchError
from mtlbench.home import Home


def _stopped(signum: int, frame: FrameType | None) -> None:
    raise Stopped(signum)


def main() -> None:
    """Run the `mtlbench` command; report errors that the user can fix in a sentence, with their exit code."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, _stopped) for number in numbers]
    try:
        app()
    except Stopped as stop:
        number = signal.Signals(stop.args[0])
        how = "Interrupted" if number == signal.SIGINT else "Terminated"
        _stop(f"{how}. {stop.afterwards}", 128 + number)
    except BrokenPipeError:  # the reader of our output has left: `mtlbench list methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        if isinstance(error, MtlbenchError):
            _stop(f"Error: {error}", error.exit_code)
        if where := _in_plugin(error):
            _stop(f"Error: {where}: {type(error).__name__}: {error}\n`mtlbench --debug ...` shows more.", 2)
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            _stop(
                f"Error: this machine has not enough memory ({reason}). Take smaller layers or embeddings, "
                "fewer --workers, or fewer rows.",
                1,
            )
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _stop(
                f"Error: no space left on the disk of {Home.find().root}. Nothing is damaged: free some "
                "space (or set MTLBENCH_HOME to a folder on another disk) and give the same command again.",
                1,
            )
        if isinstance(error, OSError) and error.filename:
            _stop(
                f"Error: {error.filename}: {error.strerror}. Data and results lie in {Home.find().root}; set "
                "MTLBENCH_HOME to a folder that you may write to.",
                3,
            )
        _stop(
            f"Internal error: {type(error).__name__}: {error}\n"
            "This is a bug of mtlbench. `mtlbench --debug ...` shows where.",
            1,
        )
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _in_plugin(error: Exception) -> str:
    """Return FILE:LINE where a plugin's method or balancer failed; empty if the failure was ours."""
    plugins = sys.modules.get("mtlbench.plugins")
    return str(plugins.place(error)) if plugins else ""


def _stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)  # noqa: T201  (not Rich: it may be what failed)
    sys.exit(code)
