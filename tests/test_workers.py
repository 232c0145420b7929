import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from test_launch import gone, killed

from labkit import workers

pytestmark = pytest.mark.engine

FACTOR = 3
"""Of this module: a worker gets it along with the function that uses it."""


def times(number):
    return FACTOR * number


def ranks(place, number):
    print(f"rank {place['rank']} of {place['world_size']}")
    return [place["rank"], times(number), os.environ.get("LABKIT_TEST"), os.getpid()]


def pids(folder):
    return [int(file.read_text()) for file in sorted(Path(folder).glob("worker-*"))]


def note(place, folder):
    file = Path(folder, f"worker-{place['rank']}")
    file.with_suffix(".part").write_text(str(os.getpid()))
    file.with_suffix(".part").replace(file)
    while len(list(Path(folder).glob("worker-?"))) < place["world_size"]:
        time.sleep(0.01)


def test_each_worker_calls_the_function_with_what_it_uses(capsys):
    found = workers.run(ranks, 7, count=3, environment={"LABKIT_TEST": "yes"})
    assert [f[:3] for f in found] == [[n, 21, "yes"] for n in range(3)]
    assert len({f[3] for f in found} | {os.getpid()}) == 4
    assert capsys.readouterr().out == "rank 0 of 3\n"
    assert all(gone(f[3]) for f in found)


def speak(place, folder):
    if place["rank"] == 0:
        print("first")
        while not Path(folder, "heard").exists():
            time.sleep(0.01)
        print("second")


def test_what_rank_0_prints_is_shown_as_it_comes(tmp_path, monkeypatch):
    heard = []

    class Out:
        def write(self, text):
            heard.append(text)
            if text == "first\n":
                (tmp_path / "heard").touch()

    monkeypatch.setattr(sys, "stdout", Out())
    workers.run(speak, str(tmp_path), seconds=60)
    assert "".join(heard) == "first\nsecond\n"


def fail(place, folder):
    note(place, folder)
    if place["rank"] == 1:
        raise ValueError("on purpose")
    time.sleep(60)


def test_a_failure_names_the_rank_and_its_line_and_ends_the_others(tmp_path):
    begun = time.monotonic()
    with pytest.raises(workers.WorkersError) as caught:
        workers.run(fail, str(tmp_path))
    assert str(caught.value) == (
        'rank 1 failed at `raise ValueError("on purpose")`: ValueError: on purpose'
    )
    assert time.monotonic() - begun < 50
    assert len(pids(tmp_path)) == 2
    assert all(gone(pid) for pid in pids(tmp_path))


def leave(place, code):
    if place["rank"] == 1:
        sys.exit(code)
    if code:
        time.sleep(60)


def die(place, number):
    if place["rank"] == 1:
        os.kill(os.getpid(), number)
    time.sleep(60)


def test_an_end_without_a_word_is_told():
    with pytest.raises(workers.WorkersError, match="rank 1 ended before leave had returned"):
        workers.run(leave, 0)
    with pytest.raises(workers.WorkersError, match="rank 1 ended with exit code 3, in leave"):
        workers.run(leave, 3)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_death_by_signal_is_told():
    with pytest.raises(workers.WorkersError, match=r"rank 1 was ended by signal 9 \(Killed\)"):
        workers.run(die, 9)


def wait(place, folder):
    # A child of the worker: it must not be left behind either.
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(folder, f"child-{place['rank']}").write_text(str(child.pid))
    note(place, folder)
    if place["rank"] == 0:
        time.sleep(61)
    time.sleep(62)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_limit_tells_where_each_worker_is(tmp_path):
    with pytest.raises(workers.WorkersError) as caught:
        workers.run(wait, str(tmp_path), seconds=3)
    assert str(caught.value) == (
        "wait took longer than 3 s: rank 0 is at `time.sleep(61)`; rank 1 is at `time.sleep(62)`"
    )
    children = [int(file.read_text()) for file in tmp_path.glob("child-*")]
    assert len(children) == 2
    assert all(gone(pid) for pid in [*pids(tmp_path), *children])


def run_and_wait(file):
    workers.run(wait_together, str(Path(file).parent))


def wait_together(place, folder):
    note(place, folder)
    if place["rank"] == 0:
        Path(folder, "both").write_text("here")
    time.sleep(60)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")
def test_workers_end_with_the_notebook(tmp_path):
    """Even where that is killed, and can clear nothing away."""
    killed("test_workers", "run_and_wait", tmp_path / "both")
    assert len(pids(tmp_path)) == 2
    assert all(gone(pid) for pid in pids(tmp_path))


def interrupted(file):
    import signal

    def when_both_work():
        while not Path(file).exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=when_both_work).start()
    run_and_wait(file)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_workers_end_with_an_interrupt(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_workers\n"
    # A shell that has put the tests into the background has them ignore it.
    code += "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"test_workers.interrupted({str(tmp_path / 'both')!r})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "KeyboardInterrupt" in ended.stderr
    assert len(pids(tmp_path)) == 2
    assert all(gone(pid) for pid in pids(tmp_path))


def test_what_cannot_be_handed_over_is_told():
    with pytest.raises(workers.WorkersError, match="uses what cannot be handed over"):
        workers.run(ranks, threading.Lock())


def join(place, folder):
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", **place)
    own = torch.tensor([1.0 + place["rank"]])
    dist.all_reduce(own)
    note(place, folder)
    opened = [
        c.laddr.ip
        for c in psutil.Process().net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    ]
    dist.barrier()
    dist.destroy_process_group()
    return own.item(), opened


@pytest.mark.skipif(sys.platform not in workers.LOOPBACK, reason="gloo has other names there")
def test_workers_of_pytorch_meet_and_listen_on_this_machine_alone(tmp_path):
    found = workers.run(join, str(tmp_path))
    assert [sum_ for sum_, _ in found] == [3.0, 3.0]
    assert all(opened for _, opened in found)
    assert {ip for _, opened in found for ip in opened} <= {"127.0.0.1", "::1"}


def hang(place):
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", **place)
    if place["rank"] == 0:
        dist.all_reduce(torch.ones(1))
    dist.barrier()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_ranks_that_wait_in_different_collectives_are_told():
    with pytest.raises(workers.WorkersError, match="took longer than 10 s") as caught:
        workers.run(hang, seconds=10)
    assert str(caught.value).endswith(
        "rank 0 is at `dist.all_reduce(torch.ones(1))`; rank 1 is at `dist.barrier()`"
    )
