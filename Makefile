# Mimesys for Slurm. `make help` lists the targets; everything is built below build/.

ifeq ($(origin CC),default) # make predefines CC
CC := gcc
endif
PREFIX ?= /usr/local
DESTDIR ?=
CFLAGS ?= -O2 -g
BUILD ?= build
ROOMS ?= core trace plan node corpus baseline report nn diffusion explore fleet

ifeq ($(FUZZER),1) # with CC=clang
SANITIZE := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
endif
ifeq ($(ASAN),1)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
ifeq ($(TSAN),1)
SANITIZE := -fsanitize=thread
endif
# Only where oneDNN's run-time library is the compiler's own, and not under the thread sanitizer,
# which does not know it.
ifneq ($(TSAN),1)
OPENMP := $(if $(findstring clang,$(shell $(CC) --version 2>/dev/null)),,-fopenmp)
endif

PACKAGES := hdf5-openmpi ompi-c jansson hwloc cairo lapacke libzstd libzip libxxhash
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion
# Silent before make deps: the first thing compiled then says what to do.
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null | sed 's/-I/-isystem /g') \
	-isystem /usr/include/iniparser
PKG_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -liniparser -ldnnl -lpthread -lm
HAVE_PACKAGES := $(shell pkg-config --exists $(PACKAGES) 2>/dev/null && echo yes)
NEED_PACKAGES = $(if $(HAVE_PACKAGES),,$(error libraries are missing: run "make deps", or see "make info"))

INC := -Isrc -I.
ALL_CFLAGS = -std=c11 -D_POSIX_C_SOURCE=200809L $(WARN) $(INC) $(PKG_CFLAGS) -fPIC -pthread \
	$(OPENMP) $(SANITIZE) $(CFLAGS)
ALL_LDFLAGS = -pthread $(OPENMP) $(SANITIZE) $(LDFLAGS)

LIB_SOURCES := $(sort $(foreach room,$(ROOMS),$(wildcard src/$(room)/*.c)))
LIB_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/%.o)
LIB := $(BUILD)/lib/libmimesys.a

MAIN_SOURCES := $(sort $(wildcard src/cmd/mimesys_*.c))
# Programs for many ranks: what takes a communicator is in mpi/, not in the library.
MPI_MAIN_SOURCES := $(sort $(wildcard mpi/mimesys_*.c))
MPI_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(MPI_MAIN_SOURCES),$(wildcard mpi/*.c))) \
	$(BUILD)/src/cmd/program_main.o
MPI_LIB := $(BUILD)/lib/libmimesys_mpi.a
PROGRAMS := $(MAIN_SOURCES:src/cmd/%.c=$(BUILD)/bin/%) $(MPI_MAIN_SOURCES:mpi/%.c=$(BUILD)/bin/%)
CMD_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(MAIN_SOURCES),$(wildcard src/cmd/*.c)))

TEST_SOURCES := $(sort $(wildcard tests/test_*.c))
TEST_NAMES := $(TEST_SOURCES:tests/test_%.c=%)
TESTS ?= $(TEST_NAMES)
TEST_PROGRAMS := $(TESTS:%=$(BUILD)/tests/test_%)
MPI_TESTS ?= $(patsubst tests/mpi_%.c,%,$(sort $(wildcard tests/mpi_*.c)))
MPI_TEST_PROGRAMS := $(MPI_TESTS:%=$(BUILD)/tests/mpi_%)
TEST_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
TEST_HELPERS := $(BUILD)/tests/libsupport.a
BENCH_PROGRAMS := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/bench_*.c \
	tests/bench/mpi_*.c))

MAN_PAGES := $(PROGRAMS:$(BUILD)/bin/%=$(BUILD)/man/%.1)
COMPLETIONS := $(PROGRAMS:$(BUILD)/bin/%=$(BUILD)/completion/%)

.PHONY: all lib tests programs docs help deps deps-testbed deps-bench demo demo-full check check-unit check-mpi check-cli \
	check-slurm check-corpus check-valgrind check-full bench fidelity imitate architectures fuzz fuzz-programs install uninstall format check-format lint clean info
.DELETE_ON_ERROR:
.SECONDARY:

all: lib programs docs

help:
	@sed -n 's/^## //p' Makefile

## all         library, programs, man pages and completions into build/
lib: $(LIB)
programs: $(PROGRAMS)
docs: $(MAN_PAGES) $(COMPLETIONS)
tests: $(TEST_PROGRAMS) $(MPI_TEST_PROGRAMS) $(BENCH_PROGRAMS)

# What the objects were built with: a changed compiler or flag rebuilds them.
FLAGS_STAMP := $(BUILD)/flags
FLAGS_NOW := $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)
$(shell mkdir -p $(BUILD); echo '$(FLAGS_NOW)' | cmp -s - $(FLAGS_STAMP) || echo '$(FLAGS_NOW)' > $(FLAGS_STAMP))

$(BUILD)/%.o: %.c $(FLAGS_STAMP)
	$(NEED_PACKAGES)@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Loops of the networks become vector code; neither flag changes what NaN or infinity do.
$(BUILD)/src/nn/%.o: CFLAGS += -O3 -fno-math-errno -fno-trapping-math
$(BUILD)/src/core/rng.o: CFLAGS += -O3 -fno-tree-slp-vectorize
$(BUILD)/src/nn/attend.o $(BUILD)/src/nn/gelu.o: CFLAGS += -ffp-contract=fast
# Its loops are short: where they happen to begin decides on a tenth of the time.
$(BUILD)/src/nn/attend.o: CFLAGS += -falign-functions=64 -falign-loops=64

$(BUILD)/src/core/version.o: ALL_CFLAGS += -DMIM_BUILD_FLAGS='"$(strip $(CFLAGS) $(SANITIZE))"'

$(LIB): $(LIB_OBJECTS)
	@mkdir -p $(@D)
	@rm -f $@
	@echo ar rcs $@ # all objects
	@ar rcs $@ $^

$(BUILD)/bin/%: $(BUILD)/src/cmd/%.o $(CMD_OBJECTS) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(MPI_LIB): $(MPI_OBJECTS)
	@mkdir -p $(@D)
	@rm -f $@
	@echo ar rcs $@ # all objects
	@ar rcs $@ $^

$(BUILD)/bin/%: $(BUILD)/mpi/%.o $(MPI_LIB) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(TEST_HELPERS): $(TEST_OBJECTS)
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/tests/mpi_%: $(BUILD)/tests/mpi_%.o $(TEST_HELPERS) $(MPI_LIB) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Counts what is allocated.
$(BUILD)/tests/test_dit: ALL_LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_HELPERS) $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(BUILD)/bench/mpi_%: $(BUILD)/tests/bench/mpi_%.o $(TEST_HELPERS) $(MPI_LIB) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

FIDELITY_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/fidelity/fidelity_%,\
	$(wildcard tests/fidelity/*.c)))
$(BUILD)/bench/fidelity: $(FIDELITY_OBJECTS) $(TEST_HELPERS) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/bench/fidelity_%: $(BUILD)/tests/fidelity/fidelity_%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(TEST_HELPERS) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/man/%.1: $(BUILD)/bin/%
	@mkdir -p $(@D)
	$< --man > $@

$(BUILD)/completion/%: $(BUILD)/bin/%
	@mkdir -p $(@D)
	$< --completion > $@

# ---- tests -----------------------------------------------------------------------------------

# Third-party samples of old dialects, looked for beside the checkout; their tests skip without.
export MIMESYS_TEST_DIALECTS ?= $(wildcard ../shared/data/traces/dialects)

## check       builds with gcc, clang and sanitizers, all tests but the long ones (some 20 min)
check:
	@scripts/check.sh

## check-full  the same, then fuzzing, races, kills, the demo and every README command (over 1 h)
check-full:
	@scripts/check.sh full

## check-unit  unit tests only (TESTS="stats plan" picks some)
check-unit: $(TEST_PROGRAMS)
	@tests/run unit $(TEST_PROGRAMS)

## check-mpi   tests of parallel parts at 1 to 4 ranks (MPI_TESTS="agree" picks some)
check-mpi: $(MPI_TEST_PROGRAMS)
	@tests/run mpi $(MPI_TEST_PROGRAMS)

## check-cli   tests of the programs only (CLI="trace run" picks some)
CLI_HELPERS := tests/make_corpus tests/make_model tests/make_runs bench/imitate_lines bench/fidelity \
	bench/fidelity_plot
CLI ?= $(patsubst tests/cli_%.sh,%,$(wildcard tests/cli_*.sh))
check-cli: programs $(CLI_HELPERS:%=$(BUILD)/%)
	@BIN=$(abspath $(BUILD)/bin) tests/run cli $(CLI:%=tests/cli_%.sh)

## check-slurm tests on a real Slurm cluster of 4 nodes on this machine; needs root (3 min;
##             SLURM="learn" picks some)
SLURM ?= $(patsubst tests/slurm_%.sh,%,$(sort $(wildcard tests/slurm_*.sh)))
check-slurm: programs $(BUILD)/tests/slurm_hdf5 $(BUILD)/tests/make_corpus $(BUILD)/tests/make_runs
	@BIN=$(abspath $(BUILD)/bin) PROGRAMS=$(abspath $(BUILD)/tests) \
		tests/run cli $(SLURM:%=tests/slurm_%.sh)

## check-valgrind  the stressors' reference loops and small tests under valgrind, where it is installed
VALGRIND_TESTS := kernels kernels_io kernels_system
check-valgrind: $(VALGRIND_TESTS:%=$(BUILD)/tests/test_%)
	@scripts/valgrind.sh $(BUILD)

# Every input of the fuzzers' corpora once, with sanitizers.
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
$(BUILD)/fuzz/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(TEST_HELPERS) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)
check-corpus: $(FUZZ_NAMES:%=$(BUILD)/fuzz/replay_%)
	@for name in $(FUZZ_NAMES); do \
		$(BUILD)/fuzz/replay_$$name tests/fuzz/corpus_$$name || exit 1; done

## fuzz        libFuzzer on every target for FUZZ_S seconds each
FUZZ_S ?= 600
$(BUILD)/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(TEST_HELPERS) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(PKG_LIBS)
fuzz-programs: $(FUZZ_NAMES:%=$(BUILD)/fuzz/fuzz_%)
fuzz:
	@scripts/fuzz.sh $(FUZZ_S) $(FUZZ_NAMES)

# ---- measuring -------------------------------------------------------------------------------

## demo        set up, calibrate, learn, imitate a part of a trace by every method (some 10 min)
demo: deps
	@$(MAKE) --no-print-directory -j2 all
	@scripts/demo.sh $(BUILD)

## demo-full   the same with more measurements, on seven whole traces (some 2 h; can be stopped and resumed)
demo-full: deps
	@$(MAKE) --no-print-directory -j2 all $(BUILD)/bench/imitate_lines
	@scripts/demo.sh $(BUILD) full

## bench       speed and accuracy beside peers, one JSON object a line, also in build/bench.jsonl
bench: $(BENCH_PROGRAMS)
	@scripts/bench.sh $(BUILD) $(BENCH_PROGRAMS)

## fidelity    how exactly the executor gives what is asked, beside stress-ng, fio and --compat, with
##             goals and verdicts (some 10 min; PARTS="cpu io share drift repeat sampler dose"
##             chooses, STRICT=1 fails on a missed goal, PATIENCE=3 repeats longer what others
##             disturb, QUICK=1 shows that it works, OUT is the figures' name)
fidelity: programs $(BUILD)/bench/fidelity $(BUILD)/bench/fidelity_plot
	@scripts/fidelity.sh $(BUILD)

## imitate     recorded traces: wanted against measured, with the noise floor (some 40 min a method;
##             CORPUS and CHECKPOINT add methods, TRACES, METHODS, REPETITIONS choose, OUT is the
##             folder; what was run is kept, FORCE=1 starts anew)
imitate: programs $(BUILD)/bench/imitate_lines
	@scripts/imitate_all.sh $(BUILD)

## architectures  networks and what they predict, trained for the same time on a simulated node and
##             judged there (MINUTES of a core each, KINDS, PREDICTIONS, SIZE, SAMPLES; FOLDER is kept)
FOLDER ?= $(BUILD)/architectures
architectures: programs
	@scripts/architectures.sh $(BUILD) $(FOLDER)

# ---- the machine -----------------------------------------------------------------------------

## deps        install the Debian packages needed (without root rights scripts/deps.sh prints the
##             apt-get line and exits 4, which make turns into 2)
deps:
	@scripts/deps.sh build

## deps-testbed  those of slurm/testbed only (deps has them, too)
deps-testbed:
	@scripts/deps.sh testbed

## deps-bench  the same for what the benchmarks compare with: stress-ng, fio, PyTorch
deps-bench:
	@scripts/deps.sh bench

## info        versions of compiler and libraries, found or not, and this machine
info:
	@scripts/info.sh "$(CC)" $(PACKAGES)

## lint        static analysis of C and shell with the tools that are installed
lint:
	@scripts/lint.sh

## format      clang-format over all C files; check-format only looks
format check-format:
	@scripts/format.sh $@

# ---- installing ------------------------------------------------------------------------------

BIN_DIR := $(DESTDIR)$(PREFIX)/bin
LIB_DIR := $(DESTDIR)$(PREFIX)/lib
INCLUDE_DIR := $(DESTDIR)$(PREFIX)/include/mimesys
SHARE_DIR := $(DESTDIR)$(PREFIX)/share
UNIT_DIR := $(LIB_DIR)/systemd/system
PUBLIC_HEADERS := $(filter-out %_internal.h %_model.h,\
	$(sort $(foreach room,$(ROOMS),$(wildcard src/$(room)/*.h))))
VERSION = $(shell sed -n 's/^.define MIM_VERSION "\(.*\)"/\1/p' src/core/version.h)

## install     programs, library, headers, man pages, completions, unit into PREFIX (DESTDIR)
install: all
	install -d $(BIN_DIR) $(LIB_DIR)/pkgconfig $(INCLUDE_DIR) $(SHARE_DIR)/man/man1 \
		$(SHARE_DIR)/bash-completion/completions $(UNIT_DIR) $(SHARE_DIR)/mimesys
	install -m 755 $(PROGRAMS) $(BIN_DIR)
	install -m 644 $(LIB) $(LIB_DIR)
	for header in $(PUBLIC_HEADERS:src/%=%); do \
		install -D -m 644 src/$$header $(INCLUDE_DIR)/$$header || exit 1; done
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@REQUIRES@|$(PACKAGES)|' \
		-e 's|@OPENMP@|$(if $(OPENMP),-lgomp)|' \
		mimesys.pc.in > $(LIB_DIR)/pkgconfig/mimesys.pc
	chmod 644 $(LIB_DIR)/pkgconfig/mimesys.pc
	install -m 644 $(MAN_PAGES) $(SHARE_DIR)/man/man1
	install -m 644 $(COMPLETIONS) $(SHARE_DIR)/bash-completion/completions
	for unit in systemd/*.service; do \
		sed 's|^ExecStart=mimesys_|ExecStart=$(PREFIX)/bin/mimesys_|' $$unit \
			> $(UNIT_DIR)/$${unit##*/} && chmod 644 $(UNIT_DIR)/$${unit##*/} || exit 1; done
	for file in $(wildcard ini/*.ini ini/*.txt jobs/*.slurm); do \
		install -D -m 644 $$file $(SHARE_DIR)/mimesys/$$file || exit 1; done

## uninstall   remove what install put there
uninstall:
	rm -f $(PROGRAMS:$(BUILD)/bin/%=$(BIN_DIR)/%) $(LIB_DIR)/$(notdir $(LIB)) \
		$(LIB_DIR)/pkgconfig/mimesys.pc $(MAN_PAGES:$(BUILD)/man/%=$(SHARE_DIR)/man/man1/%) \
		$(COMPLETIONS:$(BUILD)/completion/%=$(SHARE_DIR)/bash-completion/completions/%) \
		$(patsubst systemd/%,$(UNIT_DIR)/%,$(wildcard systemd/*.service))
	rm -rf $(INCLUDE_DIR) $(SHARE_DIR)/mimesys

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
