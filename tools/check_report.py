"""What the checks among these scripts print in the end."""


def report(results):
    """`results` holds a list of problems for each check. Prints them and `N passed, N failed`; the exit status."""
    failed = [problems for problems in results if problems]
    for problems in failed:
        print("\n".join(f"FAILED {problem}" for problem in problems))
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0
