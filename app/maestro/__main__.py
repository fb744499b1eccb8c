"""__main__ owns how a command begins: the console script, and ``python -m maestro`` where that is not on the path."""

import sys


def run() -> None:
    """Load the command line, which takes a moment in which somebody may think better of it, and hand over to it."""
    if sys.platform == "win32":  # locks, signals and sockets of the system that Windows has not
        sys.stderr.write(
            "maestro: runs on Linux and macOS, not on Windows itself; install WSL (wsl --install) and run it there\n"
        )
        raise SystemExit(1)
    try:
        from maestro.cli.main import run as hand_over

        hand_over()
    except KeyboardInterrupt:
        sys.stderr.write("maestro: stopped\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    run()
