"""The programs of bpf/sockets.bpf.c: compiled for this kernel, attached as far as it allows, each failure explained."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tracer.books.socket_rows import declaration
from tracer.errors import MachineError, PrivilegeError
from tracer.machine import privilege
from tracer.machine.cgroups import level_of
from tracer.machine.kernel.bpf_trial import RETURN_0
from tracer.machine.kernel.btf import Btf
from tracer.machine.kernel.preemption import preempts
from tracer.machine.leftovers import cgroup2_mount
from tracer.machine.running import namespace_of_ids
from tracer.observers import compiling, image, loading
from tracer.observers.cgroup_links import exclusive_holder
from tracer.observers.headers import header_tree
from tracer.observers.image import Image
from tracer.observers.image_cache import cached_image
from tracer.observers.living_rows import LivingRows, RowsApart, StoredRows
from tracer.observers.loading import Kind, Refusal
from tracer.observers.maps import Maps
from tracer.observers.optmem import charged_bytes
from tracer.observers.prepared import Prepared, Source, fingerprint_of
from tracer.observers.program_info import recursion_misses
from tracer.observers.running_order import runs_as_attached
from tracer.observers.socket_counts import SocketCounts
from tracer.observers.socket_hooks import (
    ASKED_TRACEPOINTS,
    OF_A_PROGRAM,
    PEERS_FOUND,
    PEERS_PACKETS,
    PROBED_FUNCTIONS,
    Hook,
    Plan,
)
from tracer.observers.socket_structs import declarations
from tracer.observers.source_text import whole_text

PROGRAM = "sockets.bpf.c"
_STORAGE = "bpf_sk_storage_map"
# Parameters of the tracepoint kfree_skb until 6.10: skb, location, reason.
_WITHOUT_RECEIVER = 3
# On a kernel that preempts itself: with two, a task was in the middle of each now and then.
_AGAINST_PREEMPTION = 3


_NO_ELEMENTS: Mapping[str, bytes] = {}


def image_of(plan: Plan, btf: Btf, by_functions: bool = False, prepared: Prepared | None = None) -> Image:
    """The compiled program: prepared, or from the cache, if it is there.

    Raises:
        MachineError: BCC is missing, or cannot compile it.
    """
    source = _source(plan, btf, by_functions)
    ready = prepared.take(_fingerprint(source)) if prepared is not None and prepared.programs else None
    return cached_image(source.generated, source.flags, source.file_name) if ready is None else ready


def text_of(plan: Plan, btf: Btf, by_functions: bool) -> tuple[str, tuple[str, ...]]:
    """What is compiled, and how."""
    source = _source(plan, btf, by_functions)
    return source.generated, source.flags


def standing(plan: Plan) -> Plan:
    """A plan by whose programs functions are watched, as it is compiled where the kernel preempts itself, or does not.

    Programs of functions are passed over on any kernel that preempts itself, those of tracepoints not on all.
    """
    more = (f"-DPROGRAMS_PER_HOOK={_AGAINST_PREEMPTION}",) if preempts() else ()
    return plan._replace(flags=(*plan.flags, *more))


def prepare_image(plan: Plan, btf: Btf, programs: dict[str, Any]) -> None:
    """Have the program of a workload's plan compiled for the children of this process."""
    programs[_fingerprint(_source(plan, btf, False))] = image_of(plan, btf)


def _source(plan: Plan, btf: Btf, by_functions: bool) -> Source:
    # Nobody but a foreign program reads in other ways than by the calls that are seen.
    registers = ("-DREADS_BY_REGISTERS=1",) if plan.in_sockets and not by_functions else ()
    told = declaration() + declarations(btf, PROBED_FUNCTIONS, ASKED_TRACEPOINTS)
    flags = (f"-DRING_PAGES={plan.ring_pages}", *registers, *plan.flags)
    return Source(PROGRAM, flags, told + whole_text(PROGRAM))


def _fingerprint(source: Source) -> str:
    ours = (Path(str(module.__file__)).read_text() for module in (image, compiling))
    return fingerprint_of(source, str(header_tree()), *ours)


def subject_of(cgroup: Path | None) -> bytes:
    """struct subject of bpf/sockets.bpf.c: a cgroup, or none, where processes say whose a socket is."""
    whole = (0, 0) if cgroup is None else (cgroup.stat().st_ino, level_of(cgroup))
    return struct.pack("<QII", *whole, namespace_of_ids())


class SocketPrograms:
    """Attached from attach() to close().

    Args:
        cgroup: Whose sockets.
        plan: What is asked of them.
        elements: What arrays hold before anything is attached, by name.
        image: The compiled program; None has it compiled.
    """

    def __init__(
        self,
        cgroup: Path,
        plan: Plan = OF_A_PROGRAM,
        elements: Mapping[str, bytes] = _NO_ELEMENTS,
        image: Image | None = None,
    ) -> None:
        self._cgroup, self._plan, self._image_given = cgroup, plan, image
        self._elements = {"subject": subject_of(cgroup), **elements}
        self._undo = contextlib.ExitStack()
        self._attachments: list[int] = []
        self._programs: list[tuple[Hook, int]] = []
        self._ranks: dict[Kind, range] = {}
        self.attached: list[str] = []
        self.refused: dict[str, str] = {}
        self.optmem_bytes: int | None = None

    def attach(self, *, peers: bool = False) -> None:
        """Compile, load and attach; from here on everything is counted.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: this kernel lacks what cannot be done without.
        """
        btf = Btf.of_running_kernel()
        by_functions = bool(self._plan.by_functions) and self._can_fexit(btf)
        several = by_functions and self._plan.in_sockets and preempts()
        self._apart = self._plan.in_sockets and not self._can_iterate(btf)
        self.names_receivers = len(btf.tracepoint_parameters("kfree_skb") or ()) > _WITHOUT_RECEIVER
        self.optmem_bytes = charged_bytes(btf, rows=not self._apart)
        self._prepare(btf, by_functions, several)
        if several:
            self._ranks = self._rank_programs(btf)
        self._directory = loading.open_directory(self._cgroup)
        self._undo.callback(os.close, self._directory)
        self._attach_all(self._plan.needed, btf, needed=True)
        self._attach_all(self._plan.by_functions if by_functions else self._plan.by_tracepoints, btf)
        self._attach_all(self._plan.wished, btf)
        if peers:
            self._attach_to_peers(btf)
        if self._plan.in_sockets:
            self.living = self._living_rows(btf)

    def _prepare(self, btf: Btf, by_functions: bool, several: bool) -> None:
        """Code and maps."""
        plan = standing(self._plan) if several else self._plan
        if self._apart:
            plan = plan._replace(flags=(*plan.flags, "-DROWS_APART=1"))
        self._image = self._image_given or image_of(plan, btf, by_functions)
        try:
            self.maps = Maps(self._image.maps)
            self._undo.callback(self.maps.close)
            for name, element in self._elements.items():
                self.maps.set(name, 0, element)
        except Refusal as refusal:
            raise _refused("cannot make the maps that rows are kept in", refusal) from refusal

    def _rank_programs(self, btf: Btf) -> dict[Kind, range]:
        """Of a hook's programs, in the order of attaching; none, for one alone at each hook, where it is not told."""
        ranks = range(_AGAINST_PREEMPTION)
        found = {}
        for kind in loading.TRACING:
            with contextlib.suppress(Refusal):  # as its hooks will be, each with the reason
                found[kind] = runs_as_attached(kind, partial(self._load, btf), self.maps)
        if None in found.values():
            return {}
        return {kind: ranks if forward else ranks[::-1] for kind, forward in found.items()}

    def _can_fexit(self, btf: Btf) -> bool:
        """Whether this kernel takes programs at a function's return: tried, with the smallest one."""
        tried = Hook(Kind.FEXIT, "inet_sendmsg", "tried", "can functions be probed")
        try:
            program = loading.load(RETURN_0, tried.program, tried.kind, _target(tried, btf))
            try:
                os.close(loading.attach(program, Kind.FEXIT))
            finally:
                os.close(program)
        except Refusal as refusal:
            self.refused["fexit"] = refusal.reason
            return False
        return True

    def _can_iterate(self, btf: Btf) -> bool:
        """Whether this kernel lets a program go through what is stored in sockets: tried, with the smallest one."""
        target = loading.target_id(btf, Kind.ITERATOR, _STORAGE)
        try:
            os.close(loading.load(RETURN_0, "tried", Kind.ITERATOR, target))
        except Refusal:
            return False
        return True

    def _living_rows(self, btf: Btf) -> LivingRows:
        """Raises MachineError where this kernel lets nobody read them."""
        program, kind, target = (
            ("on_asked", Kind.RAW_TRACEPOINT, "") if self._apart else ("on_living", Kind.ITERATOR, _STORAGE)
        )
        try:
            reader = self._load(btf, program, kind, target)
            if self._apart:
                loading.run(reader, 0)
        except Refusal as refusal:
            raise _refused("cannot read the rows of sockets that live", refusal) from refusal
        return RowsApart(self.maps, reader) if self._apart else StoredRows(reader, self.maps.descriptor("rows"))

    def _attach_all(self, hooks: Iterable[Hook], btf: Btf, needed: bool = False) -> None:
        for hook in hooks:
            try:
                self._attach(hook, btf)
            except Refusal as refusal:
                if needed:
                    raise _failed(hook, refusal, self._cgroup) from refusal
                self.refused[hook.target] = refusal.reason

    def _attach_to_peers(self, btf: Btf) -> None:
        """On the root of all cgroups, beside whoever is there; whoever is no peer is told by the storage of its socket.

        Raises:
            MachineError: somebody holds that cgroup alone.
        """
        root = cgroup2_mount() or self._cgroup
        directory = loading.open_directory(root)
        try:
            for hook in (*PEERS_PACKETS, *PEERS_FOUND):
                self._attach(hook, btf, directory)
        except Refusal as refusal:
            raise _failed(hook, refusal, root) from refusal
        finally:
            os.close(directory)

    def _attach(self, hook: Hook, btf: Btf, cgroup: int | None = None) -> None:
        for rank in self._ranks.get(hook.kind, range(hook.programs)):
            program = self._load(btf, hook.program, hook.kind, hook.target, rank)
            attachment = loading.attach(program, hook.kind, self._directory if cgroup is None else cgroup)
            self._attachments.append(attachment)
            self._programs.append((hook, program))
        self.attached.append(hook.target or hook.program)

    def _load(self, btf: Btf, function: str, kind: Kind, target: str, rank: int = 0) -> int:
        """One of those at a hook, which knows its rank among them."""
        target_id = _target(Hook(kind, target, function, ""), btf)
        with self._maps_of(rank) as descriptors:
            program = loading.load(self._image.code(function, descriptors), function, kind, target_id)
        self._undo.callback(os.close, program)
        return program

    def _maps_of(self, rank: int) -> contextlib.AbstractContextManager[list[int]]:
        if not self.maps.has("own_rank"):
            return contextlib.nullcontext(self.maps.descriptors)
        return self.maps.with_own("own_rank", struct.pack("<Q", rank))

    @property
    def per_hook(self) -> int:
        """Programs that stand at each hook of a function or a tracepoint."""
        return _AGAINST_PREEMPTION if self._ranks else 1

    @property
    def calls(self) -> str:
        """What tells calls and their way: "fexit", "tracepoint+registers", or "none"."""
        if "inet_sendmsg" in self.attached and "inet_recvmsg" in self.attached:
            return "fexit"
        return "tracepoint+registers" if "sock_send_length" in self.attached else "none"

    def descriptors(self) -> list[int]:
        """Of the programs that are attached."""
        return [program for _, program in self._programs]

    def skipped(self) -> dict[str, int] | None:
        """Program -> times the kernel did not run it, nor another of the same hook; None where it does not tell.

        Of two that stand at a hook one runs.
        """
        found = [(hook.program, recursion_misses(program)) for hook, program in self._programs]
        known = [(name, times) for name, times in found if times is not None]
        if len(known) < len(found):
            return None
        if self.per_hook > 1:
            return self._missed_by_all(sum(times for _, times in known))
        alone = {hook.program for hook, _ in self._programs if hook.programs == 1}
        return {name: times for name, times in known if times and name in alone}

    def _missed_by_all(self, missed: int) -> dict[str, int]:
        """Calls that none of a hook's programs counted, at most: each would have been seen by all, or been missed."""
        fates = SocketCounts(self.maps).fates()
        calls = (fates["told"] + fates["told_again"] + missed) // self.per_hook
        uncounted = max(0, calls - fates["told"])
        return {"all programs of a hook": uncounted} if uncounted else {}

    def add(self, hook: Hook, cgroup: Path | None = None) -> None:
        """Attach one more, to another cgroup if it is given.

        Raises:
            PrivilegeError, MachineError: the kernel refuses.
        """
        directory = None if cgroup is None else loading.open_directory(cgroup)
        try:
            self._attach(hook, Btf.of_running_kernel(), directory)
        except Refusal as refusal:
            raise _failed(hook, refusal, cgroup or self._cgroup) from refusal
        finally:
            if directory is not None:
                os.close(directory)

    def load_iterator(self, function: str, target: str) -> int | None:
        """Descriptor of an iterator's program, for as long as these are loaded; None where the kernel refuses it."""
        try:
            return self._load(Btf.of_running_kernel(), function, Kind.ITERATOR, target)
        except Refusal as refusal:
            self.refused[target] = refusal.reason
            return None

    def detach(self) -> None:
        """Nothing is counted any more; what was can be read."""
        while self._attachments:
            os.close(self._attachments.pop())

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        self._undo.close()


def _target(hook: Hook, btf: Btf) -> int | None:
    """BTF id of what a hook is attached to; None for those of a cgroup."""
    if not hook.target:
        return None
    found = loading.target_id(btf, hook.kind, hook.target)
    if found is None:
        raise Refusal(errno.ENOENT, "this kernel has none")
    return found


def _failed(hook: Hook, refusal: Refusal, cgroup: Path) -> MachineError | PrivilegeError:
    what = f"cannot watch {hook.question} ({hook.target or hook.program})"
    holder = exclusive_holder(cgroup, hook.kind.value.attach_type) if hook.kind in loading.OF_A_CGROUP else None
    if holder is not None:
        why = f"another program holds {holder} alone (it was attached without BPF_F_ALLOW_MULTI)"
        return MachineError(what, why, f"bpftool cgroup show {holder}; detach it, or run in the lab: --lab")
    return _refused(what, refusal)


def _refused(what: str, refusal: Refusal) -> MachineError | PrivilegeError:
    if refusal.number in (errno.EPERM, errno.EACCES):
        return privilege.refusal(what, refusal.reason, "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN")
    return MachineError(what, refusal.reason, "see: nettrace doctor; or run in the lab: --lab")
