// LayerNorm of whole rows, and its gradient; widths are multiples of 16.
#pragma once

#include <cmath>

#include "vectors.h"

// What is kept of each row for the gradient.
struct Moments {
  float *mean, *scale;  // scale = 1 / sqrt(variance + eps)
  Moments from(int64_t row) const { return {mean + row, scale + row}; }
};

struct NormWeights {
  const float *weight, *bias;
};

// (x - mean) scale weight + bias
inline void normalise(const float* x, int64_t rows, int64_t width, NormWeights by, float eps, float* into, Moments kept) {
  for (int64_t row = 0; row < rows; ++row, x += width, into += width) {
    Floats sum = {}, squares = {};
    for (int64_t j = 0; j < width; j += LANES) sum += load<Floats>(x + j);
    const float mean = total(sum) / float(width);
    for (int64_t j = 0; j < width; j += LANES) {
      const Floats centred = load<Floats>(x + j) - mean;
      squares += centred * centred;
    }
    const float scale = 1.0f / std::sqrt(total(squares) / float(width) + eps);
    for (int64_t j = 0; j < width; j += LANES)
      store(into + j, (load<Floats>(x + j) - mean) * scale * load<Floats>(by.weight + j) + load<Floats>(by.bias + j));
    kept.mean[row] = mean, kept.scale[row] = scale;
  }
}

// Adds to `into` the gradient of x, and to `for_weight` and `for_bias` theirs, where `above` is that of what was normalised. With y the row
// before weight and bias, and g = above weight: scale (g - mean(g) - y mean(g y)).
inline void through_norm(const float* above, const float* x, int64_t rows, int64_t width, NormWeights by, Moments kept, float* into,
                         float* for_weight, float* for_bias) {
  for (int64_t row = 0; row < rows; ++row, above += width, x += width, into += width) {
    const float mean = kept.mean[row], scale = kept.scale[row];
    Floats sum = {}, along = {};
    for (int64_t j = 0; j < width; j += LANES) {
      const Floats error = load<Floats>(above + j), y = (load<Floats>(x + j) - mean) * scale, g = error * load<Floats>(by.weight + j);
      sum += g;
      along += g * y;
      store(for_weight + j, load<Floats>(for_weight + j) + error * y);
      store(for_bias + j, load<Floats>(for_bias + j) + error);
    }
    const float level = total(sum) / float(width), slant = total(along) / float(width);
    for (int64_t j = 0; j < width; j += LANES) {
      const Floats y = (load<Floats>(x + j) - mean) * scale, g = load<Floats>(above + j) * load<Floats>(by.weight + j);
      store(into + j, load<Floats>(into + j) + (g - level - y * slant) * scale);
    }
  }
}
