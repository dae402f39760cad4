"""What a script of these checks counts and prints."""
passed = failed = 0


def check(name, ok, why=""):
    """Prints `ok NAME` or `FAILED NAME: why`, which must be short."""
    global passed, failed
    passed += bool(ok)
    failed += not ok
    print(f"ok {name}" if ok else f"FAILED {name}: {str(why)[:400]}")


def finish():
    """The sum, as the last line; the exit status."""
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
