# What can be done with this tree. `make up` and `make test` are all that a newcomer needs.

N ?= 3
FROM ?= 1
SEEDS ?= 200
SIM_MINUTES ?= 60
SWIFT := $(shell scripts/find-swift.sh)
BIN := .build/release
PREFIX ?= /usr/local
# Nobody links against a program, so its symbols stay inside; addresses that depend on where it is loaded take a bit each
# (lld, glibc 2.36): three megabytes less on disk.
STATIC := --static-swift-stdlib -Xswiftc -use-ld=lld -Xlinker --no-export-dynamic -Xlinker -z -Xlinker pack-relative-relocs
# Exclusive access is checked while tests run; in a server every check would cost a tenth. These flags are
# not in Package.swift, where they would go along into programs that depend on EtcdClient.
# Each function has a section of its own, so that the linker leaves out those that nobody calls: a megabyte.
RELEASE := -c release -Xswiftc -cross-module-optimization -Xswiftc -enforce-exclusivity=unchecked \
  -Xswiftc -Xfrontend -Xswiftc -function-sections
TESTDATA := $(firstword $(wildcard ../shared/raft-testdata))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-tests setup-nightly up down status build programs release install deb image test test-packages unit proto \
  proto-check format lint bench cost sim lives proof failpoints mutants fuzz sanitize nightly check darwin-check clean

help:
	@echo 'make up [N=3]      install what is missing, build, start a local cluster of N members'
	@echo 'make test          install what is missing, then run every check and test'
	@echo 'make down          end the local cluster; its data stays in .devcluster'
	@echo 'make status        members, endpoints and leader of the local cluster'
	@echo 'make build         debug build of everything'
	@echo 'make release       release build of etcd, etcdctl, etcdutl, devcluster and their manuals in $(BIN)'
	@echo 'make install       install the release build below PREFIX=/usr/local, in DESTDIR='
	@echo 'make deb           Debian packages of the server, the client and devcluster in .build/packages'
	@echo 'make image         an OCI image layout in .build/image, a Containerfile in .build/image-context'
	@echo 'make test-packages try the packages in a Debian of their own, and the image; as root'
	@echo 'make check         lint and proto-check, without tests'
	@echo 'make darwin-check  type-check the code for macOS without a Mac; after a build of the tests'
	@echo 'make format        rewrite the sources in the house style'
	@echo 'make proto         generate Sources/EtcdAPI/Generated from proto/'
	@echo 'make sim SEED=7    cluster simulation of one seed; without SEED, FROM=1 SEEDS=200'
	@echo 'make lives [LIVES=4] [DAYS=91] [FROM=1]  clusters that are simulated for months, mostly quiet ones'
	@echo 'make fuzz [TARGET=wal] [SECONDS=60]  libFuzzer on the decoders of foreign bytes, each for so long'
	@echo 'make sanitize [NAME=thread]  tests and simulation with the address, thread and undefined-behaviour sanitizers'
	@echo 'make failpoints    members that die at each of etcd'"'"'s failpoints, in a build of their own'
	@echo 'make proof [SIM_MINUTES=60]  as many new seeds as the time allows, then lives, added to docs/PROOF.md'
	@echo 'make mutants [NAME="A B"]  faults that are built in on purpose are found: docs/MUTANTS.md'
	@echo 'make nightly       every crash image, more kills, random requests, seeds and faults, and fuzzing; hours'
	@echo 'make bench         ours and Go etcd side by side into benchmarks/RESULTS.md; QUICK=1 prints'
	@echo 'make cost          instructions and allocations of a request against the accepted; ACCEPT=1'
	@echo 'make clean         remove build products'

setup:
	@scripts/setup.sh build

setup-tests:
	@scripts/setup.sh test

setup-nightly:
	@scripts/setup.sh nightly

up: programs
	$(BIN)/devcluster up $(N)

down:
	$(BIN)/devcluster down

status:
	$(BIN)/devcluster status

build: setup
	$(SWIFT) build

programs: setup
	$(SWIFT) build $(RELEASE) $(STATIC) --product etcd
	$(SWIFT) build $(RELEASE) $(STATIC) --product etcdctl
	$(SWIFT) build $(RELEASE) $(STATIC) --product etcdutl
	$(SWIFT) build $(RELEASE) $(STATIC) --product devcluster

# What packages need besides.
release: programs
	$(SWIFT) build $(RELEASE) $(STATIC) --product etcd-manuals

# Builds nothing: it may run as another user than the build.
install:
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install.sh $(BIN)

deb: release
	BIN=$(BIN) scripts/deb.sh

image: release
	BIN=$(BIN) scripts/image.sh

test-packages: setup-tests release
	scripts/test-deb.sh $(BIN)
	scripts/test-image.sh $(BIN)

test: setup-tests check unit darwin-check cost

# Simulations and changed inputs take every processor for a minute, and the interop suites block the few threads that tests
# run on while they wait for processes: both come after the others, the latter one by one in three lanes.
unit:
	$(if $(TESTDATA),RAFT_TESTDATA='$(abspath $(TESTDATA))') $(SWIFT) test \
	  --skip '^InteropTests' --skip '^(Simulation|Fuzz)Tests' --skip '^(DevClusterTests|EtcdCtlKitTests|EtcdClientTests|ProxiesTests)'
	$(SWIFT) test --skip-build --filter '^(Simulation|Fuzz)Tests'
	@scripts/test-lanes.sh $(SWIFT)

check: lint proto-check

# After the tests, whose modules it reads.
darwin-check:
	@scripts/check-darwin.sh $(SWIFT)

lint:
	$(SWIFT) format lint --strict --recursive --parallel Sources Tests Examples benchmarks Package.swift

format:
	$(SWIFT) format --in-place --recursive --parallel Sources Tests Examples benchmarks Package.swift

proto:
	PATH="$(dir $(SWIFT)):$$PATH" scripts/generate-proto.sh

proto-check:
	PATH="$(dir $(SWIFT)):$$PATH" scripts/generate-proto.sh --check

bench: setup-tests
	$(SWIFT) build $(RELEASE) $(STATIC) --product etcd
	$(SWIFT) build $(RELEASE) $(STATIC) --product etcd-bench
	$(BIN)/etcd-bench $(if $(QUICK),--quick,--results benchmarks/RESULTS.md \
	  --plot benchmarks/clients.svg)

# Instructions and allocations of a Put and a Range, which may not grow by more than a tenth.
cost: setup-tests
	$(SWIFT) build $(RELEASE) $(STATIC) --product etcd
	$(SWIFT) build --product etcd-bench
	.build/debug/etcd-bench cost --server $(BIN)/etcd --baseline benchmarks/cost-baseline.txt \
	  $(if $(ACCEPT),--accept)

# What a night has time for: crash images at every disk operation, long differential and kill runs.
nightly: setup-nightly
	CRASH_POINTS=all $(SWIFT) test --filter 'SimulationTests.*Crash'
	LIVENESS_PATTERNS=50000 $(SWIFT) test --skip-build --filter LivenessTests
	KILLS=400 REQUESTS=500000 $(SWIFT) test --skip-build --filter 'KillTests|DifferentialTests'
	LOCK_SECONDS=120 LOCK_STEPS=10000 $(SWIFT) test --skip-build --filter 'LockKillTests|LockDiff'
	DIRECTORIES=300 $(SWIFT) test --skip-build --filter DirectoryExchangeTests
	PAIRS=20000 $(SWIFT) test --skip-build --filter RevocationTests
	WATCHES=40000 $(SWIFT) test --skip-build --filter WatchDifferentialTests
	SERVICE_REQUESTS=200000 RIGHTS=all $(SWIFT) test --skip-build --filter 'ServicesDifferentialTests|RightsMatrixTests'
	V2_REQUESTS=50000 V2_AUTH_REQUESTS=3000 RATIOS=all $(SWIFT) test --skip-build --filter 'V2(Auth)?Diff|MixedCluster|TLSCluster'
	FAULT_SECONDS=8 $(SWIFT) test --skip-build --filter 'DevClusterTests.FaultTests'
	STARTS=1000 $(SWIFT) test --skip-build --filter 'DevClusterTests.StartTests'
	SCENARIOS=all $(SWIFT) test --skip-build --filter 'DevClusterTests.(ShippedScenarioTests|DocumentTests)'
	PATRONI=1 $(SWIFT) test --skip-build --filter PatroniTests
	PACKAGE=1 $(SWIFT) test --skip-build --filter PackageTests
	$(MAKE) test-packages
	$(MAKE) proof
	$(MAKE) failpoints
	$(MAKE) mutants
	$(MAKE) fuzz SECONDS=30
	$(MAKE) sanitize

# Members that die at each of etcd's failpoints, which only a build of their own has.
failpoints: setup-tests
	ETCD_FAILPOINTS=1 $(SWIFT) build --scratch-path .build/failpoints --product etcd
	FAILPOINTS_BINARY='$(CURDIR)/.build/failpoints/debug/etcd' $(SWIFT) test --filter FailpointTests

mutants: setup-tests
	@scripts/mutants.sh $(SWIFT) $(NAME)

fuzz: setup
	scripts/fuzz.sh $(SWIFT) $(or $(SECONDS),60) $(TARGET)

sanitize: setup-tests
	scripts/sanitize.sh $(SWIFT) $(NAME)

sim: setup
	$(SWIFT) run $(RELEASE) etcd-sim $(if $(SEED),--seed $(SEED),--from $(FROM) --seeds $(SEEDS))

lives: setup
	$(SWIFT) run $(RELEASE) etcd-sim --lives $(or $(LIVES),4) --days $(or $(DAYS),91) --from $(FROM)

# As many seeds and lives as the time allows, behind those that the page knows; it adds to its totals.
proof: setup
	$(SWIFT) run $(RELEASE) etcd-sim --minutes $(SIM_MINUTES) --proof docs/PROOF.md
	$(SWIFT) run $(RELEASE) etcd-sim --minutes $(SIM_MINUTES) --days $(or $(DAYS),91) --proof docs/PROOF.md

clean:
	rm -rf .build
