"""Machine code: for which CPU, kept where, and what happens where it cannot be kept or made."""

import os
import platform
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest
from int8_rnn.fast import dots, loading, records
from llvmlite import ir
from made_up import run_python

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes of files")
X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
CPUS = [
    (X86, "znver4", "vpdpbusd512"),
    (X86, "icelake-server", "vpdpbusd512"),
    (X86, "alderlake", "vpdpbusd256"),
    (X86, "znver3", "pmaddubsw"),
    (X86, "skylake-avx512", "pmaddubsw"),
    (X86, "x86-64", ""),
    (ARM, "neoverse-v1", "usdot"),
    (ARM, "apple-m1", "sdot"),
    (ARM, "cortex-a72", ""),
]


def has(triple):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        return llvm.Target.from_triple(triple) is not None
    except RuntimeError:
        return False


HERE = [cpu for cpu in CPUS if has(cpu[0])]


@pytest.mark.parametrize(("triple", "cpu", "name"), HERE)
def test_the_byte_product_of_a_cpu_is_found(triple, cpu, name):
    assert dots.instruction(triple, cpu, "") == name
    assert records.is_exact(name) == (name not in ("", "pmaddubsw"))


def test_a_family_of_cpus_that_nobody_knows_has_none():
    assert dots.instruction("riscv64-unknown-linux-gnu", "generic", "") == ""


@pytest.mark.parametrize(("triple", "cpu", "name"), [cpu for cpu in HERE if cpu[2]])
def test_the_code_for_it_has_that_instruction_and_nothing_slow(triple, cpu, name):
    """64 products take as many instructions as vectors of the CPU hold 16 int32."""
    module, vector = ir.Module(), ir.VectorType(ir.IntType(32), 16)
    function = ir.Function(module, ir.FunctionType(vector, [vector] * 3), "f")
    b = ir.IRBuilder(function.append_basic_block())
    b.ret(dots.add_dot(b, name, *function.args))
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    code = machine.emit_assembly(llvm.parse_assembly(str(module)))
    count = {"vpdpbusd512": 1, "vpdpbusd256": 2, "usdot": 4, "sdot": 8, "pmaddubsw": 2}[name]
    count = 1 if cpu == "skylake-avx512" else count
    assert code.count(name.removesuffix("512").removesuffix("256") + "\t") == count
    assert not any(slow in code for slow in ("pmulld", "pmovsx", "sshll", "smull"))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 CPUs")
@pytest.mark.parametrize(("cpu", "name"), [("znver3", "pmaddubsw"), ("x86-64-v2", "")])
def test_code_for_other_cpus_gives_the_same_bits(cpu, name):
    """The tests of the kernels once more, in a process whose code is made for that CPU."""
    code = """
        import sys, pytest, int8_rnn
        print(int8_rnn.fast_path().instruction or "none", "pairs" in str(int8_rnn.fast_path()))
        chosen = "edges or buffers or linear or largest or extremes or narrow or floats or each_way"
        sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", sys.argv[1], "-k", chosen]))
    """
    tests = Path(__file__).with_name("test_fast.py")
    shown = run_python(code, str(tests), NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="")
    assert shown.startswith(f"{name or 'none'} {name == 'pmaddubsw'}\n")
    assert " passed" in shown


# -- files -----------------------------------------------------------------------------------

READY = """
    import sys
    import int8_rnn
    assert "llvmlite" not in sys.modules, "importing the package is light"
    state = int8_rnn.fast_path()
    assert state.available, state.reason
    import torch
    lstm = int8_rnn.Int8LSTM.from_float(torch.nn.LSTM(4, 5))
    x = torch.linspace(-1, 1, 12).view(3, 1, 4)
    fast = lstm(x)[0]
    lstm.fast = False
    assert torch.allclose(fast, lstm(x)[0], atol=1e-3)
    print("numba" in sys.modules, state.kept_in)
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder in which code has been kept, and the file."""
    home = tmp_path_factory.mktemp("kept")
    compiled, path = run_python(READY, XDG_CACHE_HOME=str(home)).split()
    assert compiled == "True"
    return home, Path(path)


@pytest.fixture
def built(monkeypatch):
    """Whether code was compiled, which takes long: something small stands for it."""
    asked = []

    class Building:
        @staticmethod
        def build(*host):
            asked.append(host)
            return b"code", "usdot"

    monkeypatch.setitem(sys.modules, "int8_rnn.fast.building", Building)
    monkeypatch.setattr(loading, "_linked", lambda code: (code, code))
    return asked


def load():
    run, multiply_all, instruction, path = loading._load()
    assert (run, multiply_all, instruction) == (b"code", b"code", "usdot")
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def test_a_later_process_loads_it_without_numba(kept):
    home, path = kept
    before = path.stat().st_mtime_ns
    again, same = run_python(READY, XDG_CACHE_HOME=str(home)).split()
    assert (again, Path(same)) == ("False", path)
    assert path.stat().st_mtime_ns == before
    if sys.platform != "win32":
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.stat().st_mode & 0o777 == 0o600


def test_code_is_compiled_once(home, built):
    path = load()
    assert path.is_relative_to(home)
    assert load() == path
    assert len(built) == 1
    assert [*path.parent.iterdir()] == [path]


def damaged(content):
    yield b""
    yield content[:40]
    yield content[:-1]
    yield content[:-1] + bytes([content[-1] ^ 1])
    yield b"x" + content[1:]
    yield content.replace(b"kernels ", b"kernels 0")
    yield content.replace(b"usdot", b"sdot")
    yield content.replace(b"\n", b" ", 1)
    yield b"\xff" + content


@pytest.mark.parametrize("which", range(9))
def test_a_damaged_or_foreign_file_is_compiled_anew(which, home, built):
    path = load()
    content = path.read_bytes()
    path.write_bytes([*damaged(content)][which])
    assert load() == path
    assert len(built) == 2
    assert path.read_bytes() == content


@POSIX
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o702])
def test_nothing_is_run_from_a_folder_that_others_can_write_to(mode, home, built):
    folder = load().parent
    folder.chmod(mode)
    assert load() is None
    assert len(built) == 2
    folder.chmod(0o755)
    assert load() is not None
    assert len(built) == 2


@POSIX
def test_nothing_is_run_from_a_link_in_place_of_the_folder(home, built):
    folder = load().parent
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")
    assert load() is None
    assert len(built) == 2


@POSIX
@pytest.mark.parametrize("which", ["writable", "link", "owner"])
def test_a_file_that_is_not_the_users_alone_is_compiled_anew(which, home, built, monkeypatch):
    path = load()
    if which == "writable":
        path.chmod(0o622)
    elif which == "link":
        path.rename(home / "elsewhere")
        path.symlink_to(home / "elsewhere")
    else:
        real = os.fstat
        monkeypatch.setattr(os, "fstat", lambda file: _foreign(real(file)))
    load()
    assert len(built) == 2


def _foreign(status):
    return os.stat_result((*status[:4], status.st_uid + 1, *status[5:]))


@pytest.mark.parametrize("where", ["a file", "full", "no home"])
def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(where, home, built, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    if where == "a file":
        loading.folder().rmdir()
        (home / "int8_rnn").write_text("in the way")
    elif where == "full":
        monkeypatch.setattr(loading.os, "fdopen", full)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("none")))
    assert load() is None
    assert len(built) == 1
    assert not [*home.glob("int8_rnn/*")]


@pytest.mark.parametrize("what", ["numba", "llvmlite", "host", "source"])
def test_what_the_code_depends_on_is_in_its_name(what, home, monkeypatch, tmp_path):
    before, version = loading.key(), loading._version
    assert loading.key() == before
    if what == "host":
        monkeypatch.setenv("NUMBA_CPU_NAME", "znver1")
    elif what == "source":
        for source in loading._HERE.glob("*.py"):
            (tmp_path / source.name).write_bytes(source.read_bytes())
        monkeypatch.setattr(loading, "_HERE", tmp_path)
        assert loading.key() == before
        (tmp_path / "dots.py").write_text("other")
    else:
        monkeypatch.setattr(loading, "_version", lambda name: version(name) + "+" * (name == what))
    assert loading.key() != before


def test_only_the_newest_files_stay(home, built, monkeypatch):
    path = load()
    for i in range(20):
        old = path.with_name(f"{i}.o")
        old.write_bytes(b"")
        os.utime(old, (i, i))
    path.unlink()
    load()
    assert {one.stem for one in path.parent.iterdir()} == {path.stem, *map(str, range(13, 20))}
    assert path.read_bytes().endswith(b"usdot\ncode")


def test_processes_and_threads_that_start_at_once_and_children_all_work(tmp_path):
    """Two processes compile side by side, eight threads of each ask at once; then a fork."""
    code = """
        import os, subprocess, sys, threading
        if len(sys.argv) > 1:
            other = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
        import torch, int8_rnn
        lstm = int8_rnn.Int8LSTM.from_float(torch.nn.LSTM(300, 300).eval())
        x, found = torch.randn(80, 4, 300), []
        torch.set_num_threads(2)
        pool = [threading.Thread(target=lambda: found.append(lstm(x)[0])) for _ in range(8)]
        [one.start() for one in pool]
        [one.join() for one in pool]
        assert len(found) == 8 and all(torch.equal(one, found[0]) for one in found)
        from int8_rnn.fast import loading
        assert len(loading._LOADED) == 1
        if hasattr(os, "fork") and sys.platform == "linux":
            child = os.fork()
            if not child:
                # not torch.equal: OpenMP does not outlive a fork
                os._exit(int(lstm(x)[0].numpy().tobytes() != found[0].numpy().tobytes()))
            assert os.waitpid(child, 0)[1] == 0
        if len(sys.argv) > 1:
            assert other.wait() == 0
        print(len([*loading.folder().iterdir()]))
    """
    import textwrap

    shown = run_python(code, textwrap.dedent(code), XDG_CACHE_HOME=str(tmp_path))
    assert shown.split()[-1] == "1"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("sys.modules['numba'] = None", 'pip install "int8-rnn[fast]"'),
        ("sys.modules['llvmlite'] = None", 'pip install "int8-rnn[fast]"'),
        (
            "import numba; numba.cfunc = lambda *a, **k: fail(numba.errors.LoweringError('odd'))",
            "cannot be compiled here (LoweringError: odd",
        ),
    ],
    ids=["no numba", "no llvmlite", "numba cannot compile"],
)
def test_the_reference_takes_over_and_says_so_once(damage, sentence, tmp_path):
    code = f"""
        import sys, warnings
        def fail(error):
            raise error
        {damage}
        import torch, int8_rnn
        lstm = int8_rnn.Int8LSTM.from_float(torch.nn.LSTM(4, 5).eval())
        linear = int8_rnn.Int8Linear.from_float(torch.nn.Linear(4, 5).eval())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                lstm(torch.randn(3, 1, 4)), linear(torch.randn(3, 4))
        for warning in caught:
            print(warning.category.__name__, warning.message)
    """
    (line,) = run_python(code, XDG_CACHE_HOME=str(tmp_path)).splitlines()
    assert line.startswith("FastPathWarning int8 modules run the reference in plain torch: ")
    assert sentence in line


def test_a_fault_of_our_own_comes_out(tmp_path):
    """It must not be taken for a machine on which nothing can be compiled."""
    code = """
        import numba
        numba.cfunc = lambda *a, **k: 1 / 0
        import int8_rnn
        try:
            int8_rnn.fast_path()
        except ZeroDivisionError:
            print("came out")
    """
    assert run_python(code, XDG_CACHE_HOME=str(tmp_path)) == "came out\n"
