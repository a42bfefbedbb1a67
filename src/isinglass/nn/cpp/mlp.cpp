// down(f(up(x))) for training: rows go through both products and the curve between them while they are in the nearest cache.
//
// Each thread takes its own rows from one end to the other, forward and backward, so threads meet once where a chain of single operations
// has nine such meetings; and the slope of the curve is kept, not worked out again.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "curves.h"
#include "rows.h"

namespace {

using torch::autograd::AutogradContext;

template <class Curve>
struct MLP : torch::autograd::Function<MLP<Curve>> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& up, const std::optional<Tensor>& up_bias,
                        const Tensor& down, const std::optional<Tensor>& down_bias) {
    const Tensor x = matrix(input), value = at::empty({x.size(0), up.size(0)}, x.options());
    const Tensor slope = Curve::from_value ? value : at::empty_like(value), out = at::empty({x.size(0), down.size(0)}, x.options());
    by_rows(x.size(0), parts_of(x.size(0)), [&](int64_t, int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row += ROWS) {
        const int64_t end = std::min(row + ROWS, last);
        const Tensor values = value.slice(0, row, end);
        linear(values, x.slice(0, row, end), up, up_bias);
        bend<Curve>(values.mutable_data_ptr<float>(), slope.slice(0, row, end).mutable_data_ptr<float>(), values.numel());
        linear(out.slice(0, row, end), values, down, down_bias);
      }
    });
    context->save_for_backward({x, up, down, value, slope});
    context->saved_data["shape"] = input.sizes();
    const auto trained = [](const std::optional<Tensor>& weight) { return weight && weight->requires_grad(); };
    context->saved_data["wanted"] = c10::List<bool>({trained(up), trained(up_bias), trained(down), trained(down_bias)});
    return out.view_as(input);
  }

  static torch::autograd::variable_list backward(AutogradContext* context, torch::autograd::variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "the native MLP has no gradient of its gradient (create_graph=True)");
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &up = saved[1], &down = saved[2], &value = saved[3], &slope = saved[4], above = matrix(gradients[0]);
    const int64_t parts = parts_of(x.size(0));
    const auto wanted = context->saved_data["wanted"].toBoolList();
    const auto sums_of = [&](const Tensor& weight) { return at::empty({parts, weight.size(0), weight.size(1)}, x.options()); };
    const Tensor error = at::empty_like(value), for_x = at::empty_like(x);
    const Tensor for_up = wanted[0] ? sums_of(up) : Tensor(), for_down = wanted[2] ? sums_of(down) : Tensor();
    by_rows(x.size(0), parts, [&](int64_t part, int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row += ROWS) {
        const int64_t end = std::min(row + ROWS, last);
        Tensor errors = error.slice(0, row, end), into = for_x.slice(0, row, end);
        at::mm_out(errors, above.slice(0, row, end), down);
        weigh<Curve>(errors.mutable_data_ptr<float>(), slope.slice(0, row, end).const_data_ptr<float>(), errors.numel());
        at::mm_out(into, errors, up);
      }
      const auto add_up = [&](const Tensor& sums, const Tensor& left, const Tensor& right) {
        Tensor sum = sums.defined() ? sums[part] : Tensor();
        if (sum.defined()) at::mm_out(sum, left.slice(0, first, last).t(), right.slice(0, first, last));
      };
      add_up(for_up, error, x);
      add_up(for_down, above, value);
    });
    const auto total = [&](const Tensor& sums) { return !sums.defined() ? Tensor() : parts == 1 ? sums[0] : sums.sum(0); };
    return {for_x.view(context->saved_data["shape"].toIntVector()), total(for_up), wanted[1] ? error.sum(0) : Tensor(), total(for_down),
            wanted[3] ? above.sum(0) : Tensor()};
  }
};

template <class Curve>
Tensor mlp(const Tensor& x, const Tensor& up, const std::optional<Tensor>& up_bias, const Tensor& down,
           const std::optional<Tensor>& down_bias) {
  return MLP<Curve>::apply(x, up, up_bias, down, down_bias);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(isinglass, library) {
  library.def("mlp_gelu(Tensor x, Tensor up, Tensor? up_bias, Tensor down, Tensor? down_bias) -> Tensor", mlp<Gelu>);
  library.def("mlp_gelu_tanh(Tensor x, Tensor up, Tensor? up_bias, Tensor down, Tensor? down_bias) -> Tensor", mlp<GeluTanh>);
  library.def("mlp_relu(Tensor x, Tensor up, Tensor? up_bias, Tensor down, Tensor? down_bias) -> Tensor", mlp<Relu>);
  library.def("mlp_silu(Tensor x, Tensor up, Tensor? up_bias, Tensor down, Tensor? down_bias) -> Tensor", mlp<Silu>);
}
