"""Stands in for any other process: writes its environment to its log, has a child as Celery has, and waits."""

import json
import os
import subprocess
import sys
import time

print(json.dumps(dict(os.environ)), flush=True)
if sys.argv[1] == "worker":
    # Like Celery's children it ends when its parent is gone and the pipe between them closes.
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
while True:
    time.sleep(1)
