#!/usr/bin/env python3
"""Does to scripts/campaign what happens in years: Ctrl-C and a new start, instances that die, a folder that vanishes, the
script itself killed, a full disk. After each every input that AFL++ had found must be in the corpus.

    scripts/test_campaign.py [DIRECTORY]

Needs what the campaign needs; takes some two minutes once the targets are built. The full disk is a small file system
that is mounted for the purpose, which takes root; without, that part is left out, and said to be.
"""

import atexit
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

SCRIPTS = pathlib.Path(__file__).resolve().parent
SYNC = 4


class Campaign:
    """A campaign in a process group of its own, as a terminal would start it."""

    def __init__(self, folder):
        self.folder, self.said = folder, folder.with_name(folder.name + ".log")
        self.from_here = self.said.stat().st_size if self.said.exists() else 0
        command = [SCRIPTS / "campaign", "nvme", "--name", "test", "--sync-every", str(SYNC), "--directory", folder]
        with self.said.open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        atexit.register(self.abandon)

    def abandon(self):
        """Ends it, if it has not ended; its instances end with it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def output(self):
        return self.said.read_text()[self.from_here:]

    def wait_for(self, what, seconds=60):
        """Until the script has said it once more than at the time of the call."""
        before = self.output().count(what)
        until(lambda: self.output().count(what) > before, f"'{what}'", seconds, self.output)

    def wait_for_finds(self):
        """Until AFL++ has found something of its own since the call."""
        before = len(list(self.folder.glob("afl/test-main/queue/id:*")))
        until(lambda: len(list(self.folder.glob("afl/test-main/queue/id:*"))) > before, "a find of AFL++'s", 60, self.output)

    def instances(self):
        """Processes that run on this folder, besides the script: name, number and parent's number."""
        found = []
        for process in pathlib.Path("/proc").iterdir():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            name = os.path.basename(words[0]).decode()
            mine = any(os.fsencode(self.folder) in word for word in words[1:])
            if mine and name != "bash" and process.name != str(os.getpid()):
                found.append((name, int(process.name), parent))
        return found

    def kill(self, name, is_instance):
        """Kills a process of this name that the script itself started, or one below it; waits until there is one."""
        def killed():
            for what, pid, parent in self.instances():
                if what == name and (parent == self.process.pid) == is_instance:
                    os.kill(pid, signal.SIGKILL)
                    return True
            return False
        until(killed, f"a process {name}", 30, lambda: str(self.instances()))

    def finds(self):
        """The inputs that AFL++ has now, by hash."""
        found = set()
        for file in self.folder.glob("afl/*/queue/id:*"):
            try:
                found.add(sha1(file))
            except FileNotFoundError:
                pass  # AFL++ moves its queue when it goes on.
        assert found, "AFL++ has found nothing"
        return found

    def corpus(self):
        return {file.name for file in (self.folder / "corpus").iterdir()}

    def assert_syncs(self):
        """What AFL++ has now is in the corpus after the next sync."""
        self.assert_kept(self.finds())

    def assert_kept(self, finds):
        if self.process.poll() is None:
            self.wait_for(": running, ")
        missing = finds - self.corpus()
        assert not missing, f"{len(missing)} of {len(finds)} inputs are not in the corpus"

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(60) == 0, self.output()
        assert ": ended, " in self.output(), self.output()
        assert not self.instances(), self.instances()


def sha1(file):
    return hashlib.sha1(file.read_bytes()).hexdigest()


def until(condition, what, seconds, output):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}; said:\n{output()}"
        time.sleep(0.2)


def step(what):
    print(f"{time.strftime('%T')} {what}", flush=True)


def never_minimise(folder):
    """Files must not go while they are counted."""
    folder.mkdir(exist_ok=True)
    (folder / "minimized").write_text("1000000\n")


def main(scratch):
    folder = scratch / "campaign"
    never_minimise(folder)
    step("starts")
    campaign = Campaign(folder)
    campaign.wait_for(": running, ", 1200)
    campaign.wait_for_finds()
    # A merge, once.
    (folder / "minimized").write_text("10\n")
    campaign.wait_for(": running, ")
    until(lambda: (folder / "minimized").read_text() != "10\n", "a merge", 60, campaign.output)
    assert "not minimised" not in campaign.output()
    never_minimise(folder)

    step("an instance of AFL++ is killed: its finds stay, it goes on")
    campaign.kill("afl-fuzz", False)
    campaign.wait_for("test-main has ended; it is started again")
    until(lambda: any(name == "afl-fuzz" for name, _, _ in campaign.instances()), "afl-fuzz", 30, campaign.output)
    campaign.assert_syncs()

    step("a child of libFuzzer's is killed, then libFuzzer")
    campaign.kill("nvme", False)
    campaign.wait_for(": running, ")
    campaign.kill("nvme", True)
    campaign.wait_for("test-libfuzzer has ended; it is started again")

    step("a folder vanishes")
    (folder / "crashes").rename(scratch / "crashes")
    campaign.wait_for("crashes has vanished; it is made again")

    step("Ctrl-C")
    campaign.interrupt()
    corpus = campaign.corpus()
    campaign.assert_syncs()

    step("goes on where it was")
    campaign = Campaign(folder)
    campaign.wait_for(": running, ", 1200)
    campaign.assert_kept(corpus)
    campaign.wait_for_finds()

    step("the script is killed: its instances end, and the next start gathers their finds")
    os.killpg(campaign.process.pid, signal.SIGKILL)
    campaign.process.wait()
    until(lambda: not campaign.instances(), "the end of all instances", 30, lambda: str(campaign.instances()))
    finds = campaign.finds()
    campaign = Campaign(folder)
    campaign.wait_for(": running, ", 1200)
    assert finds <= campaign.corpus()
    campaign.interrupt()
    campaign.assert_syncs()

    step("a full disk")
    disk = scratch / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", disk]
    if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:
        return step("  not tried: no small file system can be mounted")
    try:
        full_disk(disk)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def full_disk(disk):
    folder = disk / "campaign"
    never_minimise(folder)
    campaign = Campaign(folder)
    campaign.wait_for(": running, ", 1200)
    campaign.wait_for_finds()
    campaign.wait_for(": running, ")
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass
    # Something to gather that there is no room for.
    lost = folder / "afl" / "elsewhere" / "queue" / "id:000000,test"
    outside = disk.with_name("elsewhere")
    (outside / "queue").mkdir(parents=True)
    (outside / "queue" / lost.name).write_bytes(os.urandom(1000))
    lost.parent.parent.symlink_to(outside)
    campaign.wait_for("not everything could be written")
    campaign.wait_for(": running, ")
    (disk / "filler").unlink()
    campaign.wait_for(": running, ")
    campaign.wait_for(": running, ")
    assert sha1(lost) in campaign.corpus()
    campaign.interrupt()
    campaign.assert_syncs()


if __name__ == "__main__":
    # Started in the background of a shell, this process and all below it would ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if len(sys.argv) > 1:
        main(pathlib.Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(pathlib.Path(scratch).resolve())
    step("all is as it should be")
