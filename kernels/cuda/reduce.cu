/* reduce.cu -- sums, products, extremes, any and all over dimensions. Kernel NAME_DTYPE: a block makes a result, its threads take
 * the terms by turns, and what they have is joined in a tree, always in the same order. NAME_DTYPE_each: a thread makes a result.
 */
#include "device.cuh"

enum { TEAM = 256 }; /* threads of a block that makes a result */

DEVICE int64_t offset(int rank, const int64_t *shape, const int64_t *stride, int64_t i) {
  int64_t at = 0;
  ROLLED for (int d = rank - 1; d > 0; d--) {
    const int64_t q = i / shape[d];
    at += (i - q * shape[d]) * stride[d];
    i = q;
  }
  return rank ? at + i * stride[0] : 0;
}

/* A way to reduce: what a thread has (acc), before any term, with one term more, with what another thread has; and the result. */
template <class X, class A, class O> struct sum_of {
  typedef X term;
  typedef O result;
  typedef A acc;
  static DEVICE_MEMBER A none() { return 0; }
  static DEVICE_MEMBER A with(A a, X v, int64_t) { return a + (A)v; }
  static DEVICE_MEMBER A join(A a, A b) { return a + b; }
  static DEVICE_MEMBER O give(A a, double scale) { return is_real<O>::yes ? (O)(a * scale) : (O)a; }
};
template <class X, class A, class O> struct product_of : sum_of<X, A, O> {
  static DEVICE_MEMBER A none() { return 1; }
  static DEVICE_MEMBER A with(A a, X v, int64_t) { return a * (A)v; }
  static DEVICE_MEMBER A join(A a, A b) { return a * b; }
  static DEVICE_MEMBER O give(A a, double) { return (O)a; }
};
template <class X, bool ANY> struct truth_of {
  typedef X term;
  typedef uint8_t result;
  typedef uint8_t acc; /* has a term decided? */
  static DEVICE_MEMBER uint8_t none() { return 0; }
  static DEVICE_MEMBER uint8_t with(uint8_t a, X v, int64_t) { return a || (v != 0) == ANY; }
  static DEVICE_MEMBER uint8_t join(uint8_t a, uint8_t b) { return a || b; }
  static DEVICE_MEMBER uint8_t give(uint8_t a, double) { return ANY ? a : !a; }
};
/* The best element and where it is; at -1: there is none yet. NaN is better than any number, and of equal elements the first is. */
template <class X> struct best {
  X v;
  int64_t at;
};
template <class X, bool LARGEST, bool POSITION> struct best_of {
  typedef X term;
  typedef typename if_else<POSITION, int64_t, X>::type result;
  typedef best<X> acc;
  static DEVICE_MEMBER acc none() { return {0, -1}; }
  static DEVICE_MEMBER acc join(acc a, acc b) {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    const bool a_nan = a.v != a.v, b_nan = b.v != b.v, first = b.at < a.at;
    if (a_nan || b_nan) return b_nan && (!a_nan || first) ? b : a;
    return (LARGEST ? b.v > a.v : b.v < a.v) || (b.v == a.v && first) ? b : a;
  }
  static DEVICE_MEMBER acc with(acc a, X v, int64_t at) { return join(a, {v, at}); }
  static DEVICE_MEMBER result give(acc a, double) {
    if constexpr (POSITION) return a.at + 1; /* MS_INDEX_BASE */
    else return a.v;
  }
};

template <class W> DEVICE typename W::acc terms(const reduce_params &p, int64_t k, int64_t from, int64_t step) {
  const typename W::term *x = (const typename W::term *)p.x + offset(p.kept_rank, p.kept_shape, p.kept_stride, k);
  typename W::acc a = W::none();
  ROLLED for (int64_t r = from; r < p.n; r += step) a = W::with(a, x[offset(p.rank, p.shape, p.stride, r)], r);
  return a;
}

template <class W> DEVICE void reduce_team(const reduce_params &p) {
  SHARED(typename W::acc, all, TEAM);
  const int i = (int)threadIdx.x;
  for (int64_t k = blockIdx.x; k < p.kept_n; k += gridDim.x) {
    all[i] = terms<W>(p, k, i, TEAM);
    for (int half = TEAM / 2; half > 0; half /= 2) {
      __syncthreads();
      if (i < half) all[i] = W::join(all[i], all[i + half]);
    }
    if (i == 0) ((typename W::result *)p.to)[k] = W::give(all[0], p.scale);
    __syncthreads(); /* before the next result overwrites what is read here */
  }
}
template <class W> DEVICE void reduce_each(const reduce_params &p) {
  EACH_PLACE(k, p.kept_n)((typename W::result *)p.to)[k] = W::give(terms<W>(p, k, 0, 1), p.scale);
}

#define REDUCE(name, ...)                                                                                                          \
  KERNEL(name, reduce_params) { reduce_team<__VA_ARGS__>(p); }                                                                     \
  KERNEL(name##_each, reduce_params) { reduce_each<__VA_ARGS__>(p); }
/* X: terms; A: what they are summed up in; O: sums. Whole numbers wrap. */
#define DTYPE(d, X, A, O)                                                                                                          \
  REDUCE(sum_##d, sum_of<X, A, O>)                                                                                                 \
  REDUCE(prod_##d, product_of<X, A, O>)                                                                                            \
  REDUCE(any_##d, truth_of<X, true>)                                                                                               \
  REDUCE(all_##d, truth_of<X, false>)                                                                                              \
  REDUCE(amax_##d, best_of<X, true, false>)                                                                                        \
  REDUCE(amin_##d, best_of<X, false, false>)                                                                                       \
  REDUCE(argmax_##d, best_of<X, true, true>)                                                                                       \
  REDUCE(argmin_##d, best_of<X, false, true>)
DTYPE(f32, float, double, float)
DTYPE(f64, double, double, double)
DTYPE(i64, int64_t, uint64_t, int64_t)
DTYPE(i32, int32_t, uint64_t, int64_t)
DTYPE(u8, uint8_t, uint64_t, int64_t)
