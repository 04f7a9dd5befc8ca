"""The rounds of hack/bench-frontend: BUILDX PROJECT ROUNDS. What is built, and by which daemon, that script says."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from datetime import datetime

buildx, project, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
NAMES = {"byoi.toml": "byoi.toml, locked", "Dockerfile": "Dockerfile"}


# The frontend's image, as it stands in the options of its process: other builds may have theirs.
with open(os.path.join(project, "byoi.toml")) as description:
    IMAGE = b"=source=" + description.readline().strip().removeprefix("# syntax=").encode() + b"\0"


def read(process, name):
    with open(f"/proc/{process}/{name}", "rb") as file:
        return file.read()


def begun(process):
    """When a process began, in seconds since 1970, to a hundredth: the kernel counts in those, from its own start."""
    with open(f"/proc/{process}/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


class Watch(threading.Thread):
    """Finds the frontend's process, a program of that name without arguments, and when it began: as the container's, before it became the program."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.over = None, False

    def run(self):
        known = set(os.listdir("/proc"))
        while not self.over and self.seen is None:
            # A process has another program's name until it becomes the frontend: it is looked at again.
            for name in (name for name in os.listdir("/proc") if name.isdigit() and name not in known):
                try:
                    if read(name, "cmdline") == b"/byoi-frontend\0" and IMAGE in read(name, "environ"):
                        self.seen = begun(name)
                        break
                except OSError:
                    continue
            time.sleep(0.0005)


def seconds(stamp):
    """A time as Go writes it, in seconds since 1970."""
    whole, _, rest = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + (float("0." + rest) if rest else 0)


def objects(text):
    """The JSON objects of a progress display, of many lines each; other lines are passed over."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
            yield found
        except ValueError:
            end = at + 1
        at = text.find("{", end)


def build(file):
    """Builds; gives how long it took, and when vertices began."""
    watch = Watch()
    watch.start()
    command = [buildx, "build", "--progress", "rawjson", "--network", "host", "--load", "--tag", "byoi-bench:1", "--file", file, "."]
    begun = time.monotonic()
    done = subprocess.run(command, cwd=project, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    took = time.monotonic() - begun
    watch.over = True
    watch.join()
    started = {}
    for status in objects(done.stderr.decode()):
        for vertex in status.get("vertexes") or []:
            if vertex.get("started") and not vertex.get("cached"):
                started.setdefault(vertex["name"], seconds(vertex["started"]))
    if done.returncode != 0:
        sys.exit(done.stderr.decode()[-4000:])
    return took, watch.seen, started


def forget():
    docker = ["docker"] if not os.path.exists("/usr/bin/docker") else ["/usr/bin/docker"]
    subprocess.run(docker + ["image", "rm", "--force", "byoi-bench:1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(docker + ["builder", "prune", "--all", "--force"], check=True, stdout=subprocess.DEVNULL)


def change(round_):
    with open(os.path.join(project, "files/changed"), "w") as file:
        file.write(f"{round_} {time.time()}\n")


results = {}
first, graph = [], []
for round_ in range(rounds):
    for file in NAMES:
        print(f"hack/bench-frontend: round {round_ + 1}: {file}", file=sys.stderr)
        forget()
        for kind in ("cold", "unchanged", "one file changed"):
            if kind == "one file changed":
                change(round_)
            took, seen, started = build(file)
            results.setdefault((kind, file), []).append(took)
            if file == "byoi.toml" and seen is not None:
                texts = started.get("[internal] load byoi.toml and byoi.lock")
                if texts is not None:
                    first.append(texts - seen)
                # The first of the last graph, whatever of it is cached.
                later = [at for name, at in started.items() if name.startswith(("fetch ", "write "))]
                if later:
                    graph.append(min(later) - seen)

print("| job | built from | seconds | the Dockerfile's share |")
print("| --- | --- | ---: | ---: |")
for kind in ("cold", "unchanged", "one file changed"):
    for file, name in NAMES.items():
        median = statistics.median(results[kind, file])
        print(f"| {kind} | {name} | {median:.2f} | {median / statistics.median(results[kind, 'Dockerfile']):.2f} |")
for name, times in (("its first vertex", first), ("the graph of the image", graph)):
    if times:
        shown = f"{statistics.median(times) * 1000:.0f} ms (from {min(times) * 1000:.0f} to {max(times) * 1000:.0f}, {len(times)} builds)"
        print(f"\nFrom the start of the frontend's container to {name}: {shown}.")
