// Rows shared out among threads: each thread takes its own from one end of a layer to the other. Products are those of torch's own BLAS.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <optional>

using at::Tensor;

constexpr int64_t ROWS = 192;  // measured: with fewer BLAS spends its time on laying out weights, with more the rows leave the cache

// Calls work(part, first row, last row) for one part of the rows in each thread.
template <class Work>
void by_rows(int64_t rows, int64_t parts, Work work) {
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    const at::AutoDispatchBelowADInplaceOrView plain;  // a thread begins with torch's usual settings, gradients among them
    for (int64_t part = first; part < last; ++part) work(part, part * rows / parts, (part + 1) * rows / parts);
  });
}

inline int64_t parts_of(int64_t rows) { return std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), rows / 16)); }

inline Tensor matrix(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

// into = x weight^T + bias
inline void linear(Tensor into, const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  if (bias) at::addmm_out(into, *bias, x, weight.t());
  else at::mm_out(into, x, weight.t());
}
