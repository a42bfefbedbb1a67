// A pre-norm block of GPT-2 for training: x + attention(norm(x)), then x + mlp(norm(x)), for short texts.
//
// Each thread takes whole texts from one end of the block to the other, forward and backward. The block as single operations has some
// thirty meetings of the threads, and between them much that one thread does alone; this has one on each way.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "curves.h"
#include "heads.h"
#include "norm.h"
#include "rows.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The weights in their order; a bias may be undefined.
enum { NORM_1, NORM_1_BIAS, QKV, QKV_BIAS, O, O_BIAS, NORM_2, NORM_2_BIAS, UP, UP_BIAS, DOWN, DOWN_BIAS, WEIGHTS };
// What is kept between forward and backward, after the weights.
enum { X = WEIGHTS, NORMED_1, QUERIES_KEYS_VALUES, ATTENTION_WEIGHTS, Z, MID, NORMED_2, VALUE, SLOPE, MOMENTS, KEPT };

std::optional<Tensor> if_defined(const Tensor& x) { return x.defined() ? std::optional<Tensor>(x) : std::nullopt; }

NormWeights norm_weights(const variable_list& from, int first) {
  return {from[first].const_data_ptr<float>(), from[first + 1].const_data_ptr<float>()};
}

float* at_row(const Tensor& x, int64_t row) { return x.data_ptr<float>() + row * x.size(1); }

// How the rows of a batch are cut, and how attention sees them.
struct Shape {
  int64_t batch, time, heads, kv_heads, width;  // width of a head

  int64_t rows() const { return batch * time; }
  int64_t texts_at_once() const { return std::max<int64_t>(1, ROWS / time); }
  // (batch, heads, time, d_head) of rows that hold queries, keys and values side by side, or heads alone
  Tensor view(const Tensor& x, int64_t first, int64_t count) const {
    return x.view({batch, time, -1, width}).narrow(2, first, count).transpose(1, 2);
  }
  Tensor q(const Tensor& qkv) const { return view(qkv, 0, heads); }
  Tensor k(const Tensor& qkv) const { return view(qkv, heads, kv_heads); }
  Tensor v(const Tensor& qkv) const { return view(qkv, heads + kv_heads, kv_heads); }
};

template <class Curve>
struct Block : torch::autograd::Function<Block<Curve>> {
  template <class... Weights>
  static Tensor forward(AutogradContext* context, const Tensor& input, const std::optional<Tensor>& mask, int64_t heads, int64_t kv_heads,
                        double eps, double scale, const Weights&... weights_in_order) {
    const variable_list w{weights_in_order.value_or(Tensor())...};
    const Shape shape{input.size(0), input.size(1), heads, kv_heads, w[QKV].size(0) / (heads + 2 * kv_heads)};
    const Tensor x = matrix(input).contiguous();
    const auto wide = [&](int64_t width) { return at::empty({shape.rows(), width}, x.options()); };
    const Tensor normed_1 = at::empty_like(x), qkv = wide(w[QKV].size(0)), z = wide(w[O].size(1)), mid = at::empty_like(x);
    const Tensor normed_2 = at::empty_like(x), value = wide(w[UP].size(0)), slope = Curve::from_value ? value : at::empty_like(value);
    const Tensor out = at::empty_like(x), moments = at::empty({4, shape.rows()}, x.options());
    const Tensor q = shape.q(qkv), k = shape.k(qkv), v = shape.v(qkv), answers = shape.view(z, 0, heads);
    const Sizes sizes(q, k);
    const Tensor weights = at::empty({shape.batch, heads, sizes.query_rows, sizes.key_rows}, x.options());
    const std::optional<Tensor> hidden = mask ? std::optional<Tensor>(mask->contiguous()) : mask;
    by_rows(shape.batch, parts_of(shape), [&](int64_t, int64_t first, int64_t last) {
      for (int64_t text = first; text < last; text += shape.texts_at_once()) {
        const int64_t end = std::min(text + shape.texts_at_once(), last), row = text * shape.time, count = (end - text) * shape.time;
        const auto some = [&](const Tensor& all) { return all.slice(0, row, row + count); };
        const int64_t width = x.size(1);
        normalise(at_row(x, row), count, width, norm_weights(w, NORM_1), float(eps), at_row(normed_1, row), kept(moments, 0).from(row));
        linear(some(qkv), some(normed_1), w[QKV], if_defined(w[QKV_BIAS]));
        forward_heads(q, k, v, hidden, float(scale), weights, answers, text * heads, end * heads);
        linear(some(mid), some(z), w[O], if_defined(w[O_BIAS]));
        add(at_row(mid, row), at_row(x, row), count * width);
        normalise(at_row(mid, row), count, width, norm_weights(w, NORM_2), float(eps), at_row(normed_2, row), kept(moments, 2).from(row));
        linear(some(value), some(normed_2), w[UP], if_defined(w[UP_BIAS]));
        bend<Curve>(at_row(value, row), at_row(slope, row), count * value.size(1));
        linear(some(out), some(value), w[DOWN], if_defined(w[DOWN_BIAS]));
        add(at_row(out, row), at_row(mid, row), count * width);
      }
    });
    variable_list saved(w);
    for (const Tensor& each : {x, normed_1, qkv, weights, z, mid, normed_2, value, slope, moments}) saved.push_back(each);
    context->save_for_backward(saved);
    context->saved_data["shape"] = std::vector<int64_t>{shape.batch, shape.time, heads, kv_heads, shape.width};
    context->saved_data["scale"] = scale;
    c10::List<bool> wanted;
    for (const Tensor& weight : w) wanted.push_back(weight.defined() && weight.requires_grad());
    context->saved_data["wanted"] = wanted;
    return out.view_as(input);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "the native block has no gradient of its gradient (create_graph=True)");
    const auto s = context->get_saved_variables();
    const auto is = context->saved_data["shape"].toIntVector();
    const Shape shape{is[0], is[1], is[2], is[3], is[4]};
    const float scale = float(context->saved_data["scale"].toDouble());
    const auto wanted = context->saved_data["wanted"].toBoolList();
    const Tensor above = matrix(gradients[0]).contiguous(), &x = s[X], &qkv = s[QUERIES_KEYS_VALUES], &value = s[VALUE];
    const int64_t width = x.size(1), parts = parts_of(shape);
    const Tensor error = at::empty_like(value), for_mid = at::empty_like(x), for_z = at::empty_like(s[Z]), for_qkv = at::empty_like(qkv);
    const Tensor for_normed = at::empty_like(x), for_x = at::empty_like(x), for_norms = at::zeros({parts, 4, width}, x.options());
    const Gradients into{shape.q(for_qkv), shape.k(for_qkv), shape.v(for_qkv)};
    const Tensor q = shape.q(qkv), k = shape.k(qkv), v = shape.v(qkv), from_z = shape.view(for_z, 0, shape.heads);
    variable_list sums(WEIGHTS);
    for (int each : {QKV, O, UP, DOWN})
      if (wanted[each]) sums[each] = at::empty({parts, s[each].size(0), s[each].size(1)}, x.options());
    by_rows(shape.batch, parts, [&](int64_t part, int64_t first, int64_t last) {
      float* norms = for_norms.data_ptr<float>() + part * 4 * width;
      for (int64_t text = first; text < last; text += shape.texts_at_once()) {
        const int64_t end = std::min(text + shape.texts_at_once(), last), row = text * shape.time, count = (end - text) * shape.time;
        const auto some = [&](const Tensor& all) { return all.slice(0, row, row + count); };
        const auto product = [&](const Tensor& to, const Tensor& left, const Tensor& weight) {
          Tensor out = some(to);
          at::mm_out(out, some(left), weight);
        };
        product(error, above, s[DOWN]);
        weigh<Curve>(at_row(error, row), at_row(s[SLOPE], row), count * value.size(1));
        product(for_normed, error, s[UP]);
        std::memcpy(at_row(for_mid, row), at_row(above, row), count * width * sizeof(float));
        through_norm(at_row(for_normed, row), at_row(s[MID], row), count, width, norm_weights(s, NORM_2), kept(s[MOMENTS], 2).from(row),
                     at_row(for_mid, row), norms + 2 * width, norms + 3 * width);
        product(for_z, for_mid, s[O]);
        backward_heads(q, k, v, s[ATTENTION_WEIGHTS], from_z, scale, into, text * shape.kv_heads, end * shape.kv_heads);
        product(for_normed, for_qkv, s[QKV]);
        std::memcpy(at_row(for_x, row), at_row(for_mid, row), count * width * sizeof(float));
        through_norm(at_row(for_normed, row), at_row(x, row), count, width, norm_weights(s, NORM_1), kept(s[MOMENTS], 0).from(row),
                     at_row(for_x, row), norms, norms + width);
      }
      const auto add_up = [&](int weight, const Tensor& left, const Tensor& right) {
        Tensor sum = sums[weight].defined() ? sums[weight][part] : Tensor();
        const int64_t from = first * shape.time, to = last * shape.time;
        if (sum.defined()) at::mm_out(sum, left.slice(0, from, to).t(), right.slice(0, from, to));
      };
      add_up(DOWN, above, value);
      add_up(UP, error, s[NORMED_2]);
      add_up(O, for_mid, s[Z]);
      add_up(QKV, for_qkv, s[NORMED_1]);
    });
    variable_list found{for_x.view({shape.batch, shape.time, width}), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
    const Tensor norms = for_norms.sum(0);
    const auto total = [&](int weight) { return !sums[weight].defined() ? Tensor() : parts == 1 ? sums[weight][0] : sums[weight].sum(0); };
    const auto over_rows = [&](int bias, const Tensor& of) { return wanted[bias] ? of.sum(0) : Tensor(); };
    for (const Tensor& each :
         {norms[0], norms[1], total(QKV), over_rows(QKV_BIAS, for_qkv), total(O), over_rows(O_BIAS, for_mid), norms[2], norms[3], total(UP),
          over_rows(UP_BIAS, error), total(DOWN), over_rows(DOWN_BIAS, above)})
      found.push_back(each);
    return found;
  }

  static int64_t parts_of(const Shape& shape) { return std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), shape.batch)); }

  static Moments kept(const Tensor& moments, int64_t first) { return {at_row(moments, first), at_row(moments, first + 1)}; }

  static void add(float* into, const float* other, int64_t count) {
    for (int64_t at = 0; at < count; at += LANES) store(into + at, load<Floats>(into + at) + load<Floats>(other + at));
  }
};

template <class Curve, size_t... EACH>
Tensor apply(const Tensor& x, const std::vector<std::optional<Tensor>>& w, const std::optional<Tensor>& mask, int64_t heads, int64_t kv_heads, double eps,
             double scale, std::index_sequence<EACH...>) {
  return Block<Curve>::apply(x, mask, heads, kv_heads, eps, scale, w[EACH]...);  // autograd sees single tensors, not lists of them
}

template <class Curve>
Tensor block(const Tensor& x, const c10::List<std::optional<Tensor>>& weights, const std::optional<Tensor>& mask, int64_t heads,
             int64_t kv_heads, double eps, double scale) {
  return apply<Curve>(x, weights.vec(), mask, heads, kv_heads, eps, scale, std::make_index_sequence<WEIGHTS>());
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(isinglass, library) {
  library.def("block_gelu", block<Gelu>);
  library.def("block_gelu_tanh", block<GeluTanh>);
  library.def("block_relu", block<Relu>);
  library.def("block_silu", block<Silu>);
}
