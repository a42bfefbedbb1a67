// Activations and their slopes, sixteen at a time.
#pragma once

#include "vectors.h"

struct Bent {
  Floats value, slope;
};

// x Phi(x). Phi by Abramowitz and Stegun 7.1.26 (to 1.5e-7), which has the density's own exponential in it.
struct Gelu {
  static constexpr bool from_value = false;
  static Bent at(Floats x) {
    const Floats size = x < 0.0f ? -x : x;
    const Floats t = 1.0f / (1.0f + 0.3275911f * 0.70710678f * size);
    Floats p = 1.061405429f * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Floats bell = exponential(-0.5f * x * x), tail = 0.5f * p * t * bell;
    const Floats below = x < 0.0f ? tail : 1.0f - tail;
    return {x * below, below + x * bell * 0.39894228f};
  }
};

// x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3): the tanh form, since tanh(u) = 2 sigmoid(2 u) - 1
struct GeluTanh {
  static constexpr bool from_value = false;
  static Bent at(Floats x) {
    const Floats square = x * x, sigmoid = 1.0f / (1.0f + exponential(-1.59576912f * x * (1.0f + 0.044715f * square)));
    return {x * sigmoid, sigmoid + x * sigmoid * (1.0f - sigmoid) * 1.59576912f * (1.0f + 0.134145f * square)};
  }
};

// x sigmoid(x)
struct Silu {
  static constexpr bool from_value = false;
  static Bent at(Floats x) {
    const Floats sigmoid = 1.0f / (1.0f + exponential(-x));
    return {x * sigmoid, sigmoid * (1.0f + x * (1.0f - sigmoid))};
  }
};

// max(x, 0), whose slope can be told from its value
struct Relu {
  static constexpr bool from_value = true;
  static Bent at(Floats x) {
    const Floats value = x < 0.0f ? Floats{} : x;
    return {value, value};
  }
};

// A stretch of numbers in whole vectors, the last one filled up with zeros.
template <class Work>
inline void in_vectors(int64_t count, Work work) {
  int64_t place = 0;
  for (; place + LANES <= count; place += LANES) work(place, LANES);
  if (place < count) work(place, count - place);
}

inline Floats load_some(const float* from, int64_t count) {
  if (count == LANES) return load<Floats>(from);
  float numbers[LANES] = {};
  std::memcpy(numbers, from, count * sizeof(float));
  return load<Floats>(numbers);
}

inline void store_some(float* to, const Floats& vector, int64_t count) { std::memcpy(to, &vector, count * sizeof(float)); }

// f(x) in place, and f'(x) beside it
template <class Curve>
void bend(float* x, float* slope, int64_t count) {
  in_vectors(count, [&](int64_t place, int64_t some) {
    const Bent bent = Curve::at(load_some(x + place, some));
    store_some(slope + place, bent.slope, some);
    store_some(x + place, bent.value, some);
  });
}

// gradient times slope, in place
template <class Curve>
void weigh(float* gradient, const float* slope, int64_t count) {
  in_vectors(count, [&](int64_t place, int64_t some) {
    const Floats from_above = load_some(gradient + place, some), weight = load_some(slope + place, some);
    store_some(gradient + place, Curve::from_value ? (weight > 0.0f ? from_above : Floats{}) : from_above * weight, some);
  });
}
