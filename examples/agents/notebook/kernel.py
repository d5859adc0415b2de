"""One Python process that runs the cells of a notebook, one after the other, and keeps what they leave.

    kernel.py CELLS
"""

import sys

with open(sys.argv[1], encoding="utf-8") as file:
    cells = file.read().split("# %%\n")[1:]
ours = {}
for number, cell in enumerate(cells, 1):
    print(f"cell {number}: ", end="", flush=True)
    exec(compile(cell, f"cell {number}", "exec"), ours)
    sys.stdout.flush()
