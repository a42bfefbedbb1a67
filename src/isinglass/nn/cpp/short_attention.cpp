// Attention over short texts as one operator; threads share the heads.
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "heads.h"

namespace {

using torch::autograd::AutogradContext;

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
    at::parallel_for(0, q.size(0) * q.size(1), 1, [&](int64_t first, int64_t last) {
      forward_heads(queries, keys, values, hidden, float(scale), weights, out, first, last);
    });
    context->save_for_backward({queries, keys, values, weights});
    context->saved_data["scale"] = scale;
    return out;
  }
  static torch::autograd::variable_list backward(AutogradContext* context, torch::autograd::variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "the native attention has no gradient of its gradient (create_graph=True)");
    const auto saved = context->get_saved_variables();
    const Gradients into{side_by_side(saved[0]), side_by_side(saved[1]), side_by_side(saved[2])};
    const float scale = float(context->saved_data["scale"].toDouble());
    const Tensor above = rowwise(gradients[0]);
    at::parallel_for(0, saved[1].size(0) * saved[1].size(1), 1, [&](int64_t first, int64_t last) {
      backward_heads(saved[0], saved[1], saved[2], saved[3], above, scale, into, first, last);
    });
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
