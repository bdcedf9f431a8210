#pragma once

// Which sanitizer this test was built with: g++ says so by macros, clang by features.
#if defined(__has_feature)
#define ENTROFS_HAS_FEATURE(name) __has_feature(name)
#else
#define ENTROFS_HAS_FEATURE(name) 0
#endif

namespace entrofs::testing_support {

#if defined(__SANITIZE_ADDRESS__) || ENTROFS_HAS_FEATURE(address_sanitizer)
inline constexpr bool kUnderAddressSanitizer = true;
#else
inline constexpr bool kUnderAddressSanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__) || ENTROFS_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kUnderThreadSanitizer = true;
#else
inline constexpr bool kUnderThreadSanitizer = false;
#endif

// False under sanitizers, whose memory says nothing about the product.
inline constexpr bool kMeasuresMemory = !kUnderAddressSanitizer && !kUnderThreadSanitizer;

// Why a test of memory is skipped there.
inline constexpr char kNeedsPlainBuild[] = "needs a build without sanitizers, which take memory of their own";

}  // namespace entrofs::testing_support

#undef ENTROFS_HAS_FEATURE
