"""Warm kernels: indistinguishable from cold ones, truthful about their end, never outliving their
client.
"""

import ast
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path

import nbformat
import papermill
import pytest
from jupyter_client import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory
from nbclient.exceptions import DeadKernelError

from xgrl.execution import kernels

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the fork server needs Linux"),
]
ENTRY = EntryPoint(
    kernels.KERNEL, "xgrl.execution.kernels:WarmProvisioner", KernelProvisionerFactory.GROUP_NAME
)
CLIENT = """
import sys, time
from importlib.metadata import EntryPoint
from jupyter_client import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory as Factory
entry = ("xgrl-warm", "xgrl.execution.kernels:WarmProvisioner", Factory.GROUP_NAME)
Factory.provisioners["xgrl-warm"] = EntryPoint(*entry)
manager = KernelManager(kernel_name="xgrl-warm")
manager.start_kernel()
print(manager.provisioner.pid, manager.provisioner.folder, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module", autouse=True)
def home():
    """Servers, kernel folders and the kernel specification of these tests live in a folder of their
    own.
    """
    with pytest.MonkeyPatch.context() as patch:
        # short: the length of a Unix socket's address is limited
        folder = tempfile.mkdtemp(prefix="xk")
        patch.setattr(tempfile, "tempdir", folder)
        patch.setenv("TMPDIR", folder)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("JUPYTER_PATH", f"{folder}/share/jupyter")
        patch.setenv("PYTHONPATH", str(Path(kernels.__file__).parents[1]))
        for name in ("XGRL_WARM", "XGRL_WARM_IDLE", "MPLBACKEND"):
            patch.delenv(name, raising=False)
        patch.setitem(KernelProvisionerFactory.provisioners, kernels.KERNEL, ENTRY)
        kernels.install(folder)
        place = kernels._folder(dict(os.environ))
        place.mkdir()
        # as a killed server leaves it
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
            stale.bind(str(place / "socket"))
        yield Path(folder)
        kernels.stop()  # the server ends within a second
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kernel(**arguments):
    """A running kernel: its manager, and a function that evaluates an expression in it."""
    manager = KernelManager(kernel_name=kernels.KERNEL)
    manager.start_kernel(**arguments)
    client = manager.blocking_client()
    client.start_channels()

    def evaluate(expression, statement=""):
        reply = client.execute(
            statement, user_expressions={"x": expression}, reply=True, timeout=60
        )["content"]
        return ast.literal_eval(reply["user_expressions"]["x"]["data"]["text/plain"])

    try:
        client.wait_for_ready(timeout=60)
        evaluate.client = client
        yield manager, evaluate
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@contextmanager
def small_server(folder, **environment):
    """A fork server with few libraries, for tests that end it; yields its process."""
    folder.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys, pathlib; from xgrl.execution import kernels\n"
        "kernels.PRELOAD = 'numpy', 'torch', 'ipykernel.ipkernel', 'ipykernel.kernelapp'\n"
        "asked = kernels.serve(pathlib.Path(sys.argv[1]))\n"
        "if asked: kernels.become_kernel(asked)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], env=os.environ | environment
    )
    try:
        assert until(lambda: (folder / "socket").exists() or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.wait()


def until(condition, seconds=30):
    """Whether the condition comes true in time."""
    end = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return true


def alive(pid):
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


def notebook(*sources):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata["kernelspec"] = {
        "name": "python3",
        "language": "python",
        "display_name": "Python 3",
    }
    return book


def outputs(book):
    result = papermill.execute_notebook(
        book, None, {"size": 40}, kernel_name=kernels.KERNEL, progress_bar=False
    )
    return [
        [{k: v for k, v in o.items() if k != "metadata"} for o in cell.outputs]
        for cell in result.cells
    ]


def test_warm_equals_cold_to_the_last_bit(monkeypatch, capfd):
    book = notebook(
        "size = 3",
        "import hashlib, sys, os, warnings, numpy as np, torch\n"
        "g = torch.manual_seed(5); rng = np.random.default_rng(5)\n"
        "layer = torch.nn.TransformerEncoderLayer(size, 4, batch_first=True)\n"
        "loss = layer(torch.randn(8, 9, size)).square().mean(); loss.backward()\n"
        "numbers = [loss.item(), *(hashlib.sha256(p.grad.numpy().tobytes()).hexdigest() for p in "
        "layer.parameters()),\n"
        "           hashlib.sha256((rng.normal(size=(size, size)) @ rng.normal(size=(size, "
        "size))).tobytes()).hexdigest()]",
        "numbers, torch.get_num_threads(), torch.__config__.parallel_info(), size",
        "print('to stdout'); print('to stderr', file=sys.stderr); os.system('echo from a "
        "child'); sys.path, __name__",
        "import matplotlib.pyplot as plt\nprint(plt.get_backend()); plt.plot([1, 3, 2]);",
        "1 / 0 if size < 0 else sorted(k for k in os.environ if not k.startswith('PYTEST'))",
    )
    warm = outputs(book)
    assert "cold kernel" not in capfd.readouterr().err
    monkeypatch.setenv("XGRL_WARM", "0")
    cold = outputs(book)
    # ipykernel's farewell
    own = [line for line in capfd.readouterr().err.splitlines() if "[IPKernelApp]" not in line]
    assert own == ["xgrl: cold kernel start: XGRL_WARM=0"]
    cold[-1][0]["data"]["text/plain"] = cold[-1][0]["data"]["text/plain"].replace(
        " 'XGRL_WARM',\n", ""
    )
    assert any("image/png" in output.get("data", {}) for cell in warm for output in cell)
    assert warm == cold


def test_random_states_are_fresh_unless_seeded():
    draw = (
        "[random.random(), float(numpy.random.rand()), float(torch.rand(1, dtype=torch.float64))]"
    )
    seed = "random.seed(1); numpy.random.seed(1); _ = torch.manual_seed(1)"
    drawn, seeded = [], []
    for _ in range(2):
        with kernel() as (_, evaluate):
            drawn.append(evaluate(draw, "import random, numpy, torch"))
            seeded.append(evaluate(draw, seed))
    assert all(a != b for a, b in zip(*drawn, strict=True))
    assert seeded[0] == seeded[1]


def test_environment_and_folder_arrive(tmp_path, monkeypatch):
    monkeypatch.setenv("XGRL_OLD", "1")
    environment = {k: v for k, v in os.environ.items() if k != "XGRL_OLD"} | {
        "XGRL_NEW": "é = 1",
        "XGRL_EMPTY": "",
    }
    with kernel(env=environment, cwd=str(tmp_path)) as (manager, evaluate):
        evaluate("0", "import os, subprocess, sys")
        assert evaluate("os.getcwd()") == str(tmp_path)
        assert evaluate("[os.environ.get('XGRL_' + n) for n in ('OLD', 'NEW', 'EMPTY')]") == [
            None,
            "é = 1",
            "",
        ]
        shell = evaluate(
            "subprocess.check_output(['sh', '-c', 'echo $XGRL_NEW$XGRL_OLD'], text=True)"
        )
        assert shell == "é = 1\n"  # the C library's environment, not only Python's
        assert evaluate("os.getpgid(0) == os.getsid(0) == os.getpid()")
        assert evaluate("os.getpid()") == manager.provisioner.pid


def test_parallel_kernels_do_not_cross():
    with kernel() as (first, one), kernel() as (second, two):
        one("0", "import os; name = 'one'")
        two("0", "import os; name = 'two'")
        assert (one("name"), two("name"), one("name")) == ("one", "two", "one")
        assert one("os.getppid()") == two("os.getppid()") != os.getpid()  # one server forked both
        assert first.ip != second.ip and first.connection_file != second.connection_file
        paths = [f"{manager.ip}-{port}" for manager in (first, second) for port in manager.ports]
        assert len(set(paths)) == 10 and all(Path(path).is_socket() for path in paths)
        folders = [Path(manager.ip).parent for manager in (first, second)]
    assert not any(folder.exists() for folder in folders)


def test_sockets_are_elsewhere_where_the_temporary_folder_is_too_long(home, monkeypatch, capfd):
    long = home / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    monkeypatch.setenv("XGRL_WARM", "0")
    for _ in range(2):
        with kernel() as (manager, evaluate):
            assert manager.transport == "ipc" and Path(manager.ip).parents[1] == home
            assert evaluate("tempfile.gettempdir()", "import tempfile") == str(long)
    said = [line for line in capfd.readouterr().err.splitlines() if "socket" in line]
    expected = f"xgrl: no socket can be in {long} (AF_UNIX path too long): sockets are in {home}"
    assert said == [expected]
    assert kernels._folder(dict(os.environ)).is_relative_to(home / f"xgrl-{os.getuid()}")
    assert not list(long.iterdir())


@pytest.mark.parametrize("length", [60, 67, 68, 83])
def test_the_temporary_folder_is_used_as_long_as_every_address_fits(home, monkeypatch, length):
    folder = home / ("y" * (length - len(str(home)) - 1))
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    fits = kernels.socket_home(str(folder)) == str(folder)
    assert fits == (length <= 67)
    if fits:
        longest = folder / "xgrl-4294967295" / ("f" * 16) / "socket"
        with socket.socket(socket.AF_UNIX) as server:
            longest.parent.mkdir(parents=True)
            server.bind(str(longest))


def test_ports_are_used_where_no_folder_takes_a_socket(home, monkeypatch, capfd):
    monkeypatch.setattr(kernels, "SHORT", (str(home / "absent"),))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(home / ("z" * 100)))
    (home / ("z" * 100)).mkdir()
    with kernel() as (manager, evaluate):
        assert manager.transport == "tcp" and evaluate("1 + 1") == 2
    said = capfd.readouterr().err
    assert "(AF_UNIX path too long): kernels use ports" in said
    assert "xgrl: cold kernel start: no folder takes a socket" in said


def test_edited_module_is_seen(tmp_path):
    for version in ("1", "22"):
        (tmp_path / "edited_library.py").write_text(f"version = {version}\n")
        with kernel(cwd=str(tmp_path)) as (_, evaluate):
            loaded = evaluate(
                "[m for m in sys.modules if m.split('.')[0] == 'xgrl']",
                "import sys, edited_library",
            )
            assert loaded == [] and evaluate("'transformers.trainer' in sys.modules")
            assert evaluate("edited_library.version") == int(version)


@pytest.mark.parametrize(
    ("statement", "status"), [("os.kill(os.getpid(), 9)", -9), ("os._exit(3)", 3)]
)
def test_exit_status_is_true(statement, status):
    with kernel() as (manager, evaluate):
        assert manager.is_alive() and manager.provisioner.process.poll() is None
        process = manager.provisioner.process
        evaluate.client.execute(f"import os; {statement}")
        assert until(lambda: process.poll() is not None) and process.wait() == status
        assert not manager.is_alive()


def test_killed_kernel_fails_the_notebook():
    with pytest.raises(DeadKernelError):
        outputs(notebook("size = 1", "import os; os.kill(os.getpid(), 9)"))


def test_interrupt_reaches_the_kernel():
    with kernel() as (manager, evaluate):
        request = evaluate.client.execute("print('started'); import time; time.sleep(60)")
        assert until(lambda: evaluate.client.get_iopub_msg(timeout=20)["msg_type"] == "stream")
        manager.interrupt_kernel()
        while (reply := evaluate.client.get_shell_msg(timeout=20))["parent_header"].get(
            "msg_id"
        ) != request:
            pass
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert manager.is_alive()


def test_kernel_dies_with_its_client():
    client = subprocess.Popen([sys.executable, "-c", CLIENT], stdout=subprocess.PIPE, text=True)
    pid, folder = client.stdout.readline().split()
    assert alive(pid) and Path(folder).is_dir()
    client.kill()
    client.communicate()
    assert until(lambda: not alive(pid), 10)
    assert until(lambda: not Path(folder).exists(), 10)


def test_kernel_dies_with_its_server(monkeypatch):
    monkeypatch.setenv("XGRL_WARM_IDLE", "77")
    with small_server(kernels._folder(dict(os.environ))) as server, kernel() as (manager, evaluate):
        process = manager.provisioner.process
        assert evaluate("os.getppid()", "import os") == server.pid
        server.kill()
        assert until(lambda: process.poll() is not None) and process.poll() == -signal.SIGKILL
        assert until(lambda: not alive(process.pid), 10)


def test_server_ends_when_idle(home):
    with small_server(home / "idle", XGRL_WARM_IDLE="0.5") as server:
        assert until(lambda: server.poll() is not None, 10) and server.returncode == 0
        assert not (home / "idle" / "socket").exists()


def test_server_ends_when_its_folder_is_removed(home):
    with small_server(home / "gone") as server:
        shutil.rmtree(home / "gone")
        assert until(lambda: server.poll() is not None, 10) and server.returncode == 0


def test_server_refuses_to_serve_with_a_second_thread(home):
    code = (
        "import threading, time, pathlib; from xgrl.execution import kernels\n"
        "kernels.PRELOAD = ()\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        f"kernels.serve(pathlib.Path({str(home)!r}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1 and "started 1 threads" in result.stderr
    assert not (home / "socket").exists()


def test_failing_server_is_explained_and_not_tried_again_at_once(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('broken on purpose')\n")
    environment = dict(os.environ) | {"PYTHONPATH": str(tmp_path)}
    command, log = (
        [sys.executable, "-m", "ipykernel_launcher"],
        kernels._folder(environment) / "log",
    )
    times = []
    for _ in range(2):
        with pytest.raises(kernels.WarmUnavailable, match=r"exit status 1.*broken on purpose"):
            kernels.start_warm(command, "", environment)
        times.append(log.stat().st_mtime_ns)
    assert times[0] == times[1]
    assert "broken on purpose" in kernels.status()


def test_what_cannot_be_warm_says_why(monkeypatch):
    with pytest.raises(
        kernels.WarmUnavailable, match=r"expected .* -m ipykernel_launcher .*, found /bin/python"
    ):
        kernels.start_warm(["/bin/python", "-m", "ipykernel_launcher"], "", dict(os.environ))
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(kernels.WarmUnavailable, match="needs Linux, this is darwin"):
        kernels.start_warm([sys.executable, "-m", "ipykernel_launcher"], "", dict(os.environ))


def test_server_is_chosen_by_what_a_process_fixes_at_its_start(monkeypatch):
    environment = dict(os.environ)
    folder = kernels._folder(environment)
    for name, value in {
        "PYTHONHASHSEED": "7",
        "OMP_NUM_THREADS": "2",
        "HF_HOME": "/x",
        "MPLBACKEND": "agg",
    }.items():
        assert kernels._folder(environment | {name: value}) != folder, name
    assert (
        kernels._folder(environment | {"CUDA_VISIBLE_DEVICES": "1", "JPY_PARENT_PID": "1"})
        == folder
    )
    old = os.umask(0o27)
    try:
        assert kernels._folder(environment) != folder
    finally:
        os.umask(old)


def test_folder_open_to_others_is_refused(short_folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    (short_folder / f"xgrl-{os.getuid()}").mkdir()
    (short_folder / f"xgrl-{os.getuid()}").chmod(0o755)
    with pytest.raises(PermissionError, match="mode 755"):
        kernels.start_warm([sys.executable, "-m", "ipykernel_launcher"], "", dict(os.environ))


def test_installing_twice_changes_nothing(tmp_path):
    first = kernels.install(tmp_path)
    before = first.stat().st_mtime_ns
    assert kernels.install(tmp_path) == first and first.stat().st_mtime_ns == before


def test_a_signal_to_the_whole_job_leaves_the_end_to_the_kernels(monkeypatch):
    """As a batch system sends it: to every process of a job, the server too."""
    monkeypatch.setenv("XGRL_WARM_TEST", "signals")  # a server of its own
    with kernel() as (manager, evaluate):
        server = evaluate("__import__('os').getppid()")
        assert alive(server) and server != os.getpid()
        for number in (signal.SIGUSR1, signal.SIGTERM):
            assert evaluate(f"__import__('signal').getsignal({int(number)}).value") == 0  # default
            os.kill(server, number)
        time.sleep(1)
        assert evaluate("6 * 7") == 42 and alive(server)
    assert until(lambda: not alive(server)), "it ends with its last kernel"
    with kernel() as (manager, _):
        os.kill(manager.provisioner.pid, signal.SIGUSR1)
        assert until(lambda: manager.provisioner.process.poll() == -signal.SIGUSR1)
        assert kernels.WarmProvisioner.last == manager.provisioner.pid
