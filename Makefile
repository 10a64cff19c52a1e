# Two commands do all the set-up a fresh Debian machine needs:
#   make demo    the main job, for real, on this machine's own kernel
#   make test    the whole test suite
# Both install what is missing, say what that is, and do nothing the second time.

# From Debian: BCC's Python module exists only there (PyPI's "bcc" is another thing).
PACKAGES      = curl ethtool gcc libc6-dev linux-libc-dev python3-dev python3-venv python3-bpfcc linux-perf
# zstd unpacks the kernels of newer Debians; without it they boot 2 s later.
TEST_PACKAGES = $(PACKAGES) chromium iproute2 qemu-system-x86 busybox-static squashfs-tools zstd
# Programs that `record` must be right about.
TEST_PACKAGES += dropbear-bin golang-go haproxy iperf3 liburing-dev nginx-light openssh-client python3-grpcio redis-server
TEST_PACKAGES += redis-tools rsync wrk
# A terminal for `live`; languages in which a number has a comma.
TEST_PACKAGES += tmux locales
# Shells that completion must work in, and a judge of the manual pages.
TEST_PACKAGES += fish mandoc zsh
BENCH_PACKAGES = $(TEST_PACKAGES) iperf3 bpftrace

# Tests start hundreds of interpreters, which are not to compile nettrace each, whatever the environment says.
export PYTHONDONTWRITEBYTECODE =

SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PYTHON   = .venv/bin/python
ENGINE   = $(filter-out %/_engine.c,$(wildcard workloads/engine/*.[ch])) workloads/engine/build.py

.PHONY: demo test lint bench lab lab-matrix man readme study fresh-check clean packages test-packages bench-packages install dev-install

demo: install
	$(SUDO) $(CURDIR)/.venv/bin/nettrace run zerocopy --size 16384

# Side by side: a guest is one emulated CPU, and tests on this machine wait as long as they work.
test: test-packages dev-install
	@echo "tests of this machine's kernel and, beside them, all others and those in guests, which are shown when they are done"
	@$(MAKE) --no-print-directory --jobs=4 --keep-going test-here test-other test-lab test-kernels

.PHONY: test-here test-other test-lab test-kernels test-again
PYTEST  = $(SUDO) $(CURDIR)/$(PYTHON) -m pytest
PURELY  = not live and not lab and not system
HERE    = -o cache_dir=build/tests-here -m "live and not lab"
OTHER   = -o cache_dir=build/tests-other -m "not live and not lab"
LAB     = -o cache_dir=build/tests-lab -m "lab and not other_kernel"
KERNELS = -o cache_dir=build/tests-kernels -m "lab and other_kernel"

test-here: | build
	@$(PYTEST) $(HERE); code=$$?; echo $$code > build/here-tests.code; exit $$code

# Shown in one piece. This machine's tests come before them: those are one after the other, and most of them wait for processes.
beside = nice -n 5 $(PYTEST) $(2) > build/$(1)-tests.log 2>&1; code=$$?; cat build/$(1)-tests.log; \
	echo $$code > build/$(1)-tests.code; exit $$code

test-other: | build
	@$(call beside,other,$(OTHER))

test-lab: | build
	@$(call beside,lab,$(LAB))

test-kernels: | build
	@$(call beside,kernels,$(KERNELS))

# Where tests failed (pytest's exit code 1), these once more, alone; what came to no end is no flake.
again = case "$$(cat build/$(1)-tests.code)" in \
	0) ;; \
	1) $(PYTEST) $(2) --last-failed --last-failed-no-failures=none || exit 1 ;; \
	*) echo "the tests of $(1) did not come to their end"; exit 1 ;; esac

# What passes now is flaky, which is a fault too, of another kind.
test-again: dev-install
	@$(call again,here,$(HERE))
	@$(call again,other,$(OTHER))
	@$(call again,lab,$(LAB))
	@$(call again,kernels,$(KERNELS))

build:
	mkdir -p build

.PHONY: check fuzz

# The tests that need neither root, nor a kernel, nor processes: 20 s on two cores, after each change.
check: dev-install
	$(PYTHON) -m pytest -n auto -m "$(PURELY)"

# Whatever nettrace reads, with any value in any place, for ten minutes; a failure tells the seed that does it again.
fuzz: dev-install
	$(PYTHON) -m tests.fuzzing

lint: dev-install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# All kernels fetched and their guests saved with everything loaded: from then on a lab run answers in 2 s, without network.
lab: test-packages install
	$(CURDIR)/.venv/bin/nettrace lab warm

bench: bench-packages dev-install
	$(SUDO) $(CURDIR)/$(PYTHON) bench/run.py

readme: install
	$(SUDO) $(CURDIR)/$(PYTHON) bench/readme.py

# Manual pages and the shells' completion scripts, made anew of the commands: docs/man, docs/completion.
man: install
	$(PYTHON) -m bench.man_pages

# The source study again: the sweep, the lab's NIC, a verdict on each claim, those of the field too; docs/study.md.
study: test-packages install
	$(SUDO) $(CURDIR)/$(PYTHON) bench/study.py

# Every mode on every link and what else bench/matrix_cells.py lists, on the three lab kernels, each count checked to the byte, 20 minutes on two cores; docs/matrix.md is the tables.
lab-matrix: test-packages dev-install
	$(PYTHON) -m bench.lab_matrix --publish

# The two commands above on a fresh Debian 12 and 13, built in a directory; half an hour.
fresh-check:
	$(call install_packages,debootstrap)
	$(SUDO) /usr/bin/python3 bench/fresh_check.py

# apt-get runs only if something is missing, and says what.
define install_packages
	@missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q '^install ok' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		echo "installing from Debian:" $$missing; \
		$(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
			apt-get install -qy --no-install-recommends $$missing; \
	fi
endef

packages:
	$(call install_packages,$(PACKAGES))

test-packages:
	$(call install_packages,$(TEST_PACKAGES))

bench-packages:
	$(call install_packages,$(BENCH_PACKAGES))

install: packages .venv/installed

dev-install: packages .venv/dev-installed

# BCC belongs to Debian's interpreter, hence /usr/bin/python3 and --system-site-packages.
.venv/bin/pip: | packages
	@echo "making .venv from /usr/bin/python3, with Debian's BCC visible in it"
	/usr/bin/python3 -m venv --system-site-packages .venv

.venv/installed: .venv/bin/pip pyproject.toml setup.py $(ENGINE)
	@echo "installing nettrace and its Python packages into .venv, compiling the engine"
	.venv/bin/pip install -q -e .
	touch $@

.venv/dev-installed: .venv/bin/pip pyproject.toml setup.py $(ENGINE)
	@echo "installing nettrace, its Python packages and the tools for its tests into .venv, compiling the engine"
	.venv/bin/pip install -q -e '.[dev]'
	touch $@ .venv/installed

clean:
	rm -rf .venv build ./*.egg-info workloads/engine/*.so workloads/engine/_engine.c
