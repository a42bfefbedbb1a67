// softmax(scale q k^T + mask) v for short texts: the weights of one head stay in the nearest cache, forward and backward.
//
// Flash attention spends its effort on weights that do not fit there; those of some hundred tokens do, so they are simply kept, as in the
// textbook. Rows of queries come in blocks of 8; a block computes no more keys than its last visible one, which halves a causal mask.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "vectors.h"

using at::Tensor;

constexpr int64_t QUERIES = 8;  // queries that go through a product together
constexpr float NEVER = -std::numeric_limits<float>::infinity();

inline int64_t padded(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

// A matrix whose element (i, j) is at data[i * row + j * column].
struct View {
  const float* data;
  int64_t row, column;
};

// into (8 x 16 VECTORS) = or += left (8 x depth) right (depth x 16 VECTORS)
template <int VECTORS>
inline void tile(View left, const float* right, int64_t right_row, float* into, int64_t into_row, int64_t depth, bool add) {
  Floats sum[QUERIES][VECTORS];
  for (int i = 0; i < QUERIES; ++i)
    for (int j = 0; j < VECTORS; ++j) sum[i][j] = add ? load<Floats>(into + i * into_row + j * LANES) : Floats{};
  for (int64_t k = 0; k < depth; ++k) {
    Floats row[VECTORS];
    for (int j = 0; j < VECTORS; ++j) row[j] = load<Floats>(right + k * right_row + j * LANES);
#pragma GCC unroll 8
    for (int i = 0; i < QUERIES; ++i) {
      const float number = left.data[i * left.row + k * left.column];
      for (int j = 0; j < VECTORS; ++j) sum[i][j] += number * row[j];
    }
  }
  for (int i = 0; i < QUERIES; ++i)
    for (int j = 0; j < VECTORS; ++j) store(into + i * into_row + j * LANES, sum[i][j]);
}

// Eight rows of a product; `columns` is a multiple of 16.
inline void rows_of(View left, const float* right, int64_t right_row, float* into, int64_t into_row, int64_t columns, int64_t depth,
                    bool add = false) {
  int64_t at = 0;
  for (; at + 2 * LANES <= columns; at += 2 * LANES) tile<2>(left, right + at, right_row, into + at, into_row, depth, add);
  if (at < columns) tile<1>(left, right + at, right_row, into + at, into_row, depth, add);
}

// One head of (batch, heads, time, d_head) as `time` rows, each contiguous.
struct Head {
  float* data;
  int64_t row;
};

inline Head head_of(const Tensor& x, int64_t batch, int64_t head) {
  return {x.data_ptr<float>() + batch * x.stride(0) + head * x.stride(1), x.stride(2)};
}

struct Sizes {
  int64_t queries, keys, width, query_rows, key_rows;  // the last two in whole vectors
  Sizes(const Tensor& q, const Tensor& k)
      : queries(q.size(2)), keys(k.size(2)), width(q.size(3)), query_rows(padded(queries)), key_rows(padded(keys)) {}
};

// A copy with zeros below, so that no product needs a remainder.
inline void gather(Head from, int64_t count, int64_t rows, int64_t width, float* to) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * width, from.data + i * from.row, width * sizeof(float));
  std::fill(to + count * width, to + rows * width, 0.0f);
}

inline void scatter(const float* from, int64_t count, int64_t width, Head to) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to.data + i * to.row, from + i * width, width * sizeof(float));
}

inline void transpose(const float* from, int64_t rows, int64_t width, float* to) {
  for (int64_t j = 0; j < width; ++j)
    for (int64_t i = 0; i < rows; ++i) to[j * rows + i] = from[i * width + j];
}

// What is added to the scores of a head, and for each block of queries how many keys, in whole vectors, it may see at all.
struct Hidden {
  const float* added = nullptr;  // (queries, keys), or none
  int64_t row = 0;
  std::vector<int64_t> seen;

  Hidden(const std::optional<Tensor>& mask, int64_t batch, int64_t head, const Sizes& sizes)
      : seen(sizes.query_rows / QUERIES, sizes.key_rows) {
    if (!mask) return;
    added = mask->const_data_ptr<float>();
    if (mask->size(0) > 1) added += batch * mask->stride(0);
    if (mask->size(1) > 1) added += head * mask->stride(1);
    row = mask->stride(2);
    for (int64_t block = 0; block < int64_t(seen.size()); ++block) {
      int64_t most = 0;
      for (int64_t i = block * QUERIES; i < std::min(sizes.queries, (block + 1) * QUERIES); ++i) {
        int64_t last = sizes.keys;
        while (last > most && added[i * row + last - 1] == NEVER) --last;
        most = std::max(most, last);
      }
      seen[block] = padded(most);
    }
  }
};

// Scores of a block of queries -> weights, in place. A query that sees nothing, or is none, gets zeros. Rows take each pass together:
// within one row the passes wait for each other.
inline void softmax(float* scores, const Hidden& hidden, int64_t first, const Sizes& sizes, float scale) {
  const int64_t all = sizes.key_rows, seen = hidden.seen[first / QUERIES], rows = std::min(QUERIES, sizes.queries - first);
  float top[QUERIES], share[QUERIES];
  for (int64_t i = 0; i < rows; ++i) {
    float* row = scores + i * all;
    const float* added = hidden.added ? hidden.added + (first + i) * hidden.row : nullptr;
    Floats most = Floats{} + NEVER;
    for (int64_t j = 0; j < seen; j += LANES) {
      Floats score = load<Floats>(row + j) * scale;
      if (j + LANES > sizes.keys) {
        float rest[LANES];
        std::fill(rest, rest + LANES, NEVER);
        std::fill(rest, rest + (sizes.keys - j), 0.0f);
        if (added) std::memcpy(rest, added + j, (sizes.keys - j) * sizeof(float));
        score += load<Floats>(rest);
      } else if (added) {
        score += load<Floats>(added + j);
      }
      store(row + j, score);
      most = score > most ? score : most;
    }
    top[i] = largest(most);
  }
  for (int64_t i = 0; i < rows; ++i) {
    const float shift = top[i] == NEVER ? 0.0f : top[i];  // a query that sees nothing: e^-inf, not e^(-inf + inf)
    Floats sum = {};
    for (int64_t j = 0; j < seen; j += LANES) {
      const Floats weight = exponential(load<Floats>(scores + i * all + j) - shift);
      store(scores + i * all + j, weight);
      sum += weight;
    }
    share[i] = top[i] == NEVER ? 0.0f : 1.0f / total(sum);
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < seen; j += LANES) store(scores + i * all + j, load<Floats>(scores + i * all + j) * share[i]);
    std::fill(scores + i * all + seen, scores + (i + 1) * all, 0.0f);
  }
  std::fill(scores + rows * all, scores + QUERIES * all, 0.0f);
}

// Room of one thread, cut into pieces.
struct Room {
  std::vector<float> numbers;
  float* next;
  explicit Room(int64_t size) : numbers(size), next(numbers.data()) {}
  float* take(int64_t size) { return (next += size) - size; }
};

// Heads `first` to `last` of all heads of all texts: one thread's share.
inline void forward_heads(const Tensor& q, const Tensor& k, const Tensor& v, const std::optional<Tensor>& mask, float scale,
                          const Tensor& weights, const Tensor& out, int64_t first, int64_t last) {
  const Sizes sizes(q, k);
  const int64_t heads = q.size(1), group = heads / k.size(1), width = sizes.width, keys = sizes.key_rows, rows = sizes.query_rows;
  const bool one_mask = !mask || (mask->size(0) == 1 && mask->size(1) == 1);
  const std::optional<Hidden> shared = one_mask ? std::optional<Hidden>(Hidden(mask, 0, 0, sizes)) : std::nullopt;
  Room room((2 * rows + 3 * keys) * width);
  float *queries = room.take(rows * width), *answers = room.take(rows * width);
  float *key = room.take(keys * width), *key_t = room.take(keys * width), *values = room.take(keys * width);
  for (int64_t place = first; place < last; ++place) {
    const int64_t batch = place / heads, head = place % heads;
    const Hidden own = shared ? *shared : Hidden(mask, batch, head, sizes);
    float* scores = weights.data_ptr<float>() + place * rows * keys;
    gather(head_of(q, batch, head), sizes.queries, rows, width, queries);
    gather(head_of(k, batch, head / group), sizes.keys, keys, width, key);
    gather(head_of(v, batch, head / group), sizes.keys, keys, width, values);
    transpose(key, keys, width, key_t);
    for (int64_t row = 0; row < rows; row += QUERIES) {
      const int64_t seen = own.seen[row / QUERIES];
      rows_of({queries + row * width, width, 1}, key_t, keys, scores + row * keys, keys, seen, width);
      softmax(scores + row * keys, own, row, sizes, scale);
      rows_of({scores + row * keys, keys, 1}, values, width, answers + row * width, width, width, seen);
    }
    scatter(answers, sizes.queries, width, head_of(out, batch, head));
  }
}

// The end, in whole vectors, of what is not 0 in a block of rows.
inline int64_t end_of(const float* block, int64_t all) {
  int64_t most = 0;
  for (int64_t i = 0; i < QUERIES; ++i) {
    int64_t end = all;
    while (end > most && block[i * all + end - 1] == 0.0f) --end;
    most = std::max(most, end);
  }
  return padded(most);
}

// dP -> dS = scale P (dP - sum(P dP)), in place, for a block of queries.
inline void through_softmax(const float* p, float* errors, int64_t seen, int64_t all, float scale) {
  for (int64_t i = 0; i < QUERIES; ++i, p += all, errors += all) {
    Floats dot = {};
    for (int64_t j = 0; j < seen; j += LANES) dot += load<Floats>(p + j) * load<Floats>(errors + j);
    const float mean = total(dot);
    for (int64_t j = 0; j < seen; j += LANES) store(errors + j, load<Floats>(p + j) * (load<Floats>(errors + j) - mean) * scale);
    std::fill(errors + seen, errors + all, 0.0f);
  }
}

struct Gradients {
  Tensor q, k, v;
};

// With P the weights: dP = dZ V^T, dQ = dS K, dV = P^T dZ, dK = dS^T Q. Keys and values of a group add up over its heads.
// `first` to `last` count key-value heads.
inline void backward_heads(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& weights, const Tensor& dz, float scale,
                           const Gradients& into, int64_t first, int64_t last) {
  const Sizes sizes(q, k);
  const int64_t heads = q.size(1), kv_heads = k.size(1), group = heads / kv_heads;
  const int64_t width = sizes.width, keys = sizes.key_rows, rows = sizes.query_rows;
  Room room((3 * rows + 5 * keys) * width + rows * keys);
  float *queries = room.take(rows * width), *above = room.take(rows * width), *for_queries = room.take(rows * width);
  float *key = room.take(keys * width), *values = room.take(keys * width), *values_t = room.take(keys * width);
  float *for_keys = room.take(keys * width), *for_values = room.take(keys * width), *errors = room.take(rows * keys);
  for (int64_t place = first; place < last; ++place) {
    const int64_t batch = place / kv_heads, kv_head = place % kv_heads;
    gather(head_of(k, batch, kv_head), sizes.keys, keys, width, key);
    gather(head_of(v, batch, kv_head), sizes.keys, keys, width, values);
    transpose(values, keys, width, values_t);
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const float* p = weights.const_data_ptr<float>() + (batch * heads + head) * rows * keys;
      gather(head_of(q, batch, head), sizes.queries, rows, width, queries);
      gather(head_of(dz, batch, head), sizes.queries, rows, width, above);
      std::vector<int64_t> start(keys / QUERIES, rows);  // of each block of keys: the first queries with a weight on it
      for (int64_t row = 0; row < rows; row += QUERIES) {
        const int64_t seen = end_of(p + row * keys, keys);  // a weight that rounds to 0 has no gradient either
        for (int64_t block = 0; block < seen / QUERIES; ++block) start[block] = std::min(start[block], row);
        rows_of({above + row * width, width, 1}, values_t, keys, errors + row * keys, keys, seen, width);
        through_softmax(p + row * keys, errors + row * keys, seen, keys, scale);
        rows_of({errors + row * keys, keys, 1}, key, width, for_queries + row * width, width, width, seen);
      }
      scatter(for_queries, sizes.queries, width, head_of(into.q, batch, head));
      const bool add = head > kv_head * group;
      for (int64_t column = 0; column < keys; column += QUERIES) {
        const int64_t row = start[column / QUERIES], depth = rows - row, place_of = row * keys + column, into_of = column * width;
        rows_of({p + place_of, 1, keys}, above + row * width, width, for_values + into_of, width, width, depth, add);
        rows_of({errors + place_of, 1, keys}, queries + row * width, width, for_keys + into_of, width, width, depth, add);
      }
    }
    scatter(for_keys, sizes.keys, width, head_of(into.k, batch, kv_head));
    scatter(for_values, sizes.keys, width, head_of(into.v, batch, kv_head));
  }
}
