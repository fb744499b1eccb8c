"""launcher owns the start of one program from a process of its own, a small one: a fork inherits peak memory.

Run with the program's command; prints wall and CPU seconds, peak memory and exit code as a line of JSON.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    scratch, *command = sys.argv[1:]
    with Path(scratch, "out.txt").open("wb") as out, Path(scratch, "err.txt").open("wb") as err:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=scratch, stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    ended = {
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * unit / 1e6,
        "code": process.returncode,
    }
    print(json.dumps(ended))
