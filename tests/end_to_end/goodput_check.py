#!/usr/bin/env python3
"""The goodput model of docs/distributed.md: its table is recomputed from the formula and the inputs that the page states,
and the formula is compared with a simulation of single failures."""
import math
import pathlib
import random
import re

from harness import check, main, require

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "distributed.md"


def best_interval(stall, mtbf):
    """Seconds between saves, by Daly: a higher-order estimate of where the loss is least."""
    root = math.sqrt(2 * stall * mtbf)
    return root * (1 + math.sqrt(stall / (2 * mtbf)) / 3 + stall / (18 * mtbf)) - stall


def goodput(interval, stall, restart, mtbf):
    return 1 - stall / interval - (interval / 2 + restart) / mtbf


def inputs(text):
    """Stall and restart in seconds, as the page has them."""
    found = re.search(r"δ = ([\d.]+) s.*?R = ([\d.]+) s", text, re.S)
    require(found, "the page states no δ and R")
    return float(found.group(1)), float(found.group(2))


def row(ranks, hours, stall, restart):
    mtbf = hours * 3600 / ranks
    interval = best_interval(stall, mtbf)
    shares = [100 * goodput(seconds, stall, restart, mtbf) for seconds in (interval, 60, 600)]
    return [f"{ranks:,}", f"{hours:,} h", f"{mtbf / 3600:,.1f} h", f"{interval:,.0f} s"] + [f"{s:.2f} %" for s in shares]


def table(text):
    lines = text[text.index("| ranks | MTBF of one"):].splitlines()
    rows = []
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@check
def the_table_is_the_formula(_):
    text = PAGE.read_text(encoding="utf-8")
    stall, restart = inputs(text)
    rows = table(text)
    require({r[0] for r in rows} >= {"8", "64", "256", "1,024"}, f"ranks {[r[0] for r in rows]}")
    for found in rows:
        ranks, hours = (int(cell.split()[0].replace(",", "")) for cell in found[:2])
        expected = row(ranks, hours, stall, restart)
        require(found == expected, f"expected {expected}, found {found}")


def simulated(interval, stall, restart, mtbf, generator, failures=20000):
    """Work kept over time passed: saves at their interval, failures at random, also while a save or a start is going on."""
    kept = passed = unsaved = 0.0
    for _ in range(failures):
        life = generator.expovariate(1 / mtbf)
        passed += life
        life -= restart  # no work before; a failure meanwhile only begins it anew
        whole = max(int(life // (interval + stall)), 0)
        kept += whole * interval
        unsaved += max(life - whole * (interval + stall), 0)
    require(unsaved > 0, "nothing was ever lost")
    return kept / passed


@check
def the_formula_is_what_happens(_):
    generator = random.Random(3)
    for stall, restart, mtbf in ((1, 150, 3500), (0.1, 150, 7000), (5, 300, 20000)):
        for interval in (best_interval(stall, mtbf), 60, 600):
            happened = simulated(interval, stall, restart, mtbf, generator)
            expected = goodput(interval, stall, restart, mtbf)
            require(abs(happened / expected - 1) < 0.02,
                    f"δ {stall}, R {restart}, μ {mtbf}, every {interval:.0f} s: {happened:.4f}, formula {expected:.4f}")
        best = goodput(best_interval(stall, mtbf), stall, restart, mtbf)
        for factor in (0.5, 2):
            other = goodput(factor * best_interval(stall, mtbf), stall, restart, mtbf)
            require(other < best, f"a save every {factor} of the best interval is better")


if __name__ == "__main__":
    main()
