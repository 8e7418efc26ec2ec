/* variants.h -- the loops of a template, once for each instruction set. Included once for each template, hence without a guard, by
 * who has defined
 *   ML_LOOPS   the template's name, in quotes
 *   ML_SIZE    bytes of the elements it works on
 * The template sees
 *   G(name)    the name for an instruction set: name_base, name_avx2, name_avx512
 *   TARGET     the attribute that chooses it, or nothing
 *   VECTOR     elements in a register
 * ML_BEST (internal.h) chooses among what that makes. */
#define G(x) x##_base
#define TARGET
#define VECTOR (16 / ML_SIZE)
#include ML_LOOPS
#undef G
#undef TARGET
#undef VECTOR
#if ML_VARIANTS
#define G(x)   x##_avx2
#define TARGET ML_TARGET_AVX2
#define VECTOR (32 / ML_SIZE)
#include ML_LOOPS
#undef G
#undef TARGET
#undef VECTOR
#define G(x)   x##_avx512
#define TARGET ML_TARGET_AVX512
#define VECTOR (64 / ML_SIZE)
#include ML_LOOPS
#undef G
#undef TARGET
#undef VECTOR
#endif
#undef ML_LOOPS
#undef ML_SIZE
