#!/usr/bin/env python3
"""A release of 100 MB, from the command until it runs, beside curl, sha256sum and tar, in alternating rounds.

    OSIER=target/release/osier python3 benches/release/bench.py [--rounds 5] [--mib 100]

Both get the same file from the same server on loopback. The peer fetches to a file, digests it, unpacks it and starts the program: what a
careful person types. Beside it the memory that the daemon grew by. Scratch goes to $TMPDIR.
"""

import argparse
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import threading
import time


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def serve(folder):
    handler = lambda *words, **named: Quiet(*words, directory=str(folder), **named)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def make_archive(path, mib, number):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "data").write_bytes(os.urandom(mib << 20))
        (folder / "run").write_text(f"#!/bin/sh\n# {number}\nexec sleep 1000\n")
        (folder / "run").chmod(0o755)
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            archive.add(folder / "data", "data")
            archive.add(folder / "run", "run")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def by_hand(url, digest, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    begin = time.monotonic()
    script = f"curl -sfo f {url} && echo '{digest}  f' | sha256sum -c --quiet && mkdir d && tar -xzf f -C d && sync -f d"
    subprocess.run(["sh", "-c", script], cwd=folder, check=True)
    child = subprocess.Popen([str(folder / "d/run")])
    took = time.monotonic() - begin
    child.kill()
    child.wait()
    return took


def git(folder, *words):
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=b", "-c", "user.email=b@b", *words], check=True, capture_output=True)


def peak_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1])


class Node:
    def __init__(self, osier, room):
        self.osier, self.room = osier, room
        self.work = room / "work"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(room / "specs.git")], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.work)], check=True)
        git(self.work, "remote", "add", "origin", str(room / "specs.git"))
        (self.work / "apps/web").mkdir(parents=True)
        (self.work / "apps/.keep").write_text("")
        self.commit("begin")
        config = room / "osier.toml"
        config.write_text(
            f'[node]\nname = "bench"\ndata_dir = "{room}/data"\nsocket = "{room}/s"\n'
            f'[repo]\nurl = "file://{room}/specs.git"\nreconcile_interval = "1h"\n[console]\nlisten = ""\n[sources]\ndeny = []\n'
        )
        self.daemon = subprocess.Popen([osier, "--config", str(config), "daemon"], stderr=open(room / "log", "w"))
        while not self.ask("status")["last_reconcile"]:
            time.sleep(0.05)

    def ask(self, *words):
        done = subprocess.run([self.osier, "--socket", f"{self.room}/s", *words, "-o", "json"], capture_output=True)
        return json.loads(done.stdout) if done.stdout else {"last_reconcile": None}

    def commit(self, message):
        git(self.work, "add", "-A")
        git(self.work, "commit", "-qm", message)
        git(self.work, "push", "-q", "origin", "main")

    def deploy(self, version, url, digest):
        spec = {"name": f"web{version}", "version": "1", "source": {"type": "release", "url": url, "sha256": digest}, "command": ["./run"]}
        (self.work / "apps/web/app.json").write_text(json.dumps(spec))
        self.commit(str(version))
        # Set back to what it holds now: the peak of this deployment alone.
        open(f"/proc/{self.daemon.pid}/clear_refs", "w").write("5")
        before = peak_kib(self.daemon.pid)
        begin = time.monotonic()
        self.ask("reconcile", "--wait")
        took = time.monotonic() - begin
        app = self.ask("apps")[f"web{version}"]
        assert app["status"] == "running", app
        return took, peak_kib(self.daemon.pid) - before

    def end(self):
        subprocess.run([self.osier, "--socket", f"{self.room}/s", "stop", "--all", "-y"], capture_output=True)
        self.daemon.terminate()
        self.daemon.wait()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--mib", type=int, default=100)
    arguments = arguments.parse_args()
    room = pathlib.Path(tempfile.mkdtemp())
    files = room / "files"
    files.mkdir()
    port = serve(files)
    node = Node(os.environ["OSIER"], room)
    mine, peers, memory = [], [], []
    try:
        for number in range(arguments.rounds):
            digest = make_archive(files / f"{number}.tar.gz", arguments.mib, number)
            url = f"http://127.0.0.1:{port}/{number}.tar.gz"
            peers.append(by_hand(url, digest, room / "hand"))
            took, grown = node.deploy(number, url, digest)
            mine.append(took)
            memory.append(grown)
            (files / f"{number}.tar.gz").unlink()
    finally:
        node.end()
        shutil.rmtree(room, ignore_errors=True)
    mine, peers = statistics.median(mine), statistics.median(peers)
    print(f"release of {arguments.mib} MiB, fetched, verified and running: {mine:.2f} s")
    print(f"curl, sha256sum, tar and the start of the program:   {peers:.2f} s ({mine / peers:.2f}x; goal 1.10x)")
    print("each round, MiB:", *[f"{grown / 1024:.1f}" for grown in memory])
    print(f"memory that the daemon grew by, at most: {max(memory) / 1024:.1f} MiB (goal < 16 MiB)")


main()
