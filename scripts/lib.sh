# Functions that the scripts share; sourced, not run.

root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '== %s\n' "$*" >&2; }

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
  rm -f "$log"
  # A run that broke without any test failing is a failure all the same.
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
  passed_count=$((passed_count + passed))
  failed_count=$((failed_count + failed))
  skipped_count=$((skipped_count + skipped))
  return "$status"
}

print_totals() {
  local line="$passed_count passed, $failed_count failed"
  [ "$skipped_count" -eq 0 ] || line+=", $skipped_count skipped"
  printf '%s\n' "$line"
}
