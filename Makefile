# Thin: the build is CMake's (CMakePresets.json). `make demo` and `make test` are all a newcomer needs.
CTEST = ctest --output-on-failure --no-tests=error

all: build
setup:
	@scripts/setup.sh
build: setup
	@cmake --preset release >/dev/null && cmake --build --preset release
demo: build
	@scripts/demo.sh
test: build
	@$(CTEST) --test-dir build/release
test-asan: setup
	@cmake --preset asan-ubsan >/dev/null && cmake --build --preset asan-ubsan
	@$(CTEST) --test-dir build/asan-ubsan
bench: build
	@bench/bench.py
format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i
install: build
	@cmake --install build/release
clean:
	@rm -rf build
.PHONY: all setup build demo test test-asan bench format install clean
