# A thin front for Meson: `make scan` is all that a newcomer needs, `make check` all that a change needs.
BUILD ?= build
PREFIX ?= /usr/local
MESON = meson

.PHONY: all deps check-deps bench-deps scan check bench fuzz install clean format

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@command -v $(MESON) >/dev/null && command -v ninja >/dev/null || tools/install-packages build
	@$(MESON) setup $(BUILD) --prefix=$(PREFIX) >/dev/null

# What the build, the tests and the benchmark need from Debian, installed only where it is missing.
deps:
	@tools/install-packages build

check-deps:
	@tools/install-packages build check

bench-deps:
	@tools/install-packages build check bench

scan: deps
	@$(MAKE) --no-print-directory all
	@$(BUILD)/src/porthole scan --self -p-

check: check-deps
	@tests/check

bench: bench-deps
	@$(MAKE) --no-print-directory all BUILD=build-bench
	@/usr/bin/python3 bench/run.py build-bench/src/porthole $(SCENARIOS)

fuzz: check-deps
	@tests/fuzz

install: all
	@$(MESON) configure $(BUILD) -Dprefix=$(PREFIX)
	@$(MESON) install -C $(BUILD)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf build build-*
