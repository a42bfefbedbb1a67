// Sixteen numbers side by side, in the vectors of GCC and Clang, so that one source serves every processor.
#pragma once

#include <cstdint>
#include <cstring>

constexpr int64_t LANES = 16;
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Words __attribute__((vector_size(4 * LANES)));

template <class Vector, class Number>
inline Vector load(const Number* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

inline void store(float* to, const Floats& vector) { std::memcpy(to, &vector, sizeof vector); }

// The sum, and the largest, of the sixteen, by halves: one after the other they would wait for each other.
template <class Join>
inline float folded(const Floats& x, Join join) {
  typedef float Eight __attribute__((vector_size(32)));
  typedef float Four __attribute__((vector_size(16)));
  const auto* at = reinterpret_cast<const float*>(&x);
  const Eight half = join(load<Eight>(at), load<Eight>(at + 8));
  const auto* in = reinterpret_cast<const float*>(&half);
  const Four quarter = join(load<Four>(in), load<Four>(in + 4));
  return join(join(quarter[0], quarter[1]), join(quarter[2], quarter[3]));
}

inline float total(const Floats& x) {
  return folded(x, [](auto a, auto b) { return a + b; });
}

inline float largest(const Floats& x) {
  return folded(x, [](auto a, auto b) { return a > b ? a : b; });
}

// e^x to 2 units in the last place, after the polynomial of Cephes (Moshier 1989): 2^n e^r with |r| <= ln(2) / 2. From -80 down it is 0:
// products with numbers below 1e-38 take a hundred times as long. What is no number stays so: a fault must show.
inline Floats exponential(Floats x) {
  constexpr float ROUNDING = 12582912.0f;  // 1.5 * 2^23: what is added to it loses its fraction
  const Floats inside = x < 88.0f ? (x > -80.0f ? x : Floats{} - 80.0f) : Floats{} + 88.0f;
  const Floats shifted = inside * 1.44269504f + ROUNDING;
  const Floats n = shifted - ROUNDING, r = inside - n * 0.693359375f + n * 2.12194440e-4f;
  Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const Floats power = p * r * r + r + 1.0f;
  const Words scale = (load<Words>(reinterpret_cast<const int32_t*>(&shifted)) - 0x4B400000 + 127) << 23;
  const Floats grown = power * load<Floats>(reinterpret_cast<const float*>(&scale));
  return x <= -80.0f ? Floats{} : x == x ? grown : x;
}
