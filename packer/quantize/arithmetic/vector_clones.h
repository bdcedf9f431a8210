#pragma once

// Marks a function to be compiled for AVX2 too, the better version being chosen when the program starts. Results are
// the same: nothing here is contracted or reassociated. Only where the compiler and the linker do this safely: GCC on
// x86-64, and not under the sanitizers, whose run-time libraries are not ready yet when the choice is made.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define ENTROFS_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define ENTROFS_VECTOR_CLONES
#endif
