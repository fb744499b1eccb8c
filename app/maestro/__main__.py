"""__main__ owns ``python -m maestro``, for where the console script is not on the path."""

from maestro.cli.main import run

if __name__ == "__main__":
    run()
