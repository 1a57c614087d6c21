"""Any program that takes its parameters as arguments and prints a number on its last line."""

import subprocess

PROGRAM = "BEGIN { print (size - 3)^2 + rate }"


def cost(size, rate):
    arguments = ["-v", f"size={size}", "-v", f"rate={rate}", PROGRAM]
    done = subprocess.run(["awk", *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])  # why the trial failed
    return float(done.stdout.splitlines()[-1])
