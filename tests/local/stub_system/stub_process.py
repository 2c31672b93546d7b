"""Stands in for any other process: writes its environment to its log, has a child as Celery has, and waits."""

import json
import os
import subprocess
import sys
import time

print(json.dumps(dict(os.environ)), flush=True)
if sys.argv[1] == "worker":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
while True:
    time.sleep(1)
