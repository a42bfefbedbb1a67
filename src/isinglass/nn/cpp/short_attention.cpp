// softmax(scale q k^T + mask) v for short texts: the weights of one head stay in the nearest cache, forward and backward.
//
// Flash attention spends its effort on weights that do not fit there; those of some hundred tokens do, so they are simply kept, as in the
// textbook. Rows of queries come in blocks of 8; a block computes no more keys than its last visible one, which halves a causal mask.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "vectors.h"

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;

constexpr int64_t ROWS = 8;
constexpr float NEVER = -std::numeric_limits<float>::infinity();

int64_t padded(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

// A matrix whose element (i, j) is at data[i * row + j * column].
struct View {
  const float* data;
  int64_t row, column;
};

// into (8 x 16 VECTORS) = or += left (8 x depth) right (depth x 16 VECTORS)
template <int VECTORS>
inline void tile(View left, const float* right, int64_t right_row, float* into, int64_t into_row, int64_t depth, bool add) {
  Floats sum[ROWS][VECTORS];
  for (int i = 0; i < ROWS; ++i)
    for (int j = 0; j < VECTORS; ++j) sum[i][j] = add ? load<Floats>(into + i * into_row + j * LANES) : Floats{};
  for (int64_t k = 0; k < depth; ++k) {
    Floats row[VECTORS];
    for (int j = 0; j < VECTORS; ++j) row[j] = load<Floats>(right + k * right_row + j * LANES);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
      const float number = left.data[i * left.row + k * left.column];
      for (int j = 0; j < VECTORS; ++j) sum[i][j] += number * row[j];
    }
  }
  for (int i = 0; i < ROWS; ++i)
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

Head head_of(const Tensor& x, int64_t batch, int64_t head) {
  return {x.data_ptr<float>() + batch * x.stride(0) + head * x.stride(1), x.stride(2)};
}

struct Sizes {
  int64_t queries, keys, width, query_rows, key_rows;  // the last two in whole vectors
  Sizes(const Tensor& q, const Tensor& k)
      : queries(q.size(2)), keys(k.size(2)), width(q.size(3)), query_rows(padded(queries)), key_rows(padded(keys)) {}
};

// A copy with zeros below, so that no product needs a remainder.
void gather(Head from, int64_t count, int64_t rows, int64_t width, float* to) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * width, from.data + i * from.row, width * sizeof(float));
  std::fill(to + count * width, to + rows * width, 0.0f);
}

void scatter(const float* from, int64_t count, int64_t width, Head to) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to.data + i * to.row, from + i * width, width * sizeof(float));
}

void transpose(const float* from, int64_t rows, int64_t width, float* to) {
  for (int64_t j = 0; j < width; ++j)
    for (int64_t i = 0; i < rows; ++i) to[j * rows + i] = from[i * width + j];
}

// What is added to the scores of a head, and for each block of queries how many keys, in whole vectors, it may see at all.
struct Hidden {
  const float* added = nullptr;  // (queries, keys), or none
  int64_t row = 0;
  std::vector<int64_t> seen;

  Hidden(const std::optional<Tensor>& mask, int64_t batch, int64_t head, const Sizes& sizes)
      : seen(sizes.query_rows / ROWS, sizes.key_rows) {
    if (!mask) return;
    added = mask->const_data_ptr<float>();
    if (mask->size(0) > 1) added += batch * mask->stride(0);
    if (mask->size(1) > 1) added += head * mask->stride(1);
    row = mask->stride(2);
    for (int64_t block = 0; block < int64_t(seen.size()); ++block) {
      int64_t most = 0;
      for (int64_t i = block * ROWS; i < std::min(sizes.queries, (block + 1) * ROWS); ++i) {
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
void softmax(float* scores, const Hidden& hidden, int64_t first, const Sizes& sizes, float scale) {
  const int64_t all = sizes.key_rows, seen = hidden.seen[first / ROWS], rows = std::min(ROWS, sizes.queries - first);
  float top[ROWS], share[ROWS];
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
  std::fill(scores + rows * all, scores + ROWS * all, 0.0f);
}

// Room of one thread, cut into pieces.
struct Room {
  std::vector<float> numbers;
  float* next;
  explicit Room(int64_t size) : numbers(size), next(numbers.data()) {}
  float* take(int64_t size) { return (next += size) - size; }
};

void forward_heads(const Tensor& q, const Tensor& k, const Tensor& v, const std::optional<Tensor>& mask, float scale,
                   const Tensor& weights, const Tensor& out) {
  const Sizes sizes(q, k);
  const int64_t heads = q.size(1), group = heads / k.size(1), width = sizes.width, keys = sizes.key_rows, rows = sizes.query_rows;
  const bool one_mask = !mask || (mask->size(0) == 1 && mask->size(1) == 1);
  const std::optional<Hidden> shared = one_mask ? std::optional<Hidden>(Hidden(mask, 0, 0, sizes)) : std::nullopt;
  at::parallel_for(0, q.size(0) * heads, 1, [&](int64_t first, int64_t last) {
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
      for (int64_t row = 0; row < rows; row += ROWS) {
        const int64_t seen = own.seen[row / ROWS];
        rows_of({queries + row * width, width, 1}, key_t, keys, scores + row * keys, keys, seen, width);
        softmax(scores + row * keys, own, row, sizes, scale);
        rows_of({scores + row * keys, keys, 1}, values, width, answers + row * width, width, width, seen);
      }
      scatter(answers, sizes.queries, width, head_of(out, batch, head));
    }
  });
}

// The end, in whole vectors, of what is not 0 in a block of rows.
int64_t end_of(const float* block, int64_t all) {
  int64_t most = 0;
  for (int64_t i = 0; i < ROWS; ++i) {
    int64_t end = all;
    while (end > most && block[i * all + end - 1] == 0.0f) --end;
    most = std::max(most, end);
  }
  return padded(most);
}

// dP -> dS = scale P (dP - sum(P dP)), in place, for a block of queries.
void through_softmax(const float* p, float* errors, int64_t seen, int64_t all, float scale) {
  for (int64_t i = 0; i < ROWS; ++i, p += all, errors += all) {
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
void backward_heads(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& weights, const Tensor& dz, float scale,
                    const Gradients& into) {
  const Sizes sizes(q, k);
  const int64_t heads = q.size(1), kv_heads = k.size(1), group = heads / kv_heads;
  const int64_t width = sizes.width, keys = sizes.key_rows, rows = sizes.query_rows;
  at::parallel_for(0, q.size(0) * kv_heads, 1, [&](int64_t first, int64_t last) {
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
        std::vector<int64_t> start(keys / ROWS, rows);  // of each block of keys: the first queries with a weight on it
        for (int64_t row = 0; row < rows; row += ROWS) {
          const int64_t seen = end_of(p + row * keys, keys);  // a weight that rounds to 0 has no gradient either
          for (int64_t block = 0; block < seen / ROWS; ++block) start[block] = std::min(start[block], row);
          rows_of({above + row * width, width, 1}, values_t, keys, errors + row * keys, keys, seen, width);
          through_softmax(p + row * keys, errors + row * keys, seen, keys, scale);
          rows_of({errors + row * keys, keys, 1}, key, width, for_queries + row * width, width, width, seen);
        }
        scatter(for_queries, sizes.queries, width, head_of(into.q, batch, head));
        const bool add = head > kv_head * group;
        for (int64_t column = 0; column < keys; column += ROWS) {
          const int64_t row = start[column / ROWS], depth = rows - row, place_of = row * keys + column, into_of = column * width;
          rows_of({p + place_of, 1, keys}, above + row * width, width, for_values + into_of, width, width, depth, add);
          rows_of({errors + place_of, 1, keys}, queries + row * width, width, for_keys + into_of, width, width, depth, add);
        }
      }
      scatter(for_keys, sizes.keys, width, head_of(into.k, batch, kv_head));
      scatter(for_values, sizes.keys, width, head_of(into.v, batch, kv_head));
    }
  });
}

Tensor rowwise(const Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); }

// Room for (batch, heads, time, d_head) whose heads lie side by side, as the linear layers before and after have them.
Tensor side_by_side(const Tensor& like) {
  return at::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options()).transpose(1, 2);
}

struct ShortAttention : torch::autograd::Function<ShortAttention> {
  static Tensor forward(AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v, const std::optional<Tensor>& mask,
                        double scale) {
    const Tensor queries = rowwise(q), keys = rowwise(k), values = rowwise(v);
    const std::optional<Tensor> hidden = mask ? std::optional<Tensor>(mask->contiguous()) : mask;
    const Sizes sizes(q, k);
    const Tensor out = side_by_side(q), weights = at::empty({q.size(0), q.size(1), sizes.query_rows, sizes.key_rows}, q.options());
    forward_heads(queries, keys, values, hidden, float(scale), weights, out);
    context->save_for_backward({queries, keys, values, weights});
    context->saved_data["scale"] = scale;
    return out;
  }
  static torch::autograd::variable_list backward(AutogradContext* context, torch::autograd::variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "the native attention has no gradient of its gradient (create_graph=True)");
    const auto saved = context->get_saved_variables();
    const Gradients into{side_by_side(saved[0]), side_by_side(saved[1]), side_by_side(saved[2])};
    const float scale = float(context->saved_data["scale"].toDouble());
    backward_heads(saved[0], saved[1], saved[2], saved[3], rowwise(gradients[0]), scale, into);
    return {into.q, into.k, into.v, Tensor(), Tensor()};
  }
};

Tensor short_attention(const Tensor& q, const Tensor& k, const Tensor& v, const std::optional<Tensor>& mask, double scale) {
  return ShortAttention::apply(q, k, v, mask, scale);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(isinglass, library) {
  library.def("short_attention(Tensor q, Tensor k, Tensor v, Tensor? mask, float scale) -> Tensor", short_attention);
}
