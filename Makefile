# The front door. The build itself is meson's (build/release); the words below are what a newcomer types.
PREFIX ?= /usr/local
DESTDIR ?=
export KEEP

all: build/release/build.ninja
	@ninja -C build/release --quiet
build/release/build.ninja:
	@tools/install-deps build
	@mkdir -p build
	@meson setup build/release --buildtype=release --prefix=$(PREFIX) --sysconfdir=/etc >build/setup.log 2>&1 || \
		{ cat build/setup.log; exit 1; }

demo: ; @tools/demo
demo-cluster: ; @tools/demo --cluster
demo-stop: ; @tools/demo --stop
test: ; @tools/install-deps test && tests/run
soak: ; @tools/install-deps test && tests/soak/run
bench: ; @tools/install-deps bench && $(MAKE) --no-print-directory all && bench/run
install: all
	@meson configure build/release -Dprefix=$(PREFIX) && ninja -C build/release --quiet
	@DESTDIR=$(DESTDIR) meson install -C build/release --no-rebuild
uninstall:
	@DESTDIR=$(DESTDIR) tools/uninstall
clean:
	rm -rf build

.PHONY: all demo demo-cluster demo-stop test soak bench install uninstall clean
