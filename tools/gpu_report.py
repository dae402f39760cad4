#!/usr/bin/env python3
"""What tools/gpu_check.sh makes of its results.

usage: tools/gpu_report.py curve RESULTS      the CUDA run's losses beside the CPU's; exits 1 if they part
       tools/gpu_report.py tables RESULTS     figures.jsonl and summary.md from everything that lies there
"""
import json
import pathlib
import sys

# Mean loss of the last fifth of the steps, nats. One run in bf16, one in f32: their curves cross and recross at a few
# thousandths; a wrong gradient shows at tenths.
MOST_APART = 0.05


def losses(path):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def curve(results):
    cuda, cpu = (losses(results / f"curve_{device}.jsonl") for device in ("cuda", "cpu"))
    steps = sorted(cuda.keys() & cpu.keys())
    last = steps[-max(len(steps) // 5, 1):]
    apart = abs(sum(cuda[step] - cpu[step] for step in last)) / len(last)
    shown = sorted({steps[0], *steps[len(steps) // 8::max(len(steps) // 8, 1)], steps[-1]})
    report = {"steps": len(steps), "mean_difference_at_the_end": apart, "allowed": MOST_APART,
              "losses": [{"step": step, "cuda": cuda[step], "cpu": cpu[step]} for step in shown]}
    (results / "curve.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if apart <= MOST_APART else 1


def cell(name, value):
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if "share" in name:
        return f"{100 * value:.0f} %"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def table(rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(cell(name, row.get(name, "")) for name in names) + " |" for row in rows]
    return lines + [""]


def section(name, report):
    """A report's facts as a list, its rows as a table."""
    lines = [f"## {name.replace('_', ' ')}", ""]
    lists = {key: value for key, value in report.items() if isinstance(value, list)}
    lines += [f"- {key.replace('_', ' ')}: {cell(key, value)}" for key, value in report.items() if key not in lists]
    lines.append("")
    for rows in lists.values():
        if rows and isinstance(rows[0], dict):
            lines += table(rows)
    return lines


def tables(results):
    parts = {}
    for line in (results / "results.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        parts[row["part"]] = row  # the newest of each
    lines = ["# Results of tools/gpu_check.sh", "", *table(list(parts.values()))]
    steps, figures = [], []
    for path in sorted(results.glob("*.json")):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # of a part that failed before it had figures
        figures.append(json.dumps({"measurement": path.stem, **report}))
        if path.stem.startswith(("step_", "pytorch_")):
            steps.append({"measurement": path.stem, **report})
        else:
            lines += section(path.stem, report)
    if steps:
        lines += ["## whole steps", "", *table(steps)]
    (results / "figures.jsonl").write_text("".join(line + "\n" for line in figures), encoding="utf-8")
    (results / "summary.md").write_text("\n".join(lines), encoding="utf-8")
    return 0


def main():
    commands = {"curve": curve, "tables": tables}
    if len(sys.argv) != 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    return commands[sys.argv[1]](pathlib.Path(sys.argv[2]))


if __name__ == "__main__":
    sys.exit(main())
