"""Runs every test_* function of this folder without pytest, which MicroPython has not."""

import os
import sys

here = __file__.rsplit("/", 1)[0]
sys.path.insert(0, here)
ran = failed = 0
for name in sorted(os.listdir(here)):
    if name.startswith("test_") and name.endswith(".py"):
        module = __import__(name[:-3])
        for attribute in dir(module):
            if attribute.startswith("test_"):
                ran += 1
                try:
                    getattr(module, attribute)()
                except Exception as error:
                    failed += 1
                    print("FAILED", name, attribute)
                    getattr(sys, "print_exception")(error)
print("%d passed, %d failed" % (ran - failed, failed))
sys.exit(1 if failed or not ran else 0)
