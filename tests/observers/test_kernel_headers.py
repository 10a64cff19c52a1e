"""Headers from BTF: checked against the running kernel, and on a kernel that lacks things."""

from __future__ import annotations

import ctypes
import subprocess

import pytest

from tracer.errors import MachineError
from tracer.machine.kernel.btf import VMLINUX, Btf
from tracer.observers.headers import WANTED, Wanted, declare_struct, kconfig_text, tree, version_text, write_tree

pytestmark = pytest.mark.skipif(not VMLINUX.exists(), reason="the kernel offers no BTF")


@pytest.fixture(scope="module")
def btf() -> Btf:
    return Btf.of_running_kernel()


def test_layouts_agree_with_what_the_abi_fixes(btf):
    """struct msghdr's user ABI twin and pt_regs are fixed by the architecture."""
    assert btf.struct_size("pt_regs") == 168
    assert btf.member("pt_regs", "ip").offset == 128
    assert btf.struct_size("iovec") == 2 * ctypes.sizeof(ctypes.c_void_p)


def test_members_are_found_through_anonymous_unions(btf):
    """sk_buff keeps sk, dev and end inside anonymous unions or structs on some kernels."""
    for member in ("sk", "dev", "len", "data_len", "end", "head", "data"):
        assert btf.member("sk_buff", member) is not None, member
    assert btf.member("sock", "__sk_common.skc_num").size == 2


def test_what_a_kernel_lacks_is_none(btf):
    """No member, no struct, no tracepoint: None, never an invented offset."""
    assert btf.member("sk_buff", "no_such_member") is None
    assert btf.struct_size("no_such_struct") is None
    assert btf.tracepoint_parameters("no_such_tracepoint") is None
    assert btf.enumerator("NO_SUCH_CONSTANT") is None
    assert declare_struct(btf, Wanted("x", ("no_such_struct",), {})) == ""


def test_a_member_under_its_older_name_is_found(btf):
    """The first path that this kernel knows is taken."""
    wanted = Wanted("sk_buff", ("sk_buff",), {"length": ("no_such_member", "len")})

    assert "u32 length;" in declare_struct(btf, wanted)


def test_declared_offsets_are_btf_s_offsets(btf, tmp_path):
    """The C compiler puts every declared member where BTF says that it is."""
    write_tree(tmp_path, tree(btf, "6.18.44"))
    checks = []
    for wanted in WANTED:
        kernel_name = next(name for name in wanted.kernel_names if btf.struct_size(name))
        for name, candidates in wanted.members.items():
            member = next(filter(None, (btf.member(kernel_name, path) for path in candidates)))
            checks.append(
                f"_Static_assert(__builtin_offsetof(struct {wanted.name}, {name}) == {member.offset}, "
                f'"{wanted.name}.{name}");'
            )
        checks.append(f'_Static_assert(sizeof(struct {wanted.name}) == {btf.struct_size(kernel_name)}, "size");')
    source = tmp_path / "check.c"
    source.write_text("#include <linux/kconfig.h>\n" + "\n".join(checks) + "\n")

    subprocess.run(["gcc", "-fsyntax-only", "-nostdinc", f"-I{tmp_path}/include", str(source)], check=True)


def test_flags_come_from_the_kernel_s_enum(btf):
    """SKBFL_ values are read, not assumed."""
    assert "#define SKBFL_ZEROCOPY_ENABLE 1\n" in kconfig_text(btf)


@pytest.mark.parametrize(
    ("release", "code"), [("6.1.0-49-amd64", 0x060100), ("6.18.44", 0x061200), ("7.2-rc1", 0x070200)]
)
def test_any_release_string_gives_a_version_header(release, code):
    """Distributions append words to the release."""
    assert version_text(release).splitlines()[0] == f"#define LINUX_VERSION_CODE {code}"


@pytest.mark.parametrize("data", [b"", b"\x9f\xeb", b"\0" * 64])
def test_what_is_no_btf_is_a_clear_error(data):
    """No traceback from struct."""
    with pytest.raises(MachineError, match="BTF cannot be read"):
        Btf(data)
