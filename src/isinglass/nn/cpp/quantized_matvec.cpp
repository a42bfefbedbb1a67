// y = x W^T for weights in groups of 32: w = code * scale + offset, multiplied in fp32 without ever writing w to memory.
//
// One token is bound by memory: fp32 weights are 4 bytes each, 4-bit codes with their fp32 scales 0.75. Sixteen outputs are
// computed side by side ("lanes"); a word holds the codes of one lane, the lowest bits first.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <numeric>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t GROUP = 32;

// The sum of code * x over one group, in each lane. 4-bit codes are 0..15, 8-bit codes are signed.
template <int BITS>
inline Floats dot(const int32_t* words, const float* x) {
  constexpr int CODES = 32 / BITS;
  Floats even = {}, odd = {};  // two sums, because an addition waits for the one before it
  for (int j = 0; j < BITS; ++j) {
    const Words word = load<Words>(words + j * LANES);
#pragma GCC unroll 8
    for (int i = 0; i < CODES; ++i) {
      const Words code = BITS == 4 ? (word >> (BITS * i)) & 15 : (word << (32 - BITS * (i + 1))) >> (32 - BITS);
      (i % 2 ? odd : even) += __builtin_convertvector(code, Floats) * x[j * CODES + i];
    }
  }
  return even + odd;
}

// x: (rows, groups * 32); codes: (tiles, groups, bits, 16); scale, offset: (tiles, groups, 16), offset may be empty.
at::Tensor quantized_matvec(const at::Tensor& x, const at::Tensor& codes, const at::Tensor& scale, const at::Tensor& offset) {
  const int64_t tiles = scale.size(0), groups = scale.size(1), bits = codes.size(2), rows = x.size(0), width = groups * GROUP;
  const at::Tensor inputs = x.contiguous();
  at::Tensor y = at::empty({rows, tiles * LANES}, x.options());
  const float *in = inputs.const_data_ptr<float>(), *scales = scale.const_data_ptr<float>();
  std::vector<float> sum(rows * groups);  // of each group of x, for the offsets
  for (int64_t i = 0; i < rows * groups; ++i) sum[i] = std::accumulate(in + i * GROUP, in + (i + 1) * GROUP, 0.0f);
  const float* offsets = offset.numel() ? offset.const_data_ptr<float>() : nullptr;
  const int32_t* words = codes.const_data_ptr<int32_t>();
  float* out = y.mutable_data_ptr<float>();
  at::parallel_for(0, tiles, 4, [&](int64_t first, int64_t last) {
    for (int64_t tile = first; tile < last; ++tile) {
      for (int64_t row = 0; row < rows; ++row) {  // inside: the tile's codes stay in the nearest cache
        Floats total = {};
        for (int64_t group = 0; group < groups; ++group) {
          const int64_t place = tile * groups + group;
          const int32_t* word = words + place * bits * LANES;
          const float* values = in + row * width + group * GROUP;
          total += (bits == 4 ? dot<4>(word, values) : dot<8>(word, values)) * load<Floats>(scales + place * LANES);
          if (offsets) total += load<Floats>(offsets + place * LANES) * sum[row * groups + group];
        }
        std::memcpy(out + (row * tiles + tile) * LANES, &total, sizeof total);
      }
    }
  });
  return y;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(isinglass, library) { library.def("quantized_matvec(Tensor x, Tensor codes, Tensor scale, Tensor offset) -> Tensor"); }
TORCH_LIBRARY_IMPL(isinglass, CPU, library) { library.impl("quantized_matvec", quantized_matvec); }
