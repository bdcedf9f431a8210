# Functions that the scripts share; sourced, not run.

root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '== %s\n' "$*" >&2; }

# copy_sources DIR: what git knows of this tree, as it lies here; all but build folders where there is no git.
copy_sources() {
  local dir=$1
  (
    cd "$root_dir"
    if git rev-parse --git-dir >/dev/null 2>&1; then
      git ls-files -z | xargs -0 cp -p --parents -t "$dir"
    else
      tar -c --exclude=./build . | tar -x -C "$dir"
    fi
  )
}

# build PRESET [CMAKE_ARGUMENT...]: configures and builds it, optionally only the targets in $ENTROFS_TARGETS.
build() {
  local preset=$1
  shift
  (cd "$root_dir" && cmake --preset "$preset" "$@" >&2 &&
    cmake --build --preset "$preset" -j "$(nproc)" ${ENTROFS_TARGETS:+--target $ENTROFS_TARGETS} >&2)
}

# Totals of all runs so far.
passed_count=0
failed_count=0
skipped_count=0
skips=()  # "NAME: what it lacks", one for each skipped

# note_skips LOG: notes the tests that GoogleTest's output says were skipped, with their reasons.
note_skips() {
  local line
  while IFS= read -r line; do
    skips+=("$line")
  done < <(awk '
    /: Skipped$/ { collects = 1; reason = ""; next }
    /^\[  SKIPPED \] .* \([0-9]+ ms\)$/ { print $4 ": " (reason == "" ? "no reason was given" : reason); collects = 0; reason = ""; next }
    /^\[/ { collects = 0 }
    collects && NF { reason = reason (reason == "" ? "" : " ") $0 }
  ' "$1")
}

# skip NAME REASON: says so and counts it.
skip() {
  say "$1 skipped: $2"
  skips+=("$1: $2")
  skipped_count=$((skipped_count + 1))
}

# run_ctest PRESET [CTEST_ARGUMENT...]: runs the preset's tests, adds to the totals, and fails when a test did or when
# there was none to run. Cases that call GTEST_SKIP count as skipped.
run_ctest() {
  local preset=$1 log status=0 passed failed skipped
  shift
  log=$(mktemp)
  (cd "$root_dir" && ctest --preset "$preset" -j "$(nproc)" --no-tests=error "$@") 2>&1 | tee "$log" >&2 || status=$?
  # One line per finished test: "12/34 Test  #5: Name ....   Passed    0.01 sec"
  passed=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#[0-9]+: .*   Passed ' "$log" || true)
  skipped=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#[0-9]+: .*\*\*\*Skipped ' "$log" || true)
  failed=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#[0-9]+: .*\*\*\*' "$log" || true)
  failed=$((failed - skipped))
  [ "$skipped" -eq 0 ] || note_skips "$root_dir/build/$preset/Testing/Temporary/LastTest.log"
  rm -f "$log"
  # A run that broke without any test failing is a failure all the same.
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
  passed_count=$((passed_count + passed))
  failed_count=$((failed_count + failed))
  skipped_count=$((skipped_count + skipped))
  return "$status"
}

# run_gtest SECONDS COMMAND...: runs one GoogleTest program, all its cases in one process, adds them to the totals, and
# fails when one does or the time is over.
run_gtest() {
  local seconds=$1 log status=0 failed skipped
  shift
  log=$(mktemp)
  timeout "$seconds" "$@" 2>&1 | tee "$log" | { grep -vE '^\[( RUN      |       OK )\]|^\[---' >&2 || true; } ||
    status=$?
  [ "$status" -ne 124 ] || say "not finished after $seconds s: $*"
  # One line per finished case: "[       OK ] Suite.Name (12 ms)"
  failed=$(grep -cE '^\[  FAILED  \] .* \([0-9]+ ms\)$' "$log" || true)
  passed_count=$((passed_count + $(grep -c '^\[       OK \] ' "$log" || true)))
  skipped=$(grep -cE '^\[  SKIPPED \] .* \([0-9]+ ms\)$' "$log" || true)
  skipped_count=$((skipped_count + skipped))
  [ "$skipped" -eq 0 ] || note_skips "$log"
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
  failed_count=$((failed_count + failed))
  rm -f "$log"
  return "$status"
}

# What testing the codec for aarch64 needs and this machine lacks, one a line.
missing_for_aarch64() {
  local tool library
  for tool in aarch64-linux-gnu-g++ qemu-aarch64; do
    command -v "$tool" >/dev/null || echo "$tool"
  done
  for library in libgtest.a libgmock.a libzstd.so libxxhash.so; do
    [ -e "/usr/lib/aarch64-linux-gnu/$library" ] || echo "arm64 $library"
  done
}

# No test of the codec takes longer than this under qemu-user, by far.
aarch64_seconds=600

# test_aarch64 [CMAKE_ARGUMENT...]: cross-compiles base and codec and runs the codec's tests, those of the NEON kernels
# among them, under qemu-user: one process, for starting one for each case would take ten times as long. Says so and
# counts one as skipped where something is missing.
test_aarch64() {
  local missing
  missing=$(missing_for_aarch64)
  if [ -n "$missing" ]; then
    skip aarch64 "no ${missing//$'\n'/, no } (scripts/install-deps --cross installs what it needs)"
    return 0
  fi
  ENTROFS_TARGETS=codec_test build aarch64 "$@" &&
    run_gtest "$aarch64_seconds" qemu-aarch64 "$root_dir/build/aarch64/bin/codec_test"
}

# skip_without COMMAND STEP: true where the command is not there; says so and counts the step as skipped.
skip_without() {
  ! command -v "$1" >/dev/null || return 1
  skip "$2" "no $1 (scripts/install-deps --checks installs it)"
}

# run_programs PRESET PROGRAM...: GoogleTest programs of a build, each in one process.
run_programs() {
  local preset=$1 program status=0
  shift
  for program in "$@"; do
    run_gtest 900 "$root_dir/build/$preset/bin/$program" || status=1
  done
  return "$status"
}

# What goes through the codec's kernels, once more with the portable ones.
scalar_tests=(codec_test archive_test golden_test packer_test entro_pack_test fs_test)
test_scalar() {
  ENTROFS_TARGETS=${scalar_tests[*]} build dev "$@" && ENTROFS_KERNELS=scalar run_programs dev "${scalar_tests[@]}"
}

# What has threads of its own, under ThreadSanitizer; `scripts/test tsan` runs everything.
thread_tests=(base_test cache_test archive_test fs_test mount_test)
test_threads() {
  ENTROFS_TARGETS=${thread_tests[*]} build tsan "$@" && run_programs tsan "${thread_tests[@]}"
}

# run_corpora: every fuzz target on its seeds and on what was ever found; each target counts as a test.
run_corpora() {
  local target name folders status=0 fuzz=$root_dir/build/fuzz
  "$fuzz/bin/make-fuzz-corpus" "$fuzz/seeds" || return 1
  for target in "$root_dir"/tests/fuzz/fuzz_*.cc; do
    name=$(basename "$target" .cc)
    name=${name#fuzz_}
    folders=("$fuzz/seeds/$name")
    [ ! -d "$root_dir/tests/fuzz/regressions/$name" ] || folders+=("$root_dir/tests/fuzz/regressions/$name")
    if "$fuzz/bin/fuzz-$name" -runs=0 -timeout=60 -malloc_limit_mb=64 "${folders[@]}" >"$fuzz/$name.log" 2>&1; then
      passed_count=$((passed_count + 1))
    else
      tail -20 "$fuzz/$name.log" >&2
      failed_count=$((failed_count + 1))
      status=1
    fi
  done
  return "$status"
}

# The other compiler: all of the product and its fuzz targets by clang, with both sanitizers.
test_clang() {
  skip_without clang++-14 clang && return 0
  build fuzz "$@" && run_corpora
}

# clang-tidy without what takes long; counts as one test.
test_tidy() {
  skip_without clang-tidy tidy && return 0
  if "$root_dir/scripts/tidy" --quick >&2; then
    passed_count=$((passed_count + 1))
  else
    failed_count=$((failed_count + 1))
    return 1
  fi
}

# What is built and run in a root of Debian 13, whose compiler and libraries are younger: everything compiles that users
# install, and each folder has a test.
debian13_tests=(base_test cache_test archive_test golden_test fs_test entro_pack_test)
debian13_mount_tests='SystemTest.*:ReadingTest.*:CarelessTest.*'

test_debian13() {
  local status=0 program build_dir=/entrofs/build/debian13 enter=("$root_dir/scripts/in-root" trixie)
  "${enter[@]}" sh -ec '
    { command -v ccache >/dev/null || { apt-get update && apt-get install -y --no-install-recommends ccache; } &&
      scripts/install-deps; } || exit 77
    dir=$1
    jobs=$2
    shift 2
    cmake -G Ninja -B "$dir" -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-O1 -DENTROFS_BUILD_BENCH=OFF "$@"
    cmake --build "$dir" -j "$jobs" --target entro-pack entrofs mount_test '"${debian13_tests[*]}"'
  ' sh "$build_dir" "$(nproc)" "$@" >&2 || status=$?
  if [ "$status" -eq 77 ]; then
    skip debian13 "no root of it could be made, or its packages are not to be had: see above"
    return 0
  fi
  [ "$status" -eq 0 ] || return 1
  for program in "${debian13_tests[@]}"; do
    run_gtest 900 "${enter[@]}" "$build_dir/bin/$program" || status=1
  done
  run_gtest 900 "${enter[@]}" "$build_dir/bin/mount_test" --gtest_filter="$debian13_mount_tests" || status=1
  return "$status"
}

# The tests that coverage is measured by; nothing of packer is built for them.
coverage_tests=(
  base_test codec_test cache_test archive_test archive_syscall_test archive_allocation_test golden_test fs_test
  fs_allocation_test mount_test
)

# test_coverage [CMAKE_ARGUMENT...]: builds and runs them with counters, prints the share of lines run by folder, and
# fails when a test does or a folder has less than it should. Says so and counts one as skipped without gcovr.
test_coverage() {
  local tests_failed=0 dir=$root_dir/build/coverage excluded=()
  skip_without gcovr coverage && return 0
  ENTROFS_TARGETS=${coverage_tests[*]} build coverage "$@" || return 1
  find "$dir" -name '*.gcda' -delete
  run_programs coverage "${coverage_tests[@]}" || tests_failed=1
  grep -qw avx512_vbmi2 /proc/cpuinfo || excluded+=(--exclude 'codec/kernels/avx512*.cc')
  grep -qw avx2 /proc/cpuinfo || excluded+=(--exclude 'codec/kernels/avx2.*')
  mkdir -p "$dir/html"
  (cd "$root_dir" && gcovr --root . --object-directory "$dir" -j "$(nproc)" "${excluded[@]}" \
    --filter '(base|codec|archive|cache|fs)/' --exclude '.*/main\.cc' \
    --json-summary "$dir/summary.json" --html-details "$dir/html/index.html" >&2) || return 1
  python3 "$root_dir/scripts/coverage-summary" "$dir/summary.json" >&2 || tests_failed=1
  return "$tests_failed"
}

# The last line is the plain count; what was skipped, and why, has its own lines before it.
print_totals() {
  [ "$skipped_count" -eq 0 ] || say "$skipped_count skipped, for want of what these lines name:"
  [ ${#skips[@]} -eq 0 ] || printf '  %s\n' "${skips[@]}" >&2
  echo "$passed_count passed, $failed_count failed"
}
