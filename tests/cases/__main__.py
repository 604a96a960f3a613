"""Print how every case is told today: ``python -m tests.cases``."""

import sys

from tests.cases.catalogue import cases, judged

wanted = [c for i, c in cases().items() if not sys.argv[1:] or i in sys.argv[1:]]
good = 0
for case in wanted:
    try:
        j = judged(case)
    except Exception as error:
        print(case.id, "ERROR", type(error).__name__, error)
        continue
    row = (j.value, j.klass, j.op, j.phase, j.fixed, j.same, j.bits)
    good += all(row)
    print(case.id, case.name, "OK" if all(row) else "".join("+" if x else "-" for x in row), j.how, f"{j.error:.2g}")
    if not all(row):
        print("   wanted:", case.klass, case.ops, case.phase, "| advice:", case.advice)
        print("   ", str(j.finding).replace("\n", "\n    "))
print(good, "of", len(wanted))
